"""Wake whoever waits for another champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ratchet_operators.operator import RatchetOperator
from ratchet_operators.promote import champion_asset

if TYPE_CHECKING:
    from airflow.sdk import Context


class AnnounceChampion(RatchetOperator):
    """Tell whoever schedules on ``x-ratchet://<model>/champion`` that another version is in force."""

    def __init__(self, *, model: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(model=model, outlets=[champion_asset(str(model["name"]))], **kwargs)

    def work(self, context: Context) -> dict[str, Any]:
        """Return what was handed over; skipped, without an asset event, if the champion is the same as before."""
        before, champion = self.handed["before"], self.handed["champion"]
        if champion == before:
            raise AirflowSkipException(f"The champion is still {champion}.")
        event = context["outlet_events"][champion_asset(self.config.name)]
        event.extra = {"version": champion, "before": before}
        return {**self.handed}
