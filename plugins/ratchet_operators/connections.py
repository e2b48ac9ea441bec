"""Clients of the outside world from Airflow's connections, for the parts of ``include`` that need one."""

from __future__ import annotations

from typing import Any

from include.errors import ConfigError


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
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(connection)
    except AirflowNotFoundException as error:
        # The hook would go on without it, as whoever this machine is.
        raise ConfigError(
            f"There is no Airflow connection {connection}.",
            expected="a connection of type aws, as the settings or the model name it",
            where="RATCHET_STORE_CONNECTION, or `data.source.connection` of a model",
            remedy=f"set AIRFLOW_CONN_{connection.upper()}, or make the connection in Airflow; the commands of a person see the first only",
        ) from error
    return AwsGenericHook(aws_conn_id=connection, client_type="s3").get_conn()


class AirflowConnections:
    """What a model's source may open: buckets and databases, by connection id."""

    def s3(self, connection: str | None) -> Any:
        """Return a boto3 S3 client."""
        return s3_client(connection)

    def sql(self, connection: str) -> Any:
        """Return a SQLAlchemy engine."""
        from airflow.sdk import BaseHook

        hook = BaseHook.get_connection(connection).get_hook()  # type: ignore[no-untyped-call] # as Airflow has it
        return hook.get_sqlalchemy_engine()
