"""Withdraw a version permanently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.champion_asset import ChampionOperator
from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.notify import News, version_page
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from airflow.sdk import Context


class Withdraw(ChampionOperator):
    """Withdraw the version that the form names, or the champion; the champion before it is in force at once."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was in force before, and what is now."""
        from include.config.sections.rows.segments import segment_key
        from include.registry.rollback import roll_back

        params, actor = context["params"], self.actor(context)
        segment = (params.get("segment") or "").strip()
        ledger = self.open_ledger(segment_key(self.config.name, segment) if segment else None)
        done = roll_back(
            ledger,
            params.get("version"),
            params["reason"],
            asked=context["dag_run"].run_after,
            actor=actor,
            at=now(context),
        )
        book = stored(ledger.store, ledger.model, "ledger")
        self.lineage = Lineage((book, stored(ledger.store, ledger.model, "versions", version=done.version)), (book,))
        if not segment:  # the asset is that of the champion of all rows
            self.announce(context, ledger)
        by = f" by {who}" if (who := actor.get("user")) else ""
        of = f" of segment {segment}" if segment else ""
        sentence = (
            f"{done.version}{of} was withdrawn{by}: {params['reason']}. {done.champion or 'No version'} is in force."
        )
        page = None if segment else version_page(self.config.declared_name, done.version)
        self.news = News("alarm", sentence, done.version, page)
        return {
            "config": self.identity,
            "withdrawn": done.version,
            "before": done.before,
            "champion": done.champion,
            "stale": len(done.stale),
        }
