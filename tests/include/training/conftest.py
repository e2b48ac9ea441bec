"""Models and snapshots on a real local store, small enough to fit in a moment."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config.model import ModelConfig
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import Split, Window
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.fit_pipeline import fit_model
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.target import as_numbers, find_classes
from include.training.training_rows import TrainingRows

AFTER, UNTIL, END = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 21, 28))
PRIMARY = {"classification": "roc_auc", "regression": "rmse", "clustering": "silhouette"}
TYPES = {"object": "string", "str": "string", "bool": "boolean", "int64": "integer", "float64": "float"}


def declare(task: str = "classification", **parts: Any) -> ModelConfig:
    """Return a model over `frame_of`; `parts` go over the sections of model.yaml."""
    sections: dict[str, Any] = {
        "name": "toy",
        "description": "Is it?",
        "owner": "tests",
        "task": task,
        "schedule": {"start": "2024-01-01"},
        "data": {
            "source": {"kind": "python", "reader": "source:read"},
            "event_time": "at",
            "row_id": ["id"],
            "target": "target",
            "partition": "month",
            "label_delay": "1d",
            "windows": {"train": "20d", "holdout": "6d"},
        },
        "features": {
            "numeric": {"columns": ["size", "weight"], "impute": "median", "scale": "standard"},
            "categorical": {"columns": ["colour"]},
        },
        "training": {"candidates": [{"estimator": "logistic_regression"}], "cv": {"kind": "time_series", "folds": 2}},
        "gate": {"primary": {"metric": PRIMARY[task]}},
    }
    if task == "clustering":
        del sections["data"]["target"]
    return ModelConfig.model_validate(sections | parts)


def frame_of(task: str = "classification", rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return rows over the training window, with gaps, and a target that can be learned."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(1, int((UNTIL - AFTER).total_seconds()), rows))
    colour = rng.choice(["red", "green", "blue", "grey"], rows, p=[0.5, 0.3, 0.15, 0.05])
    size, weight = rng.normal(size=rows), rng.normal(size=rows) * 10
    signal = size + 2 * (colour == "red") + rng.normal(size=rows)
    # Values above zero, as counts and durations are, for the estimators that need them.
    targets = {"classification": signal > 1, "regression": signal - signal.min() + 0.1}
    targets["clustering"] = np.zeros(rows)  # not read
    if task == "clustering":
        size, weight = size + 6 * (colour == "red"), weight + 60 * (signal > 1)
    targets["many"] = np.array(["high", "low", "middle"])[np.digitize(signal, [0.5, 2])]
    return pd.DataFrame(
        {
            "at": pd.to_datetime(AFTER) + pd.to_timedelta(seconds, unit="s"),
            "id": np.arange(rows),
            "size": np.where(rng.random(rows) < 0.1, np.nan, size),
            "weight": weight,
            "colour": np.where(rng.random(rows) < 0.1, None, colour),
            "target": targets[task],
        }
    )


def snapshot_of(store: LocalStore, model: ModelConfig, frame: pd.DataFrame) -> Snapshot:
    """Store the rows as one partition and return the snapshot that pins it."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.column_names.index("at")
    table = table.set_column(at, "at", table["at"].cast(pa.timestamp("us", "UTC")))
    out = io.BytesIO()
    pq.write_table(table, out, write_page_checksum=True)
    body = out.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    snapshot = Snapshot(
        model=model.name,
        as_of=END,
        source="0" * 64,
        split=Split(Window(AFTER, UNTIL), Window(UNTIL, END)),
        partitions=(Pinned("2024-01", digest, digest, len(frame)),),
        schema={name: "timestamp" if name == "at" else TYPES[str(frame[name].dtype)] for name in frame},
    )
    store.put_if_absent(snapshot.partition_key(snapshot.partitions[0]), body)
    return snapshot


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Return a store in a fresh folder."""
    return LocalStore(tmp_path / "store")


def rows_of(model: ModelConfig, frame: pd.DataFrame) -> TrainingRows:
    """Return rows as a fit is given them, without a store."""
    if model.task == "clustering":
        return TrainingRows(frame, np.zeros(len(frame)), None)
    classes = find_classes(frame["target"]) if model.task == "classification" else None
    return TrainingRows(frame, as_numbers(frame["target"], classes), classes)


def fit_at_once(model: ModelConfig, frame: pd.DataFrame, name: str | None = None) -> Any:
    """Return the pipeline of a candidate, the first if not named, after a turn through a model file."""
    recipe = recipe_of(model, name or model.candidate_names[0])
    settings = {one.name: one.settings for one in recipe.members} if recipe.members else recipe.settings
    body = dump(fit_model(recipe, settings, rows_of(model, frame)))
    return load(body, hashlib.sha256(body).hexdigest())
