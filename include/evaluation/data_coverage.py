"""Coverage of a measurement: partitions without rows, and holdout rows without a label."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.sections.slices import columns_of
from include.data.rare_levels import RareLevels
from include.data.snapshots import Snapshot, coverage
from include.evaluation.evidence import TrainCoverage, UnlabelledRows
from include.evaluation.metrics.slices import slice_levels
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord

COUNTS_VERSION = 1
"""Part of what evidence is found by where a rule asks for the counts: raise it when they are to be counted differently."""


def train_coverage(store: ObjectStore, model: ModelConfig, fit: FitRecord, snapshot: Snapshot) -> TrainCoverage | None:
    """Return how much of its declared training window a fit had rows for; None of a table without time.

    Parameters
    ----------
    snapshot : Snapshot
        That of the measurement, which need not be the fit's.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
    """
    if model.data.timeless:
        return None
    own = snapshot if fit.snapshot == snapshot.digest else Snapshot.load(store, fit.model, fit.snapshot)
    facts = coverage(own, own.split.train)
    return TrainCoverage(facts.slots, facts.slots - len(facts.empty), model.data.min_coverage)


def unlabelled_columns(model: ModelConfig) -> list[str]:
    """Return the columns that rows without a label are counted by."""
    return list(dict.fromkeys([*columns_of(model.evaluation.slices), *model.data.people]))


def unlabelled_by_slice(
    model: ModelConfig, frame: pd.DataFrame, missing: NDArray[np.bool_]
) -> tuple[UnlabelledRows, ...]:
    """Return how many rows of each level of the slices have no label.

    Parameters
    ----------
    frame : DataFrame
        The rows of the holdout's window with and without a label; the columns of slices as the challenger's code makes them.
    missing : array of bool, of shape (n_rows,)
        Which have none.
    """
    slices = model.evaluation.slices
    counted: list[UnlabelledRows] = []
    for name, levels in slice_levels(frame, slices, RareLevels.of(model.data, frame), most=len(frame)).items():
        rows = np.bincount(levels.codes, minlength=len(levels.names))
        unlabelled = np.bincount(levels.codes[missing], minlength=len(levels.names))
        counted += [
            UnlabelledRows((name, level), int(rows[code]), int(unlabelled[code]))
            for code, level in enumerate(levels.names)
        ]
    return tuple(counted)


def counts_asked(model: ModelConfig) -> dict[str, int | float | None]:
    """Return what evidence is found by where a rule asks how much was missing: what was measured before it was counted is measured again."""
    if model.data.min_coverage is None and model.gate.unlabelled is None:
        return {}
    return {"missing": COUNTS_VERSION, "min_coverage": model.data.min_coverage}
