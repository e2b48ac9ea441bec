"""Make the order of runs not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias
from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.notify import News, version_page
from ratchet_operators.operator import RatchetOperator, actor_of, now
from ratchet_operators.promote import champion_asset

if TYPE_CHECKING:
    from airflow.sdk import Context


class Settle(RatchetOperator):
    """Decide again every backfilled decision whose incumbent changed, until nothing changes.

    If another version is in force then, whoever schedules on ``x-ratchet://<model>/champion`` is told. The outlet is an alias,
    since an asset would tell them after every run.
    """

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[_settled(str(model["name"]))], **kwargs)

    def work(self, context: Context) -> dict[str, Any]:
        """Return the champion and how many decisions were made again."""
        from include.registry.ledger import Ledger
        from include.registry.measuring import measurer

        config, store = self.config, self.open_store()
        if self.handed is None:
            raise AirflowSkipException("Nothing new was decided.")
        if self.handed["mode"] == "dry_run":
            raise AirflowSkipException("A dry run leaves no record.")
        ledger = Ledger(store, config.name)
        before = ledger.timeline().champion
        again = ledger.settle(
            measure=measurer(store, self.folder, threads=self.threads), actor=actor_of(context), at=now()
        )
        for decision in again:
            self.log.info("decided again: %s %s. %s", decision.outcome, decision.version, decision.reason)
        champion = ledger.timeline().champion
        self.log.info("champion of %s: %s; decisions made again: %d", config.name, champion, len(again))
        if again and champion != before:
            extra: dict[str, Any] = {"version": champion, "before": before}
            context["outlet_events"][_settled(config.name)].add(champion_asset(config.name), extra=extra)
            sentence = (
                f"{champion or 'No version'} is in force instead of {before}, since decisions of a backfill settled."
            )
            self.news = News("promoted", sentence, champion, version_page(config.name, champion) if champion else None)
        return {"champion": champion, "again": len(again)}


def _settled(model: str) -> AssetAlias:
    return AssetAlias(name=f"{model}_champion_settled")
