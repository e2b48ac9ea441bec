"""Make the order of runs not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.operator import RatchetOperator, actor_of, now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Settle(RatchetOperator):
    """Decide again every backfilled decision whose incumbent changed, until nothing changes."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return the champion and how many decisions were made again."""
        from include.registry.ledger import Ledger
        from include.registry.measuring import measurer

        config, store = self.config, self.open_store()
        if self.handed["mode"] == "dry_run":
            raise AirflowSkipException("A dry run leaves no record.")
        ledger = Ledger(store, config.name)
        again = ledger.settle(measure=measurer(store, self.folder), actor=actor_of(context), at=now())
        for decision in again:
            self.log.info("decided again: %s %s. %s", decision.outcome, decision.version, decision.reason)
        champion = ledger.timeline().champion
        self.log.info("champion of %s: %s; decisions made again: %d", config.name, champion, len(again))
        return {"champion": champion, "again": len(again)}
