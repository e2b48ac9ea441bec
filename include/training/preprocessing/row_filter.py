"""Filter of training rows; rows to score are never filtered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.config.sections.features import Features
from include.errors import TrainingError
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def rows_to_learn_from(features: Features, inputs: pd.DataFrame) -> Mask:
    """Return which rows to fit: those without gaps and outliers that are declared as `drop_row`.

    Raises
    ------
    TrainingError
        When none is left.
    """
    kept = np.ones(len(inputs), dtype=bool)
    for group in features.numeric:
        if group.impute != "drop_row" and (group.outliers is None or group.outliers.action != "drop_row"):
            continue
        matrix = FloatConverter().transform(inputs[list(group.columns)])
        if group.impute == "drop_row":
            kept &= ~np.isnan(matrix).any(axis=1)
        if group.outliers is not None and group.outliers.action == "drop_row":
            bounds = OutlierClipper(group.outliers.method, factor=group.outliers.factor).fit(matrix)
            kept &= ~bounds.beyond(matrix).any(axis=1)
    for levels in features.categorical:
        if levels.impute == "drop_row":
            kept &= inputs[list(levels.columns)].notna().all(axis=1).to_numpy()
    if not kept.any():
        raise TrainingError(
            "no row is left to learn from",
            found=f"{len(inputs):,} rows, each with a gap or an outlier that drops it",
            where="features: `drop_row`",
            remedy="impute instead, or leave out the columns with the gaps (`max_missing`)",
        )
    return kept
