"""Take a reading of a partition back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.lineage import Lineage, LineageDataset
from ratchet_operators.notify import News
from ratchet_operators.operator import RatchetOperator
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Retract(RatchetOperator):
    """Retract the reading that the form names, or restore it, and list the versions that were trained on it."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was taken back, what is in force since, and how many versions were trained on it."""
        from include.data.ingestion.retract import retract
        from include.registry.history.trained_on import trained_on
        from include.registry.ledger import Ledger

        store, params, actor = self.open_store(), context["params"], self.actor(context)
        done = retract(
            store,
            self.config,
            self.folder,
            params["partition"].strip(),
            params["reading"],
            params["reason"],
            actor=actor,
            at=now(context),
            restore=bool(params["restore"]),
        )
        catalogue = f"{store.url}/{done.reading.key.rpartition('/')[0].rpartition('/')[0]}"
        taken, now_there = done.reading.found, done.now
        self.lineage = Lineage(
            (LineageDataset(catalogue, rows=taken.rows, version=f"{taken.slot}/{taken.content}"),),
            (LineageDataset(catalogue, rows=now_there.rows, version=f"{now_there.slot}/{now_there.content}"),),
        )
        versions = trained_on(Ledger(store, self.config.name), [done.reading.key])
        told = done.told(versions)
        for line in told.splitlines():
            self.log.info(line)
        by = f" by {who}" if (who := actor.get("user")) else ""
        self.news = News("alarm", f"{told.splitlines()[0].rstrip('.')}{by}: {params['reason']}.")
        return {
            "config": self.identity,
            "partition": done.now.slot,
            "reading": done.reading.found.content,
            "restored": done.restored,
            "in_force": done.now.content,
            "rows": done.now.rows,
            "versions": len(versions),
        }
