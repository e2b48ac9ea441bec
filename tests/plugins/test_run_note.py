"""A run by hand says in its note where it stands, by the rule that its tasks go by."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ratchet_operators.run_note import on_dag_run_running

DATE, TRIGGERED = datetime(2013, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


def note(family: str = "retrain", run_type: str = "manual", **facts: Any) -> str | None:
    run = {"logical_date": None, "run_after": TRIGGERED, "conf": None, "note": None} | facts
    found = SimpleNamespace(dag_id=f"{family}_flight_delay", run_type=run_type, **run)
    on_dag_run_running(found, "started")
    return found.note


@pytest.mark.parametrize("family", ["retrain", "score", "reconsider"])
def test_a_run_by_hand_says_where_it_stands(family: str) -> None:
    assert note(family, logical_date=DATE) == "As of 2013-07-01 00:00 UTC: the run's logical date."
    form = {"as_of": "2013-09-01T00:00:00Z"}
    assert note(family, logical_date=DATE, conf=form) == "As of 2013-09-01 00:00 UTC: the form's As of."
    assert note(family) == "As of 2014-01-01 00:00 UTC: the end of the model's schedule."


def test_what_a_person_wrote_stays_and_other_runs_get_no_note() -> None:
    assert note(note="for the audit", logical_date=DATE) == "for the audit"
    for other in ({"run_type": "scheduled"}, {"run_type": "backfill"}, {"family": "rollback"}):
        assert note(**other) is None
    assert note(conf={"as_of": "tomorrow"}) is None
