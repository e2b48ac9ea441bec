"""Predict the rows of one interval with the champion as of its start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.ingest import Waits
from ratchet_operators.lineage import Lineage, rows_of, stored
from ratchet_operators.operator import RatchetOperator
from ratchet_operators.run_instants import as_of, began, now
from ratchet_operators.source_lineage import source_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class IngestInterval(Waits):
    """Bring in the rows between the last two ticks of ``schedule.score`` (or a whole table), with or without labels, and pin them."""

    def ingest(self, context: Context) -> dict[str, Any]:
        """Return the snapshot that names the rows, and the interval."""
        from include.scoring.score import ingest_interval, interval_at

        config = self.config
        interval = interval_at(config, as_of(context, config))
        store = self.open_store()
        snapshot = ingest_interval(
            store,
            config,
            self.folder,
            interval,
            at=now(context),
            started=began(context),
            connections=AirflowConnections(),
        )
        self.lineage = replace(source_of(config, self.folder), outputs=rows_of(store, snapshot))
        return {"config": self.identity, "snapshot": snapshot.digest, **interval.to_json()}


class Score(RatchetOperator):
    """Publish the scores of an interval, and emit the asset event of ``x-ratchet://<model>/scores``."""

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[scores_asset(str(model["name"]))], **kwargs)

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was published; skipped, without an asset event, if there was no champion or no row."""
        from include.config.sections.rows.segments import segment_key
        from include.data.snapshots import Snapshot
        from include.errors import NotEnoughRows
        from include.scoring.score import score

        config, store = self.config, self.open_store()
        snapshot = Snapshot.load(store, config.name, self.upstream["snapshot"])
        try:
            published = score(store, config, self.folder, snapshot, at=now(context), threads=self.threads)
        except NotEnoughRows as none:
            raise AirflowSkipException(f"There is nothing to score. {none.message}") from none
        if published is None:
            raise AirflowSkipException(
                f"{config.declared_name} had no champion yet as of {self.upstream['after']}, where this interval begins (a table is scored as of that instant). "
                f"Run retrain_{config.declared_name} for that date or an earlier one; then clear this task."
            )
        facts: dict[str, Any] = {
            "version": published.version,
            "after": published.after,
            "until": published.until,
            "rows": published.rows,
            "out_of_domain": published.outside,
        }
        of = {config.name: published.version}
        of |= {segment_key(config.name, segment): version for segment, version in published.segments.items()}
        champions = (stored(store, name, "champion", version=version) for name, version in of.items())
        scores = stored(store, config.name, "scores", rows=published.rows, version=published.scores)
        self.lineage = Lineage((*rows_of(store, snapshot), *champions), (scores,))
        context["outlet_events"][scores_asset(config.declared_name)].extra = dict(facts)
        return {**self.upstream, **facts, "scores": published.scores}


def scores_asset(model: str) -> Asset:
    """Return the asset of a model's batch predictions."""
    return Asset(name=f"{model}_scores", uri=f"x-ratchet://{model}/scores")
