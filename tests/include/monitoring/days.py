"""Days of a small table, and what is observed of them; a table of whole days is quick to draw and to break."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa

from include.monitoring.alarms import Observed
from include.monitoring.drift.data_faults import faults_in
from include.monitoring.drift.periods import Reference, period_of, reference_of
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import Sketch

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
TRAIN, ROWS = 56, 300
COLUMNS = (
    WatchedColumn("fare", "input", "number"),
    WatchedColumn("distance", "input", "number"),
    WatchedColumn("origin", "input", "level"),
    WatchedColumn("dest", "input", "level"),
    WatchedColumn("score", "prediction", "number"),
)
Change = Callable[[dict[str, np.ndarray]], None]


def rows_of(day: int, change: Change | None = None, rows: int = ROWS) -> pa.Table:
    """Return the rows of a day, the first being 0; a change edits the columns in place."""
    rng = np.random.default_rng(day)
    mood = 0.1 * rng.standard_normal()
    fare = rng.gamma(4, 10, rows) * (1 + mood)
    fare[rng.random(rows) < 0.1] = np.nan
    columns = {
        "fare": fare,
        "distance": rng.uniform(100, 2500, rows),
        "origin": rng.choice(["EWR", "JFK", "LGA"], rows, p=[0.5, 0.3, 0.2]).astype(object),
        "dest": rng.choice(["ATL", "BOS", "ORD", "SFO"], rows).astype(object),
        "score": np.clip(rng.normal(0.3 + 0.02 * mood, 0.1, rows), 0, 1),
        "id": np.arange(rows) + 10_000 * day,
    }
    if change is not None:
        change(columns)
    rows = len(columns["fare"])
    seconds = START.timestamp() + 86_400 * day + np.linspace(0, 86_399, rows)
    times = pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us", "UTC"))
    table = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    return pa.table({**table, "at": times})


@lru_cache
def layout() -> Layout:
    tables = [rows_of(day) for day in range(TRAIN)]
    return learn_layout(tables, COLUMNS, event_time="at", row_id=("id",))


@lru_cache
def reference() -> Reference:
    periods = [(START + day * DAY, START + (day + 1) * DAY, sketch([rows_of(day)], layout())) for day in range(TRAIN)]
    return reference_of(layout(), periods, "small")


def sketched(day: int, change: Change | None = None, rows: int = ROWS) -> Sketch:
    return sketch([rows_of(TRAIN + day, change, rows)], layout())


def observed(
    day: int, change: Change | None = None, *, version: str = "champion", backfilled: bool = False
) -> Observed:
    """Return what is observed of a day after training, the first being 0."""
    found, after = sketched(day, change), START + (TRAIN + day) * DAY
    period = period_of(found, reference().bins, after, after + DAY)
    return Observed(version, period, faults_in(reference(), found), backfilled)
