"""Overfitting: the challenger's metrics on its training rows, compared with those on the holdout."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.explanation.results import TrainScores
from include.evaluation.gains import Measured
from include.evaluation.metrics.metric_values import values_on
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import draw
from include.evaluation.uncertainty.intervals import interval_of, rounded
from include.training.metrics.multiclass import classes_in, definition

Array = NDArray[Any]

MAX_TRAINING_ROWS = 20_000
"""The number of sampled training rows; with this number, a share of rows is known to within one percent."""


def sample_positions(rows: int, seed: int) -> Array:
    """Return the indices of the sampled training rows, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_TRAINING_ROWS])


def train_scores(
    target: Array, scored: Scored, metrics: tuple[str, ...], *, of: int, resamples: int, seed: int
) -> TrainScores:
    """Measure the challenger on its training rows.

    Parameters
    ----------
    target : array of shape (n_rows,)
    scored : Scored
        Its answers for these rows.
    of : int
        How many training rows there are. What a draw leaves open shrinks with the share that it takes of them (the
        finite population correction), and is nothing if it takes all.
    """
    rows = len(target)
    resampling = draw(np.arange(rows), resamples=resamples, seed=seed)
    known = values_on(target, {"challenger": scored}, metrics, np.arange(rows), resampling)
    open_ = sqrt(1 - rows / of)

    def measured(metric: str) -> Measured:
        values = known["challenger", metric]
        why = definition(metric, classes_in(scored.score)).undefined
        found = interval_of(np.r_[values[0], values[0] + open_ * (values[1:] - values[0])], why, resampling.units)
        if found.value is not None and rows == of:
            return Measured(rounded(values[0]), rounded(values[0]), rounded(values[0]))
        return found

    return TrainScores(rows, of, {metric: measured(metric) for metric in metrics})
