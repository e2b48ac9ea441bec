"""Remove what nothing needs any more of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.lineage import Lineage, Removed, stored
from ratchet_operators.operator import OF_SCHEDULE, RatchetOperator
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Tidy(RatchetOperator):
    """Report the objects that nothing needs any more under the model's `retention`; remove them where the declaration or the form says so."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return how many objects were removed and marked, or would be."""
        from include.retention.tidy import tidy

        run = context["dag_run"]
        by_schedule = run.run_type in OF_SCHEDULE
        remove = self.config.retention.remove if by_schedule else bool(context["params"]["remove"])
        store, name = self.open_prunable_store(), self.config.name
        done = tidy(store, self.config, at=now(context), remove=remove, run=run.run_id)
        removed: dict[str, list[int]] = {}
        for one in () if done.dry else done.removed:
            removed.setdefault(one.key.removeprefix(f"{name}/").partition("/")[0], []).append(one.size)
        gone = (
            stored(store, name, folder, removed=Removed(len(sizes), sum(sizes))) for folder, sizes in removed.items()
        )
        self.lineage = Lineage((stored(store, name, "ledger"),), (stored(store, name, "stored_bytes"), *gone))
        for line in done.told().splitlines():
            self.log.info(line)
        return {
            "config": self.identity,
            "dry": done.dry,
            "removed": len(done.removed),
            "marked": len(done.marked),
            "waiting": len(done.waiting),
        }
