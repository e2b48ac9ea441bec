"""Permutation importance: the loss of a metric when one column is shuffled (Breiman 2001)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.evaluation.explanation.results import Importance
from include.evaluation.uncertainty.intervals import rounded
from include.training.metrics.costs import RowCosts
from include.training.metrics.definitions import sign
from include.training.metrics.multiclass import value_of

Array = NDArray[Any]

MAX_PERMUTED_ROWS = 3_000
N_REPEATS = 3


def permutation_importance(
    predict: Callable[[pd.DataFrame], Array],
    frame: pd.DataFrame,
    target: Array,
    columns: Sequence[str],
    metric: str | None,
    threshold: float | None,
    *,
    seed: int,
    quantile: float = 0.5,
    costs: RowCosts | None = None,
) -> tuple[Importance, ...]:
    """Shuffle one column at a time among a sample of rows and measure the loss.

    Parameters
    ----------
    metric : str or None
        None of a clustering, whose clusters have no right answer: the loss is then the share of rows that change theirs.
    costs : RowCosts, optional
        What the rows cost, for the metric `cost`.

    Returns
    -------
    tuple of Importance
        One for each column, the largest loss first; without a value where the metric is undefined on the sample.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(frame))[:MAX_PERMUTED_ROWS])
    sample, answers = frame.iloc[rows], target[rows]

    priced = None if costs is None else costs.at(rows)

    before = predict(sample)
    whole = 0.0 if metric is None else value_of(metric, answers, before, threshold, quantile, priced)

    def loss_of(score: Array) -> float:
        if metric is None:
            return float((score != before).mean())
        return sign(metric) * (whole - value_of(metric, answers, score, threshold, quantile, priced))

    # All repeats of a column are predicted at once: a pipeline's fixed cost is most of a small prediction.
    repeated = sample.take(np.tile(np.arange(len(sample)), N_REPEATS)).reset_index(drop=True)
    found = []
    for column in columns:
        order = np.concatenate([rng.permutation(len(sample)) for _ in range(N_REPEATS)])
        shuffled = repeated.assign(**{column: sample[column].take(order).array})
        scores = np.split(predict(shuffled), N_REPEATS)
        losses = [loss_of(score) for score in scores]
        undefined = bool(np.isnan(losses).any())
        loss, spread = (None, None) if undefined else (rounded(fmean(losses)), rounded(pstdev(losses)))
        found.append(Importance(column, loss, spread))
    return tuple(sorted(found, key=lambda one: (one.loss is None, -(one.loss or 0.0))))
