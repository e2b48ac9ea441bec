"""What the server was asked is watched like batch scores: the same rows leave the same sketch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW

from include.data.windows import Window
from include.monitoring.drift.watched_version import open_watched_version
from include.monitoring.monitor import Monitored, monitor, monitored_interval
from include.monitoring.predicted_rows import predicted_in
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


def watched(world: World, window: Window) -> Monitored | None:
    return monitor(world.store, world.model, world.folder, window, at=NOW)


@pytest.fixture
def today(world: World) -> Window:
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("schedule: {", 'schedule: {monitor: "@daily", '))
    return monitored_interval(world.model, datetime.now(UTC) + timedelta(days=1))


def ask(start: Start, rows: pd.DataFrame, **settings: Any) -> None:
    served = start(**settings)
    served.post(as_json(rows[:-1]))
    served.post(as_json(rows[-1:]))
    served.logger.flush()


def test_requests_are_observed_with_what_was_answered_and_derived_columns(
    start: Start, world: World, today: Window
) -> None:
    world.add("serving: {request_log: {}}\n")
    rows = world.rows(80)
    ask(start, rows)
    found = watched(world, today)
    assert found is not None and found.version == world.champions[-1]
    (observed,) = found.history.observed
    assert observed.period.rows == 80 and observed.period.duplicates == 0
    predicted = predicted_in(world.store, world.model, today, None)
    assert predicted is not None
    with open_watched_version(world.store, world.model, world.folder, found.version) as watching:
        parts = list(predicted.parts(watching))
    tables = pd.concat([one.rows.table.to_pandas() for one in parts]).sort_values("parcel")
    assert tables["(prediction)"].tolist() == world.expected(found.version, rows)
    assert tables["evening"].tolist() == (rows["sent_at"].dt.hour >= 18).tolist()
    said = predicted.said()
    assert said is not None and sorted(said["parcel"].to_pylist()) == rows["parcel"].tolist()


def test_a_column_that_was_not_kept_counts_for_nothing_and_is_no_missing_value(
    start: Start, world: World, today: Window
) -> None:
    world.add("serving: {request_log: {leave_out: [weight], hash: [parcel]}}\n")
    ask(start, world.rows(60), hash_key="k3y")
    found = watched(world, today)
    assert found is not None
    counts = found.history.observed[0].period.counts
    assert sum(counts["weight"]) == sum(counts["evening"]) == 0
    assert sum(counts["distance"][:-1]) == sum(counts["(prediction)"][:-1]) == 60
    assert found.alarms == ()
    predicted = predicted_in(world.store, world.model, today, None)
    assert predicted is not None and predicted.said() is None


def test_what_was_not_asked_in_an_interval_is_not_watched_in_it(start: Start, world: World, today: Window) -> None:
    world.add("serving: {request_log: {}}\n")
    ask(start, world.rows(10))
    assert watched(world, Window(today.after - timedelta(days=1), today.after)) is None


def test_a_row_that_was_asked_about_twice_counts_once_by_its_first_answer(
    start: Start, world: World, today: Window
) -> None:
    world.add("serving: {request_log: {}}\n")
    rows = world.rows(20)
    served = start()
    served.post(as_json(rows))
    served.post(as_json(rows[:1].assign(weight=rows["weight"].max() + 1.0)))
    served.logger.flush()
    predicted = predicted_in(world.store, world.model, today, None)
    assert predicted is not None and len(predicted.requests) == 1, "both answers are in one file"
    said = predicted.said()
    assert said is not None and said["parcel"].to_pylist() == rows["parcel"].tolist()
    assert said["prediction"].to_pylist() == world.expected(world.champions[-1], rows)
