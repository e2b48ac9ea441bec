"""The rows that models are judged on: read once, with their target, their slices, and what is resampled together."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.slices import columns_of
from include.data.frames import derive_columns, read_rows, select
from include.data.snapshots import Snapshot
from include.errors import DataError, EvaluationError
from include.evaluation.bootstrap import blocks
from include.evaluation.contenders import Contender
from include.evaluation.evidence import Role
from include.storage.store import ObjectStore
from include.training.record import FitRecord
from include.training.target import as_numbers

log = logging.getLogger(__name__)

Array = NDArray[Any]


class Obstacle(NamedTuple):
    """What keeps the incumbent from being compared."""

    because: str
    remedy: str


class Judged(NamedTuple):
    """The holdout's rows.

    ``raw`` are the same rows before features are derived, where a declared behaviour changes them; ``obstacle`` is what
    keeps the incumbent from reading them.
    """

    frame: pd.DataFrame
    raw: pd.DataFrame | None
    obstacle: Obstacle | None


def read_judged_rows(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    fits: dict[Role, FitRecord],
    incumbent: Contender | None,
) -> Judged:
    """Read the holdout once, and say so if the incumbent can't read it."""
    judged = (*model.data.row_id, *model.data.labels, *columns_of(model.evaluation.slices))
    unit = (model.evaluation.cluster or model.data.event_time, *([model.data.entity] if model.data.entity else []))
    priced = model.evaluation.cost.columns if model.evaluation.cost else ()
    wanted = dict.fromkeys([*(column for fit in fits.values() for column in fit.columns), *judged, *unit, *priced])
    lacking = [column for column in incumbent.fit.columns if column not in wanted] if incumbent else []
    raw, whole = None, None
    if model.evaluation.behaviour:
        raw = read_rows(store, snapshot, model, folder, window="holdout", columns=list(snapshot.schema))
        whole = derive_columns(raw, model, folder)

    def read(columns: list[str]) -> pd.DataFrame:
        if whole is not None:
            return select(whole, columns, model.name)
        return read_rows(store, snapshot, model, folder, window="holdout", columns=columns)

    if lacking:
        try:
            return Judged(read([*wanted, *lacking]), raw, None)
        except DataError as error:
            log.warning("The incumbent can't read these rows: %s", error.message)
    frame = read(list(wanted))
    if not lacking:
        return Judged(frame, raw, None)
    because = f"the rows no longer have what it reads: {', '.join(lacking)}"
    return Judged(frame, raw, Obstacle(because, "Let `features.derive` or the source give these columns again."))


def target_of(frame: pd.DataFrame, model: ModelConfig, fit: FitRecord) -> Array:
    """Return places of classes, 0 and 1 of two, or values; zeros where there is no target. Raises `EvaluationError` for a class never seen."""
    if model.data.target is None:
        return np.zeros(len(frame))
    column = frame[model.data.target]
    if fit.classes is None:
        return column.to_numpy(dtype=float)
    if unknown := sorted({str(value) for value in column.unique() if value not in fit.classes}):
        raise EvaluationError(
            "The holdout holds classes that the challenger never saw.",
            expected=" or ".join(str(value) for value in fit.classes),
            found=", ".join(unknown[:5]),
            where=f"column {column.name}",
        )
    return as_numbers(column, fit.classes).astype(float)


def units_of(model: ModelConfig, frame: pd.DataFrame, snapshot: Snapshot) -> tuple[Array, str]:
    """Return which unit each row is resampled with, and what a unit is."""
    cluster, block = model.evaluation.cluster, model.evaluation.block
    if block is not None:
        times = frame[model.data.event_time] - pd.Timestamp(snapshot.split.holdout.after)
        return blocks(times.dt.total_seconds().to_numpy(), block.about().total_seconds()), f"{block} of time"
    if cluster is None:
        return np.arange(len(frame)), "row"
    codes, values = pd.factorize(frame[cluster])
    alone = codes < 0  # a row without a cluster stands for itself
    codes[alone] = len(values) + np.arange(int(alone.sum()))
    return codes, cluster
