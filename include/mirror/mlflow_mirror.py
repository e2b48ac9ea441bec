"""A model's ledger, mirrored in MLflow: each version a run, the champion the alias ``champion`` of the registered model.

Every step may be repeated, and what a killed mirror left is found by its tags.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.config.settings import Settings
from include.errors import ConfigError, MirrorBehind
from include.mirror.registered_model import RegisteredModel
from include.registry.ledger import Ledger

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_TRIES = 4
_PATIENCE = {
    # A mirror that waits long holds a task's place for nothing: the next one catches up.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class Mirrored:
    """What a mirror did.

    Attributes
    ----------
    written : int
        How many versions' runs were made or brought up to date.
    champion : str or None
        The version that the alias now names; None where none is in force.
    wrong : dict of str to str
        Why versions could not be mirrored, by id: one of their records is damaged.
    """

    written: int
    champion: str | None
    wrong: dict[str, str]


def mirror(ledger: Ledger, *, credentials: Callable[[], tuple[str, str]] | None = None) -> Mirrored:
    """Update MLflow to the state of the ledger, and return what was changed.

    Reads the ledger and writes nothing to the store. The ledger is read again after the alias was moved: of two mirrors that
    run at the same time, the one that had read an older ledger detects it.

    Parameters
    ----------
    credentials : callable, optional
        Returns login and password for MLflow; with an empty login the password is a token. MLflow's own variables count
        if left out.

    Raises
    ------
    ConfigError
        When no MLflow server is set, its client is not installed, or a registered model there is not the mirror of this store.
    MirrorBehind
        When MLflow does not answer or refuses.
    """
    settings = Settings.from_environment()
    if settings.mlflow is None:
        raise ConfigError(
            "There is no MLflow server to mirror to.",
            expected="its address, such as http://mlflow:5000",
            where="environment variable RATCHET_MLFLOW",
        )
    client = _client(settings.mlflow, credentials)
    side = RegisteredModel(client, ledger, settings.mlflow_name.format(model=ledger.model), settings.mlflow)
    written: set[str] = set()
    wrong: dict[str, str] = {}
    refused = 0
    with _answering(settings.mlflow):
        from mlflow.exceptions import RestException

        while True:
            entries, champion = ledger.entries(), None
            try:
                if entries:
                    side.find()
                    written |= side.write_runs(entries, wrong)
                    champion = side.move_alias(entries)
            except RestException as error:
                # Two mirrors that write one row at the same time: MLflow's database refuses one of them.
                refused += 1
                if refused == _TRIES:
                    raise
                log.warning("MLflow refused a write, which is tried again: %s", error.error_code)
                time.sleep(random.uniform(0.2, 1))  # noqa: S311 - spreads writers, guards nothing
                continue
            if not ledger.has_news():
                return Mirrored(len(written), champion, wrong)


def _client(address: str, credentials: Callable[[], tuple[str, str]] | None) -> MlflowClient:
    # Read when MLflow is imported: set before.
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise ConfigError(
            "The client of MLflow is not installed.",
            expected="mlflow-skinny, version 3",
            remedy="pip install --requirement requirements-mlflow.txt, or leave RATCHET_MLFLOW unset",
        ) from None
    if credentials is not None:
        login, password = credentials()
        told = {"MLFLOW_TRACKING_USERNAME": login, "MLFLOW_TRACKING_PASSWORD": password}
        os.environ.update(told if login else {"MLFLOW_TRACKING_TOKEN": password})
    return MlflowClient(tracking_uri=address, registry_uri=address)


@contextmanager
def _answering(address: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException

    try:
        yield
    # Artifacts may be in a bucket, which the client writes to itself; an error of requests is an OSError.
    except (MlflowException, BotoCoreError, ClientError, OSError, ImportError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise MirrorBehind(
            "MLflow is not up to date with the ledger.",
            expected="a server that answers, and that this process may write to",
            found=f"{type(error).__name__}: {said[:300]}",
            where=address,
            remedy="nothing is lost: the next run catches up, or `python -m include mirror`",
        ) from error
