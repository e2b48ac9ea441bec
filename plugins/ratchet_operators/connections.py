"""Clients of databases, S3 and other services, made from Airflow's connections."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from include.errors import ConfigError, StoreUnavailable
from include.signing.anchors import is_of, number_of
from include.signing.deployment import AirflowSide

if TYPE_CHECKING:
    from airflow.sdk import Connection


def s3_client(connection: str | None) -> Any:
    """Return a boto3 S3 client from an Airflow connection of type ``aws``, or from boto3's own chain.

    Raises
    ------
    ConfigError
        When there is no such connection.
    """
    if connection is None:
        import boto3

        return boto3.client("s3")
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    if _find(connection) is None:  # the hook would go on without it, with the machine's own identity
        raise ConfigError(
            f"There is no Airflow connection {connection}.",
            expected="a connection of type aws, as the settings or the model name it",
            where="RATCHET_STORE_CONNECTION, or `data.source.connection` of a model",
            remedy=f"set AIRFLOW_CONN_{connection.upper()}, or make the connection in Airflow; the commands of a person see the first only",
        )
    return AwsGenericHook(aws_conn_id=connection, client_type="s3").get_conn()


class AirflowConnections:
    """What a model's source may open: buckets and databases, by connection id."""

    def s3(self, connection: str | None) -> Any:
        """Return a boto3 S3 client."""
        return s3_client(connection)

    def sql(self, connection: str) -> Any:
        """Return a SQLAlchemy engine.

        Raises
        ------
        ConfigError
            When there is no such connection, or none of a database that this Airflow knows.
        """
        from airflow.sdk.exceptions import AirflowException

        if (found := _find(connection)) is None:
            raise _no_database(connection, f"There is no Airflow connection {connection}.", "no such connection")
        try:
            return found.get_hook().get_sqlalchemy_engine()  # type: ignore[no-untyped-call] # as Airflow has it
        except (AirflowException, ImportError, AttributeError) as error:
            what = f"The Airflow connection {connection} is none of a database that this Airflow knows."
            raise _no_database(connection, what, f"type {found.conn_type}") from error

    def spark(self, connection: str) -> str:
        """Return the URL of a Spark Connect server; raises `ConfigError` for a connection that is not there or has no host."""
        found = _find(connection)
        if found is None or not found.host:
            expected = "a connection of type spark_connect, or generic, with host and port of a Spark Connect server"
            raise _missing(connection, "a host", expected, "data.source.connection")
        said = {"user_id": found.login, "token": found.password, "use_ssl": found.extra_dejson.get("use_ssl")}
        settings = [f"{name}={quote(str(value), safe='')}" for name, value in said.items() if value]
        return f"sc://{found.host.removeprefix('sc://')}:{found.port or 15002}/;{';'.join(settings)}".rstrip(";")


def signing_pem(connection: str) -> bytes:
    r"""Return the private key that is the password of an Airflow connection, PEM with its line breaks or with ``\\n`` for them.

    Raises
    ------
    ConfigError
        When there is no such connection, or it has no password.
    """
    found = _find(connection)
    if found is None or not found.password:
        expected = "a connection of any type, whose password is an Ed25519 private key as PEM"
        raise _missing(connection, "a signing key as its password", expected, "RATCHET_SIGNING_CONNECTION")
    return str(found.password).replace("\\n", "\n").encode()


def credentials_of(connection: str) -> tuple[str, str]:
    """Return login and password of an Airflow connection; an empty login means that the password is a token.

    Raises
    ------
    ConfigError
        When there is no such connection, or it has no password.
    """
    found = _find(connection)
    if found is None or not found.password:
        expected = "a connection of any type with login and password, or a token as password alone"
        raise _missing(connection, "a password", expected, "RATCHET_MLFLOW_CONNECTION")
    return found.login or "", str(found.password)


class VariableAnchor:
    """The newest signed heads as Airflow variables, two a model; writable for Airflow's tasks and not for the store's writers.

    A variable can't be compared and set at once. So events of even and of odd number have one each: of two tasks that write at
    the same time, the slower one does not overwrite what the other, which wrote the next event, remembers.

    The variable of odd numbers was called ``<prefix>_<model>_odd``, which is that of even numbers of a model ``<model>_odd``; it is still read.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.where = f"Airflow variable {prefix}_<model>, {prefix}_<model>@odd"

    def newest(self, model: str, near: int = 0) -> bytes | None:
        """Return the newest of what the model's variables hold, if there is any."""
        base = f"{self._prefix}_{model}"
        kept = [one for name in (base, f"{base}@odd", f"{base}_odd") if (one := self._kept(name, model)) is not None]
        return max(kept, key=number_of, default=None)

    def keep(self, model: str, number: int, envelope: bytes) -> None:
        """Set the model's variable for such numbers, unless it holds a newer head."""
        from airflow.sdk import Variable
        from airflow.sdk.exceptions import AirflowRuntimeError

        name = f"{self._prefix}_{model}" if number % 2 == 0 else f"{self._prefix}_{model}@odd"
        if number <= number_of(self._kept(name, model)):
            return
        try:
            Variable.set(name, envelope.decode(), description="Newest signed head of a Ratchet ledger")
        except (AirflowRuntimeError, ImportError, AttributeError) as error:  # only tasks may
            raise StoreUnavailable(
                "an Airflow variable can't be set", found=type(error).__name__, where=self.where
            ) from error

    def _kept(self, name: str, model: str) -> bytes | None:
        """Return what a variable holds, if it is of this model."""
        from airflow.sdk import Variable

        kept = Variable.get(name, default=None)
        return None if kept is None or not is_of(envelope := str(kept).encode(), model) else envelope


def variable_anchor(prefix: str) -> VariableAnchor | None:
    """Return the anchor, or None in a process that is no task and not the API server, which Airflow shows no variables."""
    from airflow.sdk.execution_time import task_runner

    serves = os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "server"
    return VariableAnchor(prefix) if serves or getattr(task_runner, "SUPERVISOR_COMMS", None) is not None else None


AirflowSide.signing_pem = staticmethod(signing_pem)
AirflowSide.variable_anchor = staticmethod(variable_anchor)


def _find(connection: str) -> Connection | None:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(connection)
    except AirflowNotFoundException:
        return None


def _missing(connection: str, what: str, expected: str, where: str) -> ConfigError:
    return ConfigError(
        f"There is no Airflow connection {connection} with {what}.",
        expected=expected,
        where=where,
        remedy=f"set AIRFLOW_CONN_{connection.upper()}, or make the connection in Airflow",
    )


def _no_database(connection: str, what: str, found: str) -> ConfigError:
    return ConfigError(
        what,
        expected="a connection of a SQL database, such as type postgres, mysql or sqlite, whose provider is installed",
        found=found,
        where="`connection` of a source with `kind: sql`, or of a table in `score.deliver`",
        remedy=f"correct its type, install the provider (apache-airflow-providers-...) for tasks, or set AIRFLOW_CONN_{connection.upper()}",
    )
