"""What predictions cost: by a matrix of what rows are and what they are said to be, or by the model's own function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.code import load_function
from include.config.sections.evaluation import BusinessCost
from include.errors import EvaluationError
from include.training.metrics.costs import cost_matrix

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
    assert declared.function is not None  # noqa: S101 (held by the configuration)
    if classes is not None:
        named = np.array(classes, dtype=object)
        actual, said = named[actual.astype(np.int64)], named[said.astype(np.int64)]
    function = load_function(folder, declared.function)
    costs = np.asarray(function(frame[list(declared.columns)].reset_index(drop=True), actual, said), dtype=float)
    if costs.shape != (len(frame),) or not np.isfinite(costs).all():
        raise EvaluationError(
            "The cost function does not give a number for each row.",
            expected=f"{len(frame):,} finite numbers",
            found=f"an array of shape {costs.shape}" if costs.shape != (len(frame),) else "values that are no numbers",
            where=f"evaluation.cost: {declared.function}",
        )
    return costs
