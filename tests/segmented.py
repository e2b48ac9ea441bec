"""Parcels whose carriers are late for opposite reasons: no one line through all of them tells what a line for each does."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import BACKFILL, NOW, declare, month, parcels, run_chain
from once import Once

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.segment_log import SegmentLog
from include.data.segments import SegmentList, list_segments
from include.data.snapshots import Snapshot
from include.segments import SegmentOutcome, retrain_segment
from include.storage.local import LocalStore
from include.storage.remembering import RememberingStore
from include.storage.store import ObjectStore

CARRIERS = ("ant", "bee", "cat")


def opposed(rows: int = 6000, seed: int = 5) -> pd.DataFrame:
    """Return parcels that are late when heavy with one carrier, when light with another, and at random with the third."""
    frame, rng = parcels(rows=rows, seed=seed), np.random.default_rng(seed)
    heavy = frame["weight"] > 5
    chance = np.where(
        frame["carrier"] == "ant", 0.1 + 0.6 * heavy, np.where(frame["carrier"] == "bee", 0.7 - 0.6 * heavy, 0.4)
    )
    frame["late"] = rng.random(rows) < chance
    return frame


def declare_segments(
    folder: Path, rows: pd.DataFrame | None = None, segments: str = "{column: carrier, min_rows: 150}", **replaced: str
) -> ModelConfig:
    """Write and return a model with one candidate, a line, and a model per carrier."""
    declare(folder, opposed() if rows is None else rows, **replaced)
    path = folder / "model.yaml"
    text = path.read_text()
    text = text.replace("    - {estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}\n", "")
    text = text.replace("features:\n", f"segments: {segments}\nfeatures:\n", 1)
    path.write_text(
        text.replace("  guards: [{slice: carrier, metric: roc_auc, max_loss: 0.1, min_support: 500}]\n", "")
    )
    return load_model(path)


@pytest.fixture(scope="session")
def april_segments(once: Once) -> Path:
    """A folder with such a model and a store after the run of April; nobody may change it."""

    def fill(root: Path) -> None:
        run_segments(LocalStore(root / "store"), declare_segments(root / "parcels"), root / "parcels", month(4))

    return once("april_segments", fill)


def run_segments(
    store: ObjectStore, model: ModelConfig, folder: Path, as_of: datetime, *, dry: bool = False
) -> tuple[SegmentList, dict[str, SegmentOutcome]]:
    """Do a whole run, the model of all rows first, and return its segments with what became of each."""
    done = run_chain(store, model, folder, as_of)
    return retrain_segments(store, model, folder, done["check"]["snapshot"], done["select"], dry=dry)


def retrain_segments(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: str, pooled: str, *, dry: bool = False
) -> tuple[SegmentList, dict[str, SegmentOutcome]]:
    """Do what the tasks after the checked rows do: list the segments, and retrain each."""
    checked, log = Snapshot.load(store, model.name, snapshot), SegmentLog(store, model.name)
    log.keep(list_segments(store, model, checked), at=NOW)
    found = log.of(model, checked)
    return found, {
        one.name: retrain_one(store, model, folder, checked, found, one.name, pooled, dry=dry) for one in found.levels
    }


def retrain_one(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    checked: Snapshot,
    found: SegmentList,
    name: str,
    pooled: str,
    **how: Any,
) -> SegmentOutcome:
    """Retrain one segment as its task does, by a clock that ticks evenly."""
    ticks = itertools.count()
    return retrain_segment(
        RememberingStore(store),
        model,
        folder,
        checked,
        found,
        name,
        pooled=pooled,
        actor=BACKFILL,
        at=NOW,
        clock=lambda: float(next(ticks)),
        **how,
    )
