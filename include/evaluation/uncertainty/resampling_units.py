"""Resampling units: the rows that a bootstrap draws together, by cluster, block of time, or equal values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.sections.data import ROW
from include.data.random_split import without_copies
from include.data.snapshots import Snapshot
from include.evaluation.evidence import EQUAL_ROWS
from include.evaluation.uncertainty.bootstrap import blocks

Array = NDArray[Any]


def counts_equal_rows_once(model: ModelConfig) -> bool:
    """Whether rows that are equal in all columns are on one side together, and so are no evidence of their own."""
    return model.data.row_id == (ROW,) and model.data.equal_rows == "together"


def units_of(model: ModelConfig, frame: pd.DataFrame, snapshot: Snapshot) -> tuple[Array, str]:
    """Return which unit each row is resampled with, and what a unit is."""
    cluster, block = model.evaluation.cluster, model.evaluation.block
    if block is not None:
        times = frame[model.data.event_time] - pd.Timestamp(snapshot.split.holdout.after)
        return blocks(times.dt.total_seconds().to_numpy(), block.about().total_seconds()), f"{block} of time"
    if cluster is None and counts_equal_rows_once(model):
        codes, values = pd.factorize(without_copies(frame[ROW]))
        return codes, "row" if len(values) == len(frame) else EQUAL_ROWS
    if cluster is None:
        return np.arange(len(frame)), "row"
    codes, values = pd.factorize(frame[cluster])
    alone = codes < 0  # a row without a cluster is a unit of its own
    codes[alone] = len(values) + np.arange(int(alone.sum()))
    return codes, cluster
