"""Settings of a deployment, from environment variables; settings of a model are in its model.yaml."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from include.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
_MODELS = Path("include", "models")


@dataclass(frozen=True)
class Settings:
    """Where the models are declared and where their artifacts are kept."""

    store: str
    """``RATCHET_STORE``: ``file:///folder`` or ``s3://bucket/prefix``; a folder ``.ratchet/store`` beside the DAGs if unset."""
    store_connection: str | None
    """``RATCHET_STORE_CONNECTION``: the Airflow connection (type ``aws``) for an ``s3://`` store; boto3's own chain if unset."""
    models: Path
    """``RATCHET_MODELS``: the folder with one folder a model; if unset, ``include/models`` of the DAG file's bundle, or beside this code."""
    threads: int
    """``RATCHET_THREADS``: how many threads one task may compute with; 1 if unset, since tasks share the cores."""
    dask: str | None = None
    """``RATCHET_DASK``: the address of a Dask scheduler, such as ``tcp://dask-scheduler:8786``, to whose workers the trials of grid, random and halving searches go, and which read and fit rows with `training.engine: dask`; in the task itself if unset."""
    permitted_types: frozenset[str] = frozenset()
    """``RATCHET_PERMITTED_TYPES``: dotted paths of classes, separated by commas or blanks, that a model file may hold besides Ratchet's own list. Reading a file builds objects of these classes and hands them their state: name only what is safe with any state."""

    source_folders: tuple[Path, ...] = ()
    """``RATCHET_SOURCE_FOLDERS``: absolute folders, separated as in ``PATH``, below which `data.source.path` may lie besides the model's own folder. Models can read every file there that a worker can."""

    trusted_keys: Path | None = None
    """``RATCHET_TRUSTED_KEYS``: a JSON file of the public keys whose signatures count, outside the store. Set, every ledger must be signed and every version is checked before it is used; unset, nothing is."""
    signing_key: Path | None = None
    """``RATCHET_SIGNING_KEY``: a file outside the store with the private key (Ed25519, PEM) that this process signs with."""
    signing_kms: str | None = None
    """``RATCHET_SIGNING_KEY`` as ``awskms:///<id, ARN or alias>``: a key of AWS KMS that this process signs with."""
    signing_connection: str | None = None
    """``RATCHET_SIGNING_CONNECTION``: the Airflow connection whose password is that key, for tasks."""
    anchors: tuple[str, ...] = ()
    """``RATCHET_ANCHORS``: where the newest signed head of each ledger is remembered, out of reach of the store's writers: ``file:///folder``, ``s3://bucket/prefix`` or ``variable://prefix`` (Airflow variables, for tasks), with blanks between several."""
    mlflow: str | None = None
    """``RATCHET_MLFLOW``: the address of an MLflow server, such as ``http://mlflow:5000``, in which every version is shown as a run; nothing is mirrored if unset."""
    mlflow_connection: str | None = None
    """``RATCHET_MLFLOW_CONNECTION``: the Airflow connection with login and password for it, or with a token as password alone, for tasks; MLflow's own variables (``MLFLOW_TRACKING_USERNAME``, ...) if unset."""
    mlflow_name: str = "{model}"
    """``RATCHET_MLFLOW_NAME``: the name of a registered model there, such as ``staging-{model}`` where several deployments share the server."""

    stages: tuple[tuple[str, str], ...] = ()
    """``RATCHET_STAGES``: the stores of other stages that champions may be sent to, by name: ``staging=s3://bucket/staging production=s3://other/prefix``."""
    stage_models: tuple[tuple[str, Path], ...] = ()
    """``RATCHET_STAGE_MODELS``: the folders of models of stages whose gate decides in this Airflow, too: ``production=/opt/production/models``. A stage without one has an Airflow of its own."""
    stage_connections: tuple[tuple[str, str], ...] = ()
    """``RATCHET_STAGE_CONNECTIONS``: the Airflow connections (type ``aws``) of stages whose store needs one of its own: ``production=aws_production``."""

    @classmethod
    def from_environment(cls, *, dag_file: str | None = None) -> Settings:
        """Read the settings.

        Parameters
        ----------
        dag_file : str, optional
            The DAG file that asks: its bundle holds the models, unless ``RATCHET_MODELS`` says where they are. A run of a
            versioned bundle so has the models of its own commit.

        Raises
        ------
        ConfigError
            When a variable holds something that it may not.
        """
        store = os.environ.get("RATCHET_STORE") or (ROOT / ".ratchet" / "store").as_uri()
        if not store.startswith(("file:///", "s3://")):
            raise ConfigError(
                "The store's address is not understood.",
                expected="file:///folder or s3://bucket/prefix",
                found=store,
                where="environment variable RATCHET_STORE",
            )
        threads = os.environ.get("RATCHET_THREADS") or "1"
        if not threads.isdecimal() or int(threads) < 1:
            raise ConfigError(
                "The number of threads is not understood.",
                expected="a whole number of at least 1",
                found=threads,
                where="environment variable RATCHET_THREADS",
            )
        permitted = frozenset(re.split(r"[,\s]+", os.environ.get("RATCHET_PERMITTED_TYPES", ""))) - {""}
        if strange := sorted(name for name in permitted if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name)):
            raise ConfigError(
                "A type that model files may hold is not understood.",
                expected="dotted paths such as package.module.Class, separated by commas",
                found=strange[0],
                where="environment variable RATCHET_PERMITTED_TYPES",
            )
        folders = tuple(map(Path, filter(None, os.environ.get("RATCHET_SOURCE_FOLDERS", "").split(os.pathsep))))
        if loose := [one for one in folders if not one.is_absolute()]:
            raise ConfigError(
                "A folder that sources may read is not understood.",
                expected=f"absolute paths, with `{os.pathsep}` between them",
                found=str(loose[0]),
                where="environment variable RATCHET_SOURCE_FOLDERS",
            )
        stages, stage_models, stage_connections = _stages()
        trusted, key = (os.environ.get(f"RATCHET_{name}") for name in ("TRUSTED_KEYS", "SIGNING_KEY"))
        connection, anchors = (os.environ.get(f"RATCHET_{name}") for name in ("SIGNING_CONNECTION", "ANCHORS"))
        if not trusted and (key or connection or anchors):
            raise ConfigError(
                "Signing is half set up.",
                expected="RATCHET_TRUSTED_KEYS beside any of RATCHET_SIGNING_KEY, RATCHET_SIGNING_CONNECTION, RATCHET_ANCHORS",
                remedy="name the file of trusted public keys; docs/security.md tells how to make it",
            )
        mlflow, mlflow_name = os.environ.get("RATCHET_MLFLOW"), os.environ.get("RATCHET_MLFLOW_NAME") or "{model}"
        if mlflow and not re.fullmatch(r"https?://[^\s@]+", mlflow):
            raise ConfigError(
                "The address of MLflow is not understood.",
                expected="http://host:port or https://host, without a user or a password",
                where="environment variable RATCHET_MLFLOW",
                remedy="put login and password in a connection, and name it by RATCHET_MLFLOW_CONNECTION",
            )
        if mlflow_name.count("{model}") != 1 or not re.fullmatch(r"[\w .-]+", mlflow_name.replace("{model}", "x")):
            raise ConfigError(
                "The name of models in MLflow is not understood.",
                expected="a text with {model} in it once, such as staging-{model}",
                found=mlflow_name,
                where="environment variable RATCHET_MLFLOW_NAME",
            )
        return cls(
            store=store,
            store_connection=os.environ.get("RATCHET_STORE_CONNECTION") or None,
            models=Path(os.environ.get("RATCHET_MODELS") or _models_of_bundle(dag_file)),
            threads=int(threads),
            dask=os.environ.get("RATCHET_DASK") or None,
            permitted_types=permitted,
            source_folders=folders,
            trusted_keys=Path(trusted) if trusted else None,
            signing_key=Path(key) if key and not key.startswith(_KMS) else None,
            signing_kms=key.removeprefix(_KMS) if key and key.startswith(_KMS) else None,
            signing_connection=connection or None,
            anchors=tuple((anchors or "").split()),
            mlflow=mlflow or None,
            mlflow_connection=os.environ.get("RATCHET_MLFLOW_CONNECTION") or None,
            mlflow_name=mlflow_name,
            stages=stages,
            stage_models=tuple((name, Path(folder)) for name, folder in stage_models),
            stage_connections=stage_connections,
        )


_KMS = "awskms:///"


def _stages() -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the stores of stages, their folders of models and their connections, each by the stage's name."""
    stages = _by_name("RATCHET_STAGES", r"(file:///|s3://).+", "NAME=file:///folder or NAME=s3://bucket/prefix")
    models = _by_name("RATCHET_STAGE_MODELS", "/.*", "NAME=/absolute/folder")
    connections = _by_name("RATCHET_STAGE_CONNECTIONS", r"[\w.-]+", "NAME=connection")
    for variable, named in (("RATCHET_STAGE_MODELS", models), ("RATCHET_STAGE_CONNECTIONS", connections)):
        if unknown := [name for name, _ in named if name not in dict(stages)]:
            raise ConfigError(
                "There is no such stage.",
                expected=", ".join(dict(stages)) or "a name of RATCHET_STAGES, which is not set",
                found=unknown[0],
                where=f"environment variable {variable}",
            )
    return stages, models, connections


def _by_name(variable: str, value: str, expected: str) -> tuple[tuple[str, str], ...]:
    named = tuple(one.partition("=") for one in os.environ.get(variable, "").split())
    for name, _, given in named:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not re.fullmatch(value, given):
            raise ConfigError(
                "A stage is not understood.",
                expected=f"{expected}, with blanks between several",
                found=name if given else f"{name}, with nothing behind it",
                where=f"environment variable {variable}",
            )
    return tuple((name, given) for name, _, given in named)


def _models_of_bundle(dag_file: str | None) -> Path:
    """Return the nearest ``include/models`` above a DAG file, or the one beside this code."""
    above = Path(dag_file).parents if dag_file else ()
    return next((found for root in above if (found := root / _MODELS).is_dir()), ROOT / _MODELS)
