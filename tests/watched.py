"""A small model with one champion, watched day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, declare, parcels, run_chain
from once import Once

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.monitoring.monitor import Monitored, monitor
from include.scoring.score import score
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

APRIL = datetime(2024, 4, 1, tzinfo=UTC)
BROKEN_FROM = datetime(2024, 4, 11, tzinfo=UTC)
"""From here on parcels are weighed in grams."""


def day(number: int) -> Window:
    """Return a day of April, the first being 1."""
    return Window(APRIL + timedelta(days=number - 1), APRIL + timedelta(days=number))


@dataclass(frozen=True)
class Watched:
    """A model's folder and a store with a champion from April on."""

    folder: Path
    store: LocalStore
    model: ModelConfig

    def snapshot(self, window: Window, store: ObjectStore | None = None) -> Snapshot:
        used = store or self.store
        return ingest_window(used, self.model, self.folder, window, at=NOW, connections=None)  # type: ignore[arg-type] # a Python source needs none

    def score(self, number: int) -> None:
        score(self.store, self.model, self.folder, self.snapshot(day(number)), at=NOW)

    def monitor(self, number: int, store: ObjectStore | None = None, **given: Any) -> Monitored | None:
        """Watch a day of April, with labels as they have matured."""
        used = store or self.store
        settings = {"labels": lambda window: self.snapshot(window, used), **given}
        return monitor(used, self.model, self.folder, day(number), at=NOW, **settings)


@pytest.fixture(scope="session")
def april(once: Once) -> Path:
    """A folder with a model and a store in which a champion was promoted at the start of April, and two weeks were scored."""

    def fill(root: Path) -> None:
        world = promoted(root)
        for number in range(1, 15):
            world.score(number)

    return once("april", fill)


def promoted(root: Path) -> Watched:
    """Return a model whose champion was promoted at the start of April."""
    rows = parcels(rows=20_000)
    grams = (rows["sent_at"] >= BROKEN_FROM) & (rows["weight"] > 0)
    rows["weight"] = np.where(grams, 1000 * rows["weight"], rows["weight"])
    rows = rows[rows["sent_at"] < pd.Timestamp(APRIL + timedelta(days=20))].reset_index(drop=True)
    declare(root / "parcels", rows, partition="day")
    text = (root / "parcels" / "model.yaml").read_text()
    text = text.replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@daily", monitor: "@daily"}')
    (root / "parcels" / "model.yaml").write_text(text + "watch: {retrain: on_drift, cooldown: 2d}\n")
    model = load_model(root / "parcels" / "model.yaml")
    store = LocalStore(root / "store")
    run_chain(store, model, root / "parcels", APRIL)
    return Watched(root / "parcels", store, model)
