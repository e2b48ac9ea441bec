"""Bring in the rows that a run needs and pin them in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.numbers import report_rows
from ratchet_operators.operator import RatchetOperator, as_of, began, now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Ingest(RatchetOperator):
    """Read the partitions that the windows need and the store lacks; hand over the snapshot that names them."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return as-of, snapshot, number of rows, and what the form asked for.

        The as-of of a table without event time is the one that names what it holds; ``looked`` is that of the run.
        """
        from include.data.partitions import ingest
        from include.storage.content import to_iso

        config, params = self.config, context["params"]
        instant = as_of(context, config)
        snapshot = ingest(
            self.open_store(),
            config,
            self.folder,
            as_of=instant,
            at=now(context),
            started=began(context),
            connections=AirflowConnections(),
        )
        rows = sum(pinned.rows for pinned in snapshot.partitions)
        report_rows(config.name, rows)
        return {
            "as_of": to_iso(snapshot.as_of),
            "looked": to_iso(instant),
            "config": self.identity,
            "snapshot": snapshot.digest,
            "rows": rows,
            "candidates": list(params.get("candidates") or config.candidate_names),
            "mode": params.get("mode") or "enforce",
        }
