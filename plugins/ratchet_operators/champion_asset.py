"""Emit the champion asset event when the ledger says that the champion changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from ratchet_operators.lineage import Lineage, stored
from ratchet_operators.operator import RatchetOperator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from include.registry.history.champion_changes import ChampionChange
    from include.registry.ledger import Ledger
    from include.registry.version_states import Decision


class ChampionOperator(RatchetOperator):
    """Write to the ledger, and emit an event of ``x-ratchet://<model>/champion`` if another version is in force by that.

    The outlet is an alias: an asset as outlet would send an event with every success. As an inlet the asset is listed in
    Airflow before its first event.
    """

    def __init__(self, *, model: dict[str, Any], stage: str | None = None, **kwargs: Any) -> None:
        name = str(model["name"])
        assets = {"inlets": [champion_asset(name, stage)], "outlets": [champion_events(name, stage)]}
        super().__init__(model=model, stage=stage, **assets, **kwargs)

    def report_decisions(self, ledger: Ledger, decisions: Iterable[Decision]) -> None:
        """Tell OpenLineage which evidence was read, and that the ledger was written, if anything was decided."""
        read = [
            stored(ledger.store, ledger.model, "evidence", version=one.evidence)
            for one in decisions
            if one.evidence is not None
        ]
        book = (stored(ledger.store, ledger.model, "ledger"),)
        self.lineage = (self.lineage or Lineage()) + Lineage((*book, *read), book if read else ())

    def announce(self, context: Context, ledger: Ledger) -> ChampionChange | None:
        """Emit the change that this task wrote, at this try or at one that was killed; return it, or None without one.

        The event may come twice, and has its number in the ledger: a receiver passes over what is not greater than the
        last number that it acted on.
        """
        from include.registry.history.champion_changes import own_change
        from include.storage.content import to_iso

        change = own_change(ledger.entries(fresh=False), self.actor(context))
        if change is None:
            return None
        fits = stored(ledger.store, ledger.model, "fits")
        champion = stored(ledger.store, ledger.model, "champion", version=change.version)
        self.lineage = (self.lineage or Lineage()) + Lineage((fits,), (champion,))
        extra: dict[str, Any] = {
            "version": change.version,
            "before": change.before,
            "event": change.entry.number,
            "digest": change.entry.digest,
        }
        if change.champion is not None and (decision := change.champion.decision) is not None:
            primary = decision.primary
            extra |= {"as_of": to_iso(change.champion.since)}
            extra |= {"metric": primary["metric"], "value": primary["challenger"]}
        name = self.config.declared_name
        events, asset = champion_events(name, self.stage), champion_asset(name, self.stage)
        context["outlet_events"][events].add(asset, extra=extra)
        self.log.info(
            "%s is now in force instead of %s, by event %d.",
            change.version or "No version",
            change.before or "no version",
            change.entry.number,
        )
        return change


def champion_asset(model: str, stage: str | None = None) -> Asset:
    """Return the asset of a model's champion, here or in another stage.

    For any scheme but ``x-...`` Airflow imports its providers' handlers of addresses, boto3 among them: half of what parsing
    a DAG file costs.
    """
    there = f"@{stage}" if stage else ""
    return Asset(name=f"{model}_champion{there}", uri=f"x-ratchet://{model}/champion{there}")


def champion_events(model: str, stage: str | None = None) -> AssetAlias:
    """Return the alias under which tasks emit events of the champion asset."""
    return AssetAlias(name=f"{model}_champion_changed{f'@{stage}' if stage else ''}")
