"""Business cost of predictions, by a matrix of actual and predicted classes or by the model's own function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.code import load_function
from include.config.sections.evaluation import BusinessCost
from include.errors import EvaluationError, did_you_mean

Array = NDArray[Any]


def cost_matrix(matrix: Mapping[str, Mapping[str, float]], classes: tuple[Any, ...] | None) -> Array:
    """Return the costs as an array of shape (n_classes, n_classes): by the class that a row is of, and that it is said to be.

    Parameters
    ----------
    matrix : mapping
        As declared.
    classes : tuple or None
        The model's classes in their order.

    Raises
    ------
    EvaluationError
        When the matrix names a class that there is none of.
    """
    names = [str(value) for value in classes or ()]
    table = np.zeros((len(names), len(names)))
    for actual, row in matrix.items():
        for said, cost in row.items():
            if unknown := [name for name in (actual, said) if name not in names]:
                raise EvaluationError(
                    "The cost matrix names a class that the model does not know.",
                    expected=" or ".join(names),
                    found=unknown[0],
                    where="evaluation.cost.matrix",
                    remedy=did_you_mean(unknown[0], names),
                )
            table[names.index(actual), names.index(said)] = cost
    return table


def call_cost_function(declared: BusinessCost, folder: Path, frame: pd.DataFrame, actual: Array, said: Array) -> Array:
    """Return the cost of each row by the model's own function.

    Parameters
    ----------
    declared : BusinessCost
        With a function.
    folder : Path
        The folder with its code.
    frame : DataFrame
        The rows, with the columns that it names.
    actual, said : array of shape (n_rows,)
        Classes or values.

    Raises
    ------
    EvaluationError
        When it raises, or gives something else than a number a row.
    """
    function, where = load_function(folder, str(declared.function)), f"evaluation.cost: {declared.function}"
    rows = frame[list(declared.columns)].reset_index(drop=True)
    try:
        costs = np.asarray(function(rows, actual.copy(), said.copy()), dtype=float)  # it may work in place
    except Exception as error:  # the team's own code may raise anything; its words may hold row data
        raise EvaluationError(f"The cost function raises {type(error).__name__}.", where=where) from error
    if costs.shape != (len(frame),) or not np.isfinite(costs).all():
        raise EvaluationError(
            "The cost function does not give a number for each row.",
            expected=f"{len(frame):,} finite numbers",
            found=f"an array of shape {costs.shape}" if costs.shape != (len(frame),) else "values that are no numbers",
            where=where,
        )
    return costs


@dataclass(frozen=True)
class RowCosts:
    """The cost of each row for each possible prediction.

    Attributes
    ----------
    table : array of shape (n_rows, n_classes), or None
        By the place of the class that a row is said to be; None for values.
    price : callable, or None
        For values: called with places of rows and what is said of those, it returns their costs.
    """

    table: Array | None
    price: Callable[[Array, Array], Array] | None = None
    rows: Array | None = None

    def at(self, positions: Array) -> RowCosts:
        """Return those of some of the rows."""
        if self.table is not None:
            return RowCosts(self.table[positions])
        return RowCosts(None, self.price, positions if self.rows is None else self.rows[positions])

    def of(self, score: Array, threshold: float | None) -> Array:
        """Return what each row costs by its score: of classes by the one from the threshold on, or the likeliest."""
        if self.table is None:
            assert self.price is not None  # noqa: S101 (made with one of the two)
            return self.price(np.arange(len(score)) if self.rows is None else self.rows, score)
        said = score.argmax(axis=1) if score.ndim == 2 else score >= (0.5 if threshold is None else threshold)
        return np.asarray(self.table[np.arange(len(score)), said.astype(np.int64)])


def row_costs(
    declared: BusinessCost, folder: Path, frame: pd.DataFrame, target: Array, classes: tuple[Any, ...] | None
) -> RowCosts:
    """Return the cost of rows, given their predictions.

    Parameters
    ----------
    declared : BusinessCost
        A matrix or a function.
    folder : Path
        The folder with the function's code.
    frame : DataFrame
        The rows, with the columns that the function names.
    target : array of shape (n_rows,)
        Places in ``classes``, or values.
    classes : tuple or None
        None for a regression.

    Raises
    ------
    EvaluationError
        When the matrix names a class that there is none of, or the function does not price each row by itself.
    """
    if declared.matrix is not None:
        return RowCosts(cost_matrix(declared.matrix, classes)[target.astype(np.int64)])
    if classes is None:
        return RowCosts(None, lambda at, said: call_cost_function(declared, folder, frame.iloc[at], target[at], said))
    named = np.array(classes, dtype=object)
    actual = named[target.astype(np.int64)]

    def price(said: Array) -> Array:
        return call_cost_function(declared, folder, frame, actual, named[said])

    rows = np.arange(len(frame))
    table = np.column_stack([price(np.full(len(frame), place)) for place in range(len(classes))])
    mixed = rows % len(classes)
    if not np.allclose(price(mixed), table[rows, mixed]):
        raise EvaluationError(
            "The cost function uses the predictions of other rows.",
            expected="a cost that depends only on the row, its class and its own prediction",
            where=f"evaluation.cost: {declared.function}",
            remedy="compute the cost of each row by itself; the metric is the mean over rows",
        )
    return RowCosts(table)
