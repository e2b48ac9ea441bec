"""Decide again the backfilled decisions whose incumbent changed, so that the order of runs does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.champion_asset import ChampionOperator
from ratchet_operators.notify import News, version_page
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Settle(ChampionOperator):
    """Decide again every backfilled decision whose incumbent changed, until nothing changes."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return the champion and how many decisions were made again."""
        from include.registry.evaluator import evaluator

        config = self.config
        if self.upstream is None:
            raise AirflowSkipException("Nothing new was decided.")
        if self.upstream["mode"] == "dry_run":
            raise AirflowSkipException("A dry run leaves no record.")
        ledger = self.open_ledger()
        again = ledger.settle(
            measure=evaluator(ledger.store, self.folder, threads=self.threads),
            actor=self.actor(context),
            at=now(context),
        )
        for decision in again:
            self.log.info("decided again: %s %s. %s", decision.outcome, decision.version, decision.reason)
        self.report_decisions(ledger, again)
        champion = ledger.timeline(fresh=False).champion
        self.log.info("champion of %s: %s; decisions made again: %d", config.declared_name, champion, len(again))
        if (change := self.announce(context, ledger)) is not None:
            sentence = (
                f"{champion or 'No version'} is in force instead of {change.before or 'none'}, "
                "since decisions of a backfill settled."
            )
            self.news = News(
                "promoted", sentence, champion, version_page(config.declared_name, champion) if champion else None
            )
        return {"champion": champion, "again": len(again)}
