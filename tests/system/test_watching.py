"""Real flights under a real scheduler: a planted change is seen, answered and promoted, and the champion that turns out worse goes back.

Days on which nothing is decided are lived in this process, by the functions that the tasks call, on the same store: half a minute
instead of five. Those on which something follows are Airflow's, and nobody but its scheduler starts the retraining.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from benchmarks.watch_flights import CHANGED, DAY, Flights, story
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.monitoring.retraining_requests import request_state
from include.storage.content import from_iso, to_iso

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

ASKED, WORSE = datetime(2013, 2, 28, tzinfo=UTC), datetime(2013, 3, 16, tzinfo=UTC)
"""The days whose rows are the last straw; what is watched is over a day later."""
ENDED = ("success", "failed")


def runs(airflow: LocalAirflow, dag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.api.get(f"dags/{dag}/dagRuns")["dag_runs"]
    return found


def watch(airflow: LocalAirflow, flights: Flights, day: datetime) -> None:
    """Score a day, and have Airflow watch it."""
    flights.score(day)
    body = {"logical_date": to_iso(day + DAY), "conf": {"as_of": None}}
    run = airflow.api._ask("POST", "/api/v2/dags/monitor_flight_delay/dagRuns", body)["dag_run_id"]

    def ended() -> Any:
        return airflow.api.get(f"dags/monitor_flight_delay/dagRuns/{run}")["state"] in ENDED

    until(ended, "the end of the monitor")
    assert airflow.api.get(f"dags/monitor_flight_delay/dagRuns/{run}")["state"] == "success"


def test_a_change_is_seen_asked_about_retrained_by_itself_and_promoted_and_a_worse_champion_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Callable[[Path], Path]
) -> None:
    flights, _ = story(tmp_path / "models", WORSE + 2 * DAY)
    first = flights.ledger.timeline().champion
    lived = list(flights.live(CHANGED[0], ASKED))
    seen = next(one for one in lived if any(alarm.startswith("performance") for alarm in one.alarms))
    assert seen.asked and seen.day - CHANGED[0] < 16 * DAY
    assert [one.decided for one in lived if one.decided] == ["REJECT"], "rows before the change teach the old world"
    assert not request_state(flights.log.entries()).pending

    monkeypatch.setenv("RATCHET_STORE", flights.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))
    with local_airflow(migrated(tmp_path / "home"), port=free_port(8160), triggerer=False) as airflow:
        for dag in ("retrain_flight_delay", "monitor_flight_delay"):
            airflow.wait_ready(dag)
            airflow.api.patch(f"dags/{dag}", {"is_paused": False})
        assert runs(airflow, "retrain_flight_delay") == []

        watch(airflow, flights, ASKED)
        until(lambda: any(one["state"] in ENDED for one in runs(airflow, "retrain_flight_delay")), "a retraining")
        (retrained,) = runs(airflow, "retrain_flight_delay")
        assert (retrained["state"], retrained["run_type"]) == ("success", "asset_triggered")
        state = request_state(flights.log.entries())
        assert len(state.asked) == state.taken == 2 and not state.pending
        second = flights.ledger.timeline().champion
        assert second is not None and second != first, (
            "while the answer is turned round, the new model is the better one"
        )
        assert flights.ledger.timeline()[second].as_of == ASKED + DAY <= CHANGED[1], "it stands where it was asked"

        assert not [told for told in flights.live(ASKED + DAY, WORSE) if told.withdrawn or told.decided]
        watch(airflow, flights, WORSE)

    timeline = flights.ledger.timeline()
    withdrawn = timeline[second].withdrawn
    assert withdrawn is not None and "worse: roc_auc differs by -0." in withdrawn
    assert timeline.champion == first
    (verdict,) = (one.body for one in flights.log.entries() if one.kind == "verdict")
    declared = flights.model.watch.probation
    assert verdict["rows"] <= declared.rows, "within the declared rows"
    assert from_iso(verdict["until"]) - timeline[second].since <= declared.within.about()
