"""List the segments of a run, and retrain one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.lineage import Lineage, rows_of, stored
from ratchet_operators.operator import RatchetOperator, actor_of
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class ListSegments(RatchetOperator):
    """Find the levels with enough rows, put them on record, and hand over their names: one mapped task each."""

    def work(self, context: Context) -> list[str]:
        """Return the names of the segments, as many as the declaration allows at most."""
        from include.data.segment_log import SegmentLog
        from include.data.segments import list_segments
        from include.data.snapshots import Snapshot

        config, store = self.config, self.open_store()
        snapshot = Snapshot.load(store, config.name, self.upstream["snapshot"])
        found = list_segments(store, config, snapshot)
        SegmentLog(store, config.name).keep(found, at=now(context))
        self.lineage = Lineage(rows_of(store, snapshot), (stored(store, config.name, "segment_log"),))
        for one in found.levels:
            self.log.info("%s: %s rows", one.name, f"{one.rows:,}")
        self.log.info(
            "%d segments; %s rows of %d rarer levels, and %s without a value, stay with the model of all rows",
            *(len(found.levels), f"{found.rare_rows:,}", found.rare, f"{found.missing:,}"),
        )
        return [one.name for one in found.levels]


class RetrainSegment(RatchetOperator):
    """Train, judge and promote the model of one segment; skipped, with the reason, where its rows are not enough.

    Parameters
    ----------
    segment : str
        The segment's name.
    """

    def __init__(self, *, segment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segment = segment

    def work(self, context: Context) -> dict[str, Any]:
        """Return the version, its outcome and the segment's champion."""
        from include.config.settings import Settings
        from include.data.segment_log import SegmentLog
        from include.data.snapshots import Snapshot
        from include.segments import UNTRAINED, retrain_segment
        from ratchet_operators.run_metrics import report_written

        config, store, settings = self.config, self.open_store(), Settings.from_environment()
        snapshot = Snapshot.load(store, config.name, self.upstream["snapshot"])
        done = retrain_segment(
            store,
            config,
            self.folder,
            snapshot,
            SegmentLog(store, config.name).of(config, snapshot),
            self.segment,
            pooled=self.upstream["version"],
            actor={**actor_of(context), "task": self.task_id},
            at=now(context),
            threads=settings.threads,
            cluster=settings.dask,
            candidates=self.upstream["candidates"],
            dry=self.upstream["mode"] == "dry_run",
            written=lambda entry: report_written(config.declared_name, entry),
        )
        self.log.info("%s %s: %s", self.segment, done.outcome, done.reason)
        if done.outcome == UNTRAINED:
            raise AirflowSkipException(f"{self.segment} is not trained: {done.reason}")
        pooled = stored(store, config.name, "versions", version=self.upstream["version"])
        made = [
            stored(store, done.model, "fits"),
            stored(store, done.model, "versions", version=done.version),
            stored(store, done.model, "evidence"),
            stored(store, done.model, "cards", version=done.card),
        ]
        if done.champion is not None and done.champion == done.version:
            made.append(stored(store, done.model, "champion", version=done.champion))
        self.lineage = Lineage((*rows_of(store, snapshot), pooled), tuple(made))
        return {"segment": self.segment, "version": done.version, "outcome": done.outcome, "champion": done.champion}
