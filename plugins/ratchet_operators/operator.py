"""The base operator: it reads the model's configuration, opens the store, and turns errors into Airflow's."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from include.config.model import ModelConfig
from include.config.settings import Settings
from include.errors import ConfigError, QualityError, RatchetError, SchemaChanged, SourceError, StoreUnavailable
from ratchet_operators.lineage import Lineage
from ratchet_operators.notify import News
from ratchet_operators.run_instants import now, run_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from include.registry.ledger import Ledger
    from include.storage.store import ObjectStore, PrunableStore

OF_SCHEDULE = ("backfill", "scheduled", "asset_triggered")
"""The types of runs that the model's schedule makes, by time or by an upstream asset; what the form holds is not theirs."""
_LOOK_AGAIN = timedelta(minutes=5)
_REFUSED = (QualityError, SchemaChanged, SourceError)


class RatchetOperator(BaseOperator):
    """Work on one model.

    Parameters
    ----------
    model : dict
        The model's configuration as JSON; validated again when the task runs.
    upstream : dict or list of dict, optional
        What the task before returned: ids and small numbers, never rows (templated).
    handed : dict or list of dict, optional
        The former name of `upstream`: a run of an earlier commit of a bundle keeps that commit's DAG file, and this release's operators.
    stage : str, optional
        A stage of ``RATCHET_STAGES``: the task works on that stage's store, by that stage's declaration.
    """

    template_fields: Sequence[str] = ("upstream",)
    ui_color = "#eef2f7"

    news: News | tuple[News, ...] | None = None
    """What a task has to tell the people whom its model names, set while it runs."""

    lineage: Lineage | None = None
    """What a task read and wrote, set while it runs."""

    def __init__(
        self,
        *,
        model: dict[str, Any],
        upstream: Any = None,
        handed: Any = None,
        stage: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.upstream = handed if upstream is None else upstream
        self.stage = stage

    @classmethod
    def partial(cls, *, handed: Any = None, **kwargs: Any) -> OperatorPartial:
        """Take what all mapped tasks share, ``handed`` also under its former name."""
        return super().partial(**kwargs if handed is None else {**kwargs, "upstream": handed})

    def execute(self, context: Context) -> Any:
        """Check the configuration and do the work; what a retry can't help fails at once."""
        try:
            self.config, self.identity = self._configure()
            return self.work(context)
        except RatchetError as error:
            self.log.error(str(error))
            # Airflow closes the log with the exception and its stack: folded away there, after the lines that help.
            self.log.info("::group::Stack")
            if isinstance(error, StoreUnavailable):
                raise error from None
            page = f"ratchet/{page}" if (page := getattr(self, "page", None)) else None
            self.news = News("refused" if isinstance(error, _REFUSED) else "alarm", error.message, page=page)
            raise AirflowFailException(error.message).with_traceback(error.__traceback__) from None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return what the task read and wrote; asked for by Airflow's provider of OpenLineage, where it is installed."""
        return None if self.lineage is None else self.lineage.to_openlineage()

    @abstractmethod
    def work(self, context: Context) -> Any:
        """Return what the next tasks take as `upstream`."""

    def wait(self, context: Context, until: datetime, reason: str) -> NoReturn:
        """Begin again in five minutes, at ``until`` at the latest, without occupying a worker."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        at = min(now(context) + _LOOK_AGAIN, until)
        self.log.info("%s The task checks again at %s, until %s.", reason, f"{at:%H:%M}", f"{until:%d %B %H:%M}")
        self.defer(trigger=DateTimeTrigger(moment=at), method_name="look_again")

    def look_again(self, context: Context, event: Any = None) -> Any:
        """Continue after a wait; the trigger's event only says that the time has come."""
        return self.execute(context)

    def _configure(self) -> tuple[ModelConfig, str]:
        """Return the configuration, and its identity together with that of its code, which must be the identity that this run began with.

        Parts that do not affect the result, such as the description or `notify`, may be edited during the run.
        """
        from include.config.code import code_digest
        from include.storage.content import digest_json

        config = ModelConfig.model_validate(self.model)
        identity = digest_json({"model": config.identity, "code": code_digest(self.folder)})
        for upstream in self.upstream if isinstance(self.upstream, list) else [self.upstream]:
            if upstream and upstream["config"] != identity:
                raise ConfigError(
                    f"The declaration or code of {config.declared_name} changed during this run.",
                    expected=f"configuration {upstream['config'][:12]}, with which the run began",
                    found=identity[:12],
                    where=self.folder,
                    remedy="clear the run from its first task, so that all of it uses the new declaration",
                )
        return config, identity

    @property
    def folder(self) -> Path:
        """The folder of the model's YAML and Python files, in the bundle from which this task's DAG was parsed."""
        settings = Settings.from_environment(dag_file=dag.fileloc if (dag := self.get_dag()) else None)
        models = settings.models if self.stage is None else dict(settings.stage_models)[self.stage]
        return models / str(self.model["name"])

    @property
    def threads(self) -> int:
        """How many threads the task may compute with."""
        return Settings.from_environment().threads

    def open_store(self) -> ObjectStore:
        """Open the artifact store; for S3 with the deployment's Airflow connection. Records that a task reads twice it reads once."""
        from include.storage.remembering import RememberingStore

        store: ObjectStore = self.open_prunable_store()
        if self.model.get("retention"):  # what the task needs of what is marked for removal stays
            from include.storage.tombstones import MarkedStore

            name = [*self.model.get("renamed_from", ()), self.model["name"]][0]  # its declaration may not be read yet
            store = MarkedStore(store, name, keep=lambda: datetime.now(UTC))
        return RememberingStore(store)

    def open_prunable_store(self) -> PrunableStore:
        """Open the artifact store for a task that removes from it."""
        return open_store_of(self.stage)

    def open_ledger(self, name: str | None = None) -> Ledger:
        """Open the model's ledger, or that of another name; what is written to it is counted, once, among Airflow's metrics."""
        from include.registry.ledger import Ledger
        from ratchet_operators.run_metrics import report_written

        shown = self.config.declared_name
        return Ledger(self.open_store(), name or self.config.name, written=lambda entry: report_written(shown, entry))

    def actor(self, context: Context) -> dict[str, Any]:
        """Return who or what made this task run, for the ledger."""
        return actor_of(context) | {"task": self.task_id}


def open_store_of(stage: str | None) -> PrunableStore:
    """Open the store of a stage, or of this deployment (None); for S3 with the Airflow connection that the settings name."""
    from include.storage.opening import open_store
    from ratchet_operators.connections import s3_client

    settings = Settings.from_environment()
    if stage is None:
        url, connection = settings.store, settings.store_connection
    else:
        url, connection = dict(settings.stages)[stage], dict(settings.stage_connections).get(stage)
    return open_store(url, s3_client=lambda: s3_client(connection))


def actor_of(context: Context) -> dict[str, Any]:
    """Return who or what made this run happen, for the ledger."""
    run = context["dag_run"]
    kind = run_type(run)
    params = context["params"]
    actor = {
        "trigger": "manual" if kind not in OF_SCHEDULE else "backfill" if kind == "backfill" else "scheduled",
        "dag": run.dag_id,
        "run": run.run_id,
        "user": getattr(run, "triggering_user_name", None),
        "reason": params.get("reason"),
    }
    return {name: fact for name, fact in actor.items() if fact}
