"""Business cost of predictions, by a matrix of actual and predicted classes or by the model's own function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.sections.evaluation import BusinessCost
from include.training.metrics.costs import call_cost_function, cost_matrix

Array = NDArray[Any]


def costs_of(
    declared: BusinessCost,
    folder: Path,
    frame: pd.DataFrame,
    actual: Array,
    said: Array,
    classes: tuple[Any, ...] | None,
) -> Array:
    """Return what each row costs.

    Parameters
    ----------
    declared : BusinessCost
    folder : Path
        The model's folder, for the function.
    frame : pandas.DataFrame
        The rows, with the columns that the function names.
    actual, said : array of shape (n_rows,)
        Places in ``classes``, or values.
    classes : tuple or None
        None for a regression.

    Raises
    ------
    EvaluationError
        When the matrix names a class that there is none of, or the function gives something else than a number a row.
    """
    if declared.matrix is not None:
        return cost_matrix(declared.matrix, classes)[actual.astype(np.int64), said.astype(np.int64)]
    if classes is not None:
        named = np.array(classes, dtype=object)
        actual, said = named[actual.astype(np.int64)], named[said.astype(np.int64)]
    return call_cost_function(declared, folder, frame, actual, said)
