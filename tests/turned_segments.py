"""A store in which ants and bees got other champions in July, by what they carried in spring: of bees that is wrong again since."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, month
from once import Once
from segmented import declare_segments, opposed, run_segments
from watched import Watched

from include.config.load import load_model
from include.data.windows import Window
from include.monitoring.monitor import Monitored, monitor
from include.registry.ledger import Ledger
from include.scoring.score import score
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

JULY, DAYS = month(7), 14
ASKING = "{retrain: on_performance, cooldown: 2d}"
WITHDRAWING = "{probation: {within: 60d, rows: 100000, on_worse: withdraw}}"
ACTOR = {"trigger": "scheduled", "dag": "monitor_parcels", "run": "r"}


def declared(root: Path, watch: str) -> Watched:
    path = root / "parcels" / "model.yaml"
    text = path.read_text().partition("watch:")[0]
    path.write_text(text + f"watch: {watch}\n")
    return Watched(root / "parcels", LocalStore(root / "store"), load_model(path))


@pytest.fixture(scope="session")
def scored_segments(once: Once) -> Path:
    """A folder with such a model and store; nobody may change it."""
    return once("scored_segments", _fill)


def _fill(root: Path) -> None:
    rows = opposed(rows=60_000)
    rows = rows[rows["sent_at"] < pd.Timestamp(JULY + timedelta(days=DAYS + 2))]
    rows = rows[(rows["carrier"] != "ant") | (rows["parcel"] % 5 < 3)].reset_index(drop=True)
    bees = (rows["carrier"] == "bee") & (rows["sent_at"] < JULY)
    turned = (rows["sent_at"] >= month(4)) & ((rows["carrier"] == "ant") | bees)
    rows.loc[turned, "late"] = ~rows.loc[turned, "late"]
    declare_segments(root / "parcels", rows, partition="day")
    path = root / "parcels" / "model.yaml"
    text = path.read_text().replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@daily", monitor: "@daily"}')
    path.write_text(text)
    world = declared(root, ASKING)
    for number in (4, 7):
        run_segments(world.store, world.model, world.folder, month(number))
    champions = {name: len(champions_of(world, name)) for name in ("ant", "bee", "cat")}
    assert champions == {"ant": 2, "bee": 2, "cat": 0}
    for number in range(1, DAYS + 1):
        score(world.store, world.model, world.folder, world.snapshot(july(number)), at=NOW)


def champions_of(world: Watched, segment: str) -> list[str]:
    return [version for _, version in Ledger(world.store, f"parcels/segments/{segment}").timeline().champions()]


def july(number: int) -> Window:
    return Window(JULY + timedelta(days=number - 1), JULY + timedelta(days=number))


def watched(world: Watched, number: int, store: ObjectStore | None = None, **given: Any) -> Monitored:
    used = store or world.store
    settings = {"labels": lambda window: world.snapshot(window, used), **given}
    found = monitor(used, world.model, world.folder, july(number), at=NOW, **settings)
    assert found is not None
    return found


def watch_all(world: Watched, **given: Any) -> list[Monitored]:
    return [watched(world, number, **given) for number in range(1, DAYS + 1)]
