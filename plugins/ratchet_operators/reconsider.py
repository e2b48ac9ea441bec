"""Decide again on a held version, by rows that have matured since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.connections import AirflowConnections
from ratchet_operators.links import PageLink
from ratchet_operators.operator import RatchetOperator, actor_of, as_of, now

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context

    from include.data.snapshots import Snapshot
    from include.data.windows import Window


class Reconsider(RatchetOperator):
    """Bring and check the rows that matured since, measure the held version on them, and put the decision on record."""

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Model card"),)

    def work(self, context: Context) -> dict[str, Any]:
        """Return the outcome, and the champion before and after."""
        from include.data.partitions import ingest_window
        from include.data.quality import check
        from include.data.snapshots import Snapshot
        from include.registry.cards import save_card
        from include.registry.ledger import Ledger
        from include.registry.measuring import measurer
        from include.registry.reconsideration import find_held
        from include.storage.content import to_iso

        config, store = self.config, self.open_store()
        instant, ledger = as_of(context, config), Ledger(store, config.name)
        version = find_held(ledger.timeline(), context["params"].get("version"))

        def bring(window: Window) -> Snapshot:
            snapshot = ingest_window(store, config, self.folder, window, at=now(), connections=AirflowConnections())
            report = check(store, config, self.folder, snapshot)
            return Snapshot.load(store, config.name, report.snapshot)

        measure = measurer(store, self.folder, as_of=instant, bring=bring)
        before = ledger.timeline().champion
        decision = ledger.reconsider(config, version, as_of=instant, measure=measure, actor=actor_of(context), at=now())
        comparison = ledger.compare(decision)
        self.page = f"{config.name}/cards/{save_card(store, config, comparison, comparison.judge(config.gate))}"
        self.log.info("%s %s as of %s. %s", decision.outcome, version, to_iso(instant), decision.reason)
        return {
            "config": self.identity,
            "mode": "enforce",
            "version": version,
            "outcome": decision.outcome.value,
            "before": before,
            "champion": ledger.timeline().champion,
        }
