"""On real flights: a planted change is seen, answered and promoted; when the world turns back, the champion goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.watch_flights import CHANGED, story
from include.monitoring.retraining_requests import request_state


@pytest.mark.timeout(900)
def test_a_change_is_seen_retrained_and_promoted_and_a_champion_that_turns_out_worse_is_taken_back(
    tmp_path: Path,
) -> None:
    flights, days = story(tmp_path, datetime(2013, 3, 21, tzinfo=UTC))
    before = flights.ledger.timeline().champion
    lived = []
    for told in days:
        lived.append(told)
        if told.withdrawn:
            break
    seen = next(one for one in lived if any(alarm.startswith("performance") for alarm in one.alarms))
    assert seen.asked and seen.day - CHANGED[0] < timedelta(days=16)
    promoted = next(one for one in lived if one.decided == "PROMOTE")
    assert promoted.day < CHANGED[1], "while the answer is turned round, the new model is the better one"
    last = lived[-1]
    assert last.withdrawn is not None and "worse: roc_auc differs by -0." in last.withdrawn
    assert last.pairs <= flights.model.watch.probation.rows, "within the declared rows"
    timeline = flights.ledger.timeline()
    assert timeline.champion == before and timeline[last.version].withdrawn == last.withdrawn
    state = request_state(flights.log.entries())
    assert len(state.asked) == state.taken == sum(one.decided is not None for one in lived)
