"""Regression of a target per unit of exposure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin

from include.errors import TrainingError
from include.training.estimators.meta_estimator import MetaEstimator
from include.training.estimators.predictions import Array, predicted_values


class ExposureRegressor(RegressorMixin, MetaEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model of rates, whose predictions are multiplied by each row's exposure.

    Parameters
    ----------
    model : Pipeline
        Predicts the target per unit of exposure.
    column : str
        Holds the exposure.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn.pipeline import make_pipeline
    >>> frame = pd.DataFrame({"months": [6.0, 12.0]})
    >>> rate = make_pipeline(DummyRegressor(strategy="constant", constant=0.5)).fit(frame, [0, 0])
    >>> ExposureRegressor(rate, "months").predict(frame).tolist()
    [3.0, 6.0]
    """

    def __init__(self, model: Any, column: str) -> None:
        self.model = model
        self.column = column

    @property
    def models(self) -> list[Any]:
        """The regressor that predicts rates."""
        return [self.model]

    def predict(self, X: pd.DataFrame) -> Array:
        """Return the value of each row; NaN where the exposure is missing or not above zero."""
        exposure = X[self.column].to_numpy(dtype=np.float64, na_value=np.nan)
        return predicted_values(self.model, X) * np.where(exposure > 0, exposure, np.nan)


def exposures(column: pd.Series[Any]) -> Array:
    """Return the exposure of training rows, of shape (n_rows,).

    Raises
    ------
    TrainingError
        Unless all are finite numbers above zero.
    """
    known = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = int((~(np.isfinite(known) & (known > 0))).sum())
    if bad:
        raise TrainingError(
            "rows have no exposure",
            expected="a number above zero for every row",
            found=f"{bad:,} of {len(known):,} rows without",
            where=f"training.exposure: {column.name}",
            remedy="leave such rows out in the source, or give them the exposure that they had",
        )
    return known
