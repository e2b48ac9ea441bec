"""One registered model of MLflow and the experiment of its runs, as the mirror of a ledger.

Of several runs for one version the one stays whose model version has the smallest number: MLflow numbers them in the order in
which they are made, and has no other write that only the first of two wins.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from include.errors import ConfigError, MirrorBehind, RatchetError, StoreUnavailable
from include.mirror.version_run import PREFIX, DatasetInput, VersionRun, state_of, version_run
from include.registry.ledger import Ledger
from include.registry.timeline import fold
from include.registry.version_states import VersionState
from include.storage.log import Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CHAMPION = "champion"
"""The alias of the model version that is in force."""
_VERSION, _STORE, _STATE = f"{PREFIX}version", f"{PREFIX}store", f"{PREFIX}mirrored"
_PAGE = 100  # parameters that MLflow takes at once


class RegisteredModel:
    """One registered model and the experiment of its runs.

    Parameters
    ----------
    client : MlflowClient
    ledger : Ledger
        What it mirrors; read only.
    name : str
        The model's name in MLflow.
    address : str
        The server's, for messages.
    """

    def __init__(self, client: MlflowClient, ledger: Ledger, name: str, address: str) -> None:
        self._client, self._ledger, self._name, self._address = client, ledger, name, address

    def find(self) -> None:
        """Find or make both, and read which versions are shown already."""
        self._experiment = self._find_experiment(f"ratchet/{self._name}")
        self._require_ours()
        self._shown: dict[str, list[ModelVersion]] = {}
        for one in self._model_versions():
            self._shown.setdefault(str(one.tags.get(_VERSION)), []).append(one)
        self._run_ids: dict[str, list[str]] = {}
        for run in self._runs():
            self._run_ids.setdefault(str(run.data.tags.get(_VERSION)), []).append(run.info.run_id)

    def write_runs(self, entries: tuple[Entry, ...], wrong: dict[str, str]) -> set[str]:
        """Bring the runs of all versions up to date, and return which had to be written; those that can't be go to ``wrong``."""
        registered = {one.body["version"]: one for one in reversed(entries) if one.kind == "registered"}
        written = set()
        for standing in sorted(fold(entries).standings, key=lambda one: one.registered):
            if self._is_shown(standing):
                continue
            decided = None if standing.decided is None else entries[standing.decided]
            try:
                run = version_run(self._ledger, standing, registered[standing.version], decided)
            except StoreUnavailable:
                raise
            except RatchetError as error:
                log.error("%s can't be shown in MLflow: %s", standing.version, error)
                wrong[standing.version] = error.message
                continue
            self._write(standing, run)
            written.add(standing.version)
        return written

    def move_alias(self, entries: tuple[Entry, ...]) -> str | None:
        """Point the alias at the champion of these events, and return its version."""
        champion = fold(entries).champion
        shown = None if champion is None else self._standing(champion)
        now = self._client.get_registered_model(self._name).aliases.get(CHAMPION)
        if shown is None:
            if now is not None:
                self._client.delete_registered_model_alias(self._name, CHAMPION)
            return None
        if str(now) != str(shown.version):
            self._client.set_registered_model_alias(self._name, CHAMPION, str(shown.version))
            log.info("%s of %s is now version %s: %s", CHAMPION, self._name, shown.version, champion)
        return champion

    def _is_shown(self, standing: VersionState) -> bool:
        """Tell whether a version has one run and one model version, and they are up to date."""
        shown, runs = self._shown.get(standing.version, []), self._run_ids.get(standing.version, [])
        return len(shown) == 1 and runs == [shown[0].run_id] and shown[0].tags.get(_STATE) == state_of(standing)

    def _standing(self, version: str) -> ModelVersion | None:
        """Return the MLflow model version of a version: the first that was created."""
        return min(self._shown.get(version, ()), key=lambda one: int(one.version), default=None)

    def _write(self, standing: VersionState, run: VersionRun) -> None:
        shown = self._standing(standing.version)
        if shown is None or not self._revive(shown):
            shown = self._make(run)
        self._remove_others(standing.version, shown)
        self._fill(str(shown.run_id), run)
        for name in ("outcome", "withdrawn", "rebuilt_as"):
            if (value := run.tags.get(f"{PREFIX}{name}")) is not None:
                self._client.set_model_version_tag(self._name, shown.version, f"{PREFIX}{name}", value)
        # Last, so that a mirror that is killed before it is repeated.
        self._client.set_model_version_tag(self._name, shown.version, _STATE, state_of(standing))

    def _make(self, run: VersionRun) -> ModelVersion:
        """Make a version's run and its model version, or find those that another mirror made first."""
        found = list(self._runs(run.name))
        made = found[0] if found else self._create_run(run)
        self._client.create_model_version(
            self._name,
            source=made.info.artifact_uri,
            run_id=made.info.run_id,
            tags={_VERSION: run.name, _STORE: self._ledger.store.url},
            description=f"Mirror of Ratchet's version {run.name}; what is true stands in the ledger.",
            await_creation_for=0,
        )
        self._shown[run.name] = [one for one in self._model_versions() if one.tags.get(_VERSION) == run.name]
        first = self._standing(run.name)
        assert first is not None  # noqa: S101 (just made)
        return first

    def _create_run(self, run: VersionRun) -> Any:
        tags = {"mlflow.runName": run.name, _VERSION: run.name, _STORE: self._ledger.store.url}
        return self._client.create_run(self._experiment, start_time=run.started, tags=tags)

    def _revive(self, shown: ModelVersion) -> bool:
        """Take back a run that a person deleted, and tell whether that could be done; MLflow removes it for good after a while."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(str(shown.run_id))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.delete_model_version(self._name, shown.version)
            self._shown[str(shown.tags[_VERSION])].remove(shown)
            return False
        if run.info.lifecycle_stage == "deleted":
            self._client.restore_run(str(shown.run_id))
        return True

    def _remove_others(self, version: str, first: ModelVersion) -> None:
        """Remove what other mirrors made of a version at the same time, or before they were killed."""
        from mlflow.exceptions import MlflowException

        for other in self._shown[version]:
            if other.version != first.version:
                try:
                    self._client.delete_model_version(self._name, other.version)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # its own maker was faster
                        raise
        self._shown[version] = [first]
        for run in self._runs(version):
            if run.info.run_id != first.run_id:
                self._client.delete_run(run.info.run_id)

    def _fill(self, run_id: str, run: VersionRun) -> None:
        from mlflow.entities import Metric, Param, RunTag

        # What a killed or earlier mirror wrote is the same: parameters never change, and a metric is one at its time and step.
        params = [Param(name, text) for name, text in run.params.items()]
        metrics = [Metric(name, value, run.ended, run.step) for name, value in run.metrics.items()]
        tags = [RunTag(name, text) for name, text in run.tags.items()]
        for start in range(0, max(len(params), 1), _PAGE):
            self._client.log_batch(run_id, params=params[start : start + _PAGE])
        for start in range(0, max(len(metrics), 1), 500):
            self._client.log_batch(run_id, metrics=metrics[start : start + 500])
        self._client.log_batch(run_id, tags=tags)
        self._client.log_inputs(run_id, [_input(one) for one in run.inputs])
        if run.card is not None:
            self._client.log_text(run_id, run.card, "card.html")
        self._client.set_terminated(run_id, "FINISHED", end_time=run.ended)

    def _runs(self, version: str | None = None) -> Iterator[Any]:
        """Yield the runs that are not deleted, of one version or of all."""
        one = "" if version is None else f" and tags.`{_VERSION}` = '{version}'"
        url = self._ledger.store.url.replace("'", "''")
        return _paged(
            lambda token: self._client.search_runs(
                [self._experiment], f"tags.`{_STORE}` = '{url}'{one}", page_token=token
            )
        )

    def _model_versions(self) -> Iterator[ModelVersion]:
        return _paged(
            lambda token: self._client.search_model_versions(
                f"name = '{self._name}'", max_results=1000, page_token=token
            )
        )

    def _find_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        for _ in range(2):
            if (found := self._client.get_experiment_by_name(name)) is not None:
                if found.lifecycle_stage != "active":
                    raise MirrorBehind(
                        f"The experiment {name} was deleted in MLflow.",
                        where=self._address,
                        remedy=f"restore it there: mlflow experiments restore --experiment-id {found.experiment_id}",
                    )
                return str(found.experiment_id)
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise MirrorBehind(f"The experiment {name} can be neither found nor made.", remedy="try again")

    def _require_ours(self) -> None:
        from mlflow.exceptions import MlflowException

        url = self._ledger.store.url
        try:
            self._client.create_registered_model(self._name, tags={_STORE: url})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._client.get_registered_model(self._name).tags.get(_STORE)
        if found != url:
            raise ConfigError(
                f"The registered model {self._name} in MLflow is not the mirror of this store.",
                expected=f"the tag {_STORE} with {url}",
                found=found or "no such tag",
                where=self._address,
                remedy="set RATCHET_MLFLOW_NAME to another name, such as staging-{model}. If the store has moved, change the tag",
            )


def _paged(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    page = ask(None)
    yield from page
    while page.token:
        page = ask(page.token)
        yield from page


def _input(one: DatasetInput) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    schema = {"mlflow_colspec": [{"name": name, "type": kind, "required": False} for name, kind in one.schema.items()]}
    dataset = Dataset(
        one.name, one.digest, "ratchet", json.dumps(one.source), json.dumps(schema), json.dumps({"num_rows": one.rows})
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", one.context)])
