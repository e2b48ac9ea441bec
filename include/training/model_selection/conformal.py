"""Prediction intervals by split conformal prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from include.errors import TrainingError


def conformal_offsets(errors: np.ndarray[Any, Any], coverage: float) -> tuple[float, float]:
    """Return what to add to a prediction for its lower and its upper bound.

    The bounds are order statistics of the errors (Vovk, Gammerman and Shafer, 2005; Romano, Patterson and Candès, 2019, for
    the two tails apart): if the next row's error is exchangeable with these, it lies between the bounds with a probability
    of at least ``coverage``, for any model and any distribution.

    Parameters
    ----------
    errors : array of shape (n_rows,)
        Target minus prediction, of rows that their model did not learn from.
    coverage : float

    Returns
    -------
    (lower, upper) : (float, float)

    Raises
    ------
    TrainingError
        When there are fewer rows than such a bound needs.
    """
    tail = (1 - coverage) / 2
    # A rank that should be whole is off by rounding; up to a billionth of a row it is taken for that.
    below = int(np.floor((len(errors) + 1) * tail + 1e-9))
    if below < 1:
        raise TrainingError(
            "there are too few held-out rows to estimate prediction intervals",
            expected=f"{int(np.ceil(1 / tail - 1 - 1e-9)):,} held-out rows at least, for a coverage of {coverage:g}",
            found=f"{len(errors):,}",
            where="training.intervals",
            remedy="a smaller `coverage`, a longer `data.windows.train`, or folds of `cross_fitting` that hold out more rows",
        )
    ordered = np.sort(errors)
    return float(ordered[below - 1]), float(ordered[len(errors) - below])
