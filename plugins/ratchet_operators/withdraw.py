"""Take a version out of force, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.operator import RatchetOperator, actor_of, now
from ratchet_operators.promote import champion_asset

if TYPE_CHECKING:
    from airflow.sdk import Context


class Withdraw(RatchetOperator):
    """Withdraw the version that the form names, or the champion; the champion before it is in force at once."""

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was in force before, and what is now."""
        from include.registry.ledger import Ledger
        from include.registry.rollback import roll_back

        ledger = Ledger(self.open_store(), self.config.name)
        params = context["params"]
        done = roll_back(ledger, params.get("version"), params["reason"], actor=actor_of(context), at=now())
        return {
            "config": self.identity,
            "withdrawn": done.version,
            "before": done.before,
            "champion": done.champion,
            "stale": len(done.stale),
        }


class AnnounceChampion(RatchetOperator):
    """Tell whoever schedules on ``ratchet://<model>/champion`` that another version is in force."""

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[champion_asset(str(model["name"]))], **kwargs)

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was handed over; skipped, without an asset event, if the champion is the same as before."""
        before, champion = self.handed["before"], self.handed["champion"]
        if champion == before:
            raise AirflowSkipException(
                f"{self.handed['withdrawn']} was not in force; the champion is still {champion}."
            )
        event = context["outlet_events"][champion_asset(self.config.name)]
        event.extra = {"version": champion, "withdrawn": self.handed["withdrawn"]}
        return {**self.handed}
