"""Sampling of rows for leakage checks that do not need all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from include.training.training_rows import TrainingRows

MIN_SAMPLE = 10
"""The smallest number of rows of a class for a result."""


def sample(rows: TrainingRows, most: int, seed: int) -> TrainingRows:
    """Return at most a given number of rows in their order, with an equal share of each class as far as possible.

    The checks measure how well classes or values are ranked, which does not depend on how frequent classes are.
    """
    if len(rows) <= most:
        return rows.fetched()
    rng = np.random.default_rng(seed)
    if rows.classes is None:
        return rows.at(np.sort(rng.choice(len(rows), most, replace=False))).fetched()
    share = most // len(rows.classes)
    of_class = (np.flatnonzero(rows.target == number) for number in range(len(rows.classes)))
    return rows.at(np.sort(np.concatenate([rng.permutation(own)[:share] for own in of_class]))).fetched()


def halves(rows: TrainingRows, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the positions of two halves of the rows, each class divided evenly."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    if rows.classes is not None:
        order = order[np.argsort(rows.target[order], kind="stable")]
    return np.sort(order[::2]), np.sort(order[1::2])
