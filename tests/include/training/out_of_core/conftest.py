"""A real Dask cluster of two worker processes, and a model whose rows they read from a store on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.storage.local import LocalStore
from tests.chain_run import Run, declare, month, parcels

FEATURES = """
features:
  derive: features:derive
  numeric:
    - {columns: [weight, distance, evening], outliers: {method: iqr, factor: 3}, impute: median, indicator: true, scale: standard}
    - {columns: [price, count], max_missing: 0.9, outliers: {method: z_score, action: mark_missing}, impute: mean, skew: log, scale: robust}
    - {columns: [steps, empty], impute: mode, scale: min_max, degree: 2}
    - {columns: [constant], impute: none, scale: standard}
  categorical:
    - {columns: [carrier, zone], impute: mode, min_frequency: 0.02}
    - {columns: [size], encode: ordinal}
    - {columns: [carrier, size], cross: true, encode: native}
  dates: {columns: [packed_at], parts: [hour, month], cyclic: true, scale: standard}
"""


@dataclass(frozen=True)
class Shelf:
    """A model with its ingested rows: everything that a fit is given."""

    store: LocalStore
    model: ModelConfig
    folder: Path
    snapshot: Snapshot

    @property
    def given(self) -> tuple[Any, ...]:
        return self.store, self.model, self.folder, self.snapshot


def wide_parcels(rows: int = 3000) -> pd.DataFrame:
    """Return parcels with columns of every kind, some with gaps in some months only, or without any value."""
    frame, rng = parcels(rows=rows), np.random.default_rng(8)
    gaps = rng.random(rows) < 0.1
    frame["price"] = np.where(gaps, np.nan, rng.normal(size=rows) ** 3 * 1e4)
    frame["count"] = pd.array(rng.poisson(3, rows), dtype="Int64")
    frame.loc[gaps & (frame["sent_at"] >= month(7)), "count"] = pd.NA
    frame["steps"] = rng.choice([-0.0, 0.0, 1.5, 7.0], rows)
    frame["empty"] = np.full(rows, np.nan)
    frame["constant"] = np.where(gaps, np.nan, 3.1)
    frame["zone"] = pd.array(rng.integers(1, 9, rows), dtype="Int64")
    frame.loc[rng.random(rows) < 0.05, "zone"] = pd.NA
    frame["size"] = rng.choice(["xs", "s", "m", "l", None], rows, p=[0.01, 0.29, 0.4, 0.2, 0.1])
    frame["packed_at"] = frame["sent_at"] - pd.to_timedelta(rng.integers(0, 100, rows), unit="h").astype(
        "timedelta64[us]"
    )
    return frame


def shelve(
    folder: Path,
    rows: pd.DataFrame,
    *,
    candidates: str = "[{estimator: lightgbm, params: {n_estimators: 20}}, {estimator: logistic_regression}]",
    features: str | None = None,
    training: str = "  engine: dask\n",
    as_of: int = 11,
    **replaced: str,
) -> Shelf:
    """Declare parcels otherwise than `declare` does, and bring their rows into a store.

    Parameters
    ----------
    training : str
        Lines for the section.
    replaced : str
        As for `declare`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / "parcels"
    declare(own, rows, windows="{train: 7mo, holdout: 1mo}")
    text = (own / "model.yaml").read_text()
    for key, value in replaced.items():
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        text = text.replace(line, f"{line.partition(key)[0]}{key}: {value}")
    first, last = text.index("  candidates:"), text.index("  cv:")
    text = f"{text[:first]}  candidates: {candidates}\n{training}{text[last:]}"
    if features is not None:
        first, last = text.index("features:\n"), text.index("training:\n")
        text = f"{text[:first]}{features.strip()}\n{text[last:]}"
    (own / "model.yaml").write_text(text)
    model, store = load_model(own / "model.yaml"), LocalStore(folder / "store")
    done = Run(model, own, month(as_of)).do("ingest", store, {})
    return Shelf(store, model, own, Snapshot.load(store, model.name, done["ingest"]["snapshot"]))


def started_cluster(workers: int = 2, **settings: Any) -> Any:
    """Return a cluster of worker processes, each with a nanny; a context."""
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    return distributed.LocalCluster(
        n_workers=workers,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        **({"threads_per_worker": 1} | settings),
    )


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with started_cluster() as cluster:
        yield cluster.scheduler_address
