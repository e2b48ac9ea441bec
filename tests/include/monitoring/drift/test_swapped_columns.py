"""Columns that wander to where another was are not called swapped, however few days of training there were; swapped ones are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from include.monitoring.drift import swapped_columns
from include.monitoring.drift.data_faults import faults_in
from include.monitoring.drift.periods import Reference, reference_of
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import Sketch

START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
NAMES, TRAIN, ROWS = ("a", "b", "c", "d"), 10, 300
COLUMNS = tuple(WatchedColumn(name, "input", "number") for name in NAMES)


def days(seed: int, later: int, *, apart: float, moods: float, swap: bool = False) -> tuple[Reference, list[Sketch]]:
    """Return a reference of ten days and the days after it; days differ by moods that last for some of them."""
    rng = np.random.default_rng(seed)
    centre, mood = apart * rng.standard_normal(len(NAMES)), np.zeros((TRAIN + later, len(NAMES)))
    for day in range(1, len(mood)):
        mood[day] = 0.8 * mood[day - 1] + 0.6 * moods * rng.standard_normal(len(NAMES))

    def rows(day: int) -> pa.Table:
        values = {name: centre[at] + mood[day, at] + rng.standard_normal(ROWS) for at, name in enumerate(NAMES)}
        if swap and day >= TRAIN:
            values["a"], values["b"] = values["b"], values["a"]
        seconds = START.timestamp() + 86_400 * day + np.linspace(0, 86_399, ROWS)
        times = pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))
        return pa.table({**values, "id": np.arange(ROWS) + 1_000 * day, "at": times})

    tables = [rows(day) for day in range(len(mood))]
    layout = learn_layout(tables[:TRAIN], COLUMNS, event_time="at", row_id=("id",))
    sketches = [sketch([table], layout) for table in tables]
    periods = [(START + day * DAY, START + (day + 1) * DAY, sketches[day]) for day in range(TRAIN)]
    return reference_of(layout, periods, "wandering"), sketches[TRAIN:]


def swaps(found: tuple[Reference, list[Sketch]]) -> int:
    reference, later = found
    return sum(one.kind == "swapped_columns" for day in later for one in faults_in(reference, day))


def test_in_a_short_reference_columns_that_wander_are_not_called_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = [days(seed, 20, apart=1, moods=1) for seed in range(6)]
    assert [swaps(one) for one in worlds] == [0] * len(worlds)
    monkeypatch.setattr(swapped_columns, "SURPRISE", 0.5)
    assert sum(swaps(one) for one in worlds) >= 1, "without the bound they would be"


def test_columns_that_are_swapped_are_found_beside_ten_days() -> None:
    found = [swaps(days(seed, 2, apart=6, moods=0.1, swap=True)) for seed in range(3)]
    assert found == [2, 2, 2]
