"""Rows that a fit holds out to decide when to stop."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def inner_tenth(y: Array, seed: int, *, stratified: bool) -> tuple[Array, Array]:
    """Return the positions of nine tenths and of a tenth of the rows, drawn at random from each class.

    Parameters
    ----------
    y : array of shape (n_rows,)
    seed : int
    stratified : bool
        Whether each class gives its own tenth.

    Raises
    ------
    ValueError
        When no class has ten rows.
    """
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == one) for one in np.unique(y)] if stratified else [np.arange(len(y))]
    inner = np.sort(np.concatenate([rng.permutation(group)[: len(group) // 10] for group in groups]))
    if not len(inner):
        raise ValueError("early stopping needs at least ten rows of a class")
    return np.setdiff1d(np.arange(len(y)), inner), inner
