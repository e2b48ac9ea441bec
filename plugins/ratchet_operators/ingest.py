"""Bring in the rows that a run needs and pin them in a snapshot."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from include.config.model import ModelConfig
from include.errors import NotYetThere
from ratchet_operators.alarm_asset import alarm_asset
from ratchet_operators.connections import AirflowConnections
from ratchet_operators.declarations import upstream_assets
from ratchet_operators.lineage import rows_of
from ratchet_operators.notify import News
from ratchet_operators.operator import OF_SCHEDULE, RatchetOperator
from ratchet_operators.run_instants import as_of, began, now, run_type
from ratchet_operators.run_metrics import report_rows
from ratchet_operators.source_lineage import source_of

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context


class Waits(RatchetOperator):
    """Wait for late rows as ``data.wait`` says, without occupying a worker."""

    def work(self, context: Context) -> dict[str, Any]:
        """Bring in the rows, or look again later."""
        try:
            upstream = self.ingest(context)
        except NotYetThere as late:
            self.wait(context, late.until, late.message)
        run, waited = context["dag_run"], self.config.data.wait.at_most
        live = run_type(run) != "backfill"
        # A run that began later, such as one that is cleared, waited for nothing.
        if waited and live and began(context) < as_of(context, self.config) + waited:
            self._report_late_rows(upstream["snapshot"])
        return upstream

    def _report_late_rows(self, digest: str) -> None:
        """Tell people if what was waited for is not there."""
        from include.data.ingestion.lateness import late_partition
        from include.data.snapshots import Snapshot

        store, data = self.open_store(), self.config.data
        snapshot = Snapshot.load(store, self.config.name, digest)
        late = late_partition(store, snapshot, data, self.folder, AirflowConnections())
        if late is not None:
            sentence = f"{late} after a wait of {data.wait.at_most}; the run continued with the rows that there were."
            self.log.warning(sentence)
            self.news = News("late", sentence)

    @abstractmethod
    def ingest(self, context: Context) -> dict[str, Any]:
        """Return what the next tasks take; raises `NotYetThere` while rows are late."""


class Ingest(Waits):
    """Read the partitions that the windows need and the store lacks; hand over the snapshot that names them."""

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        upstream = ModelConfig.model_validate(model).schedule.upstream
        super().__init__(model=model, inlets=upstream_assets(upstream), **kwargs)

    def ingest(self, context: Context) -> dict[str, Any]:
        """Return as-of, snapshot, number of rows, and what the form asked for.

        The as-of of a table without event time is the one that names what it holds; ``looked`` is that of the run.
        """
        from include.data.ingestion.ingest import ingest
        from include.registry.naming.renamed import record_names
        from include.storage.content import to_iso

        config, params, store = self.config, context["params"], self.open_store()
        record_names(store, config)
        instant, asked = self._stand(context)
        snapshot = ingest(
            store,
            config,
            self.folder,
            as_of=instant,
            at=now(context),
            started=began(context),
            connections=AirflowConnections(),
            wait=True,
        )
        self.lineage = replace(source_of(config, self.folder), outputs=rows_of(store, snapshot))
        rows = sum(pinned.rows for pinned in snapshot.partitions)
        report_rows(config.declared_name, rows)
        return {
            "as_of": to_iso(snapshot.as_of),
            "looked": to_iso(instant),
            "config": self.identity,
            "snapshot": snapshot.digest,
            "rows": rows,
            "candidates": list(params.get("candidates") or config.candidate_names),
            "mode": params.get("mode") or "enforce",
            **({"asked": asked} if asked else {}),
        }

    def _stand(self, context: Context) -> tuple[datetime, int]:
        """Return the as-of of the run, and the number of retraining requests that it takes.

        The as-of of a run that an alarm triggered is that of the newest request, and the run is skipped if another run has
        taken all requests. Every other live run takes the requests up to its as-of.
        """
        from include.monitoring.watch_log import WatchLog

        config, run = self.config, context["dag_run"]
        kind = run_type(run)
        dry = context["params"].get("mode") == "dry_run" and kind not in OF_SCHEDULE
        if not config.asks_for_retraining or kind == "backfill" or dry:
            return as_of(context, config), 0
        alarm = alarm_asset(config.declared_name).uri
        woken = kind == "asset_triggered" and {one.asset.uri for one in run.consumed_asset_events} <= {alarm}
        stands = None if woken else as_of(context, config)
        asked = WatchLog(self.open_store(), config.name).take(run.run_id, at=now(context), as_of=stands)
        for one in asked:
            self.log.info("Asked for as of %s: %s", one.as_of, "; ".join(one.alarms))
        if stands is None and not asked:
            raise AirflowSkipException(
                "No retraining is requested: another run has taken the request that triggered this run."
            )
        return stands or max(one.as_of for one in asked), len(asked)
