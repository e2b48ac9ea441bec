"""Costs of classes: a matrix by the class that a row is of and that it is said to be, and what predictions cost by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import EvaluationError, nearest

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
                    remedy=f"did you mean `{close}`?" if (close := nearest(unknown[0], names)) else None,
                )
            table[names.index(actual), names.index(said)] = cost
    return table


def costs_of_rows(costs: Array, target: Array, score: Array, threshold: float | None) -> Array:
    """Return what each row costs by the class that it is said to be: the one from the threshold on, or the likeliest.

    Parameters
    ----------
    costs : array of shape (n_classes, n_classes)
        As `cost_matrix` returns them.
    target : array of shape (n_rows,)
        Places of classes.
    score : array of shape (n_rows,) or (n_rows, n_classes)
        Probabilities of the second of two classes, or of each.
    threshold : float or None
        For two classes; a half if left out.
    """
    said = score.argmax(axis=1) if score.ndim == 2 else (score >= (0.5 if threshold is None else threshold))
    return np.asarray(costs[target.astype(np.int64), said.astype(np.int64)])
