"""Select the challenger among candidates, and the best trial of a search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from include.config.names import METRICS
from include.errors import TrainingError
from include.training.fit_record import FitRecord


def select_challenger(records: Iterable[FitRecord]) -> FitRecord:
    """Return the fit with the best cross-validated score on the primary metric; of equals the first.

    Raises
    ------
    TrainingError
        When there is none, or they were not compared on one metric and one snapshot.
    """
    return select_best(records, 1)[0]


def select_best(records: Iterable[FitRecord], count: int | None) -> list[FitRecord]:
    """Return the best fits, at most a given number, best first; of equal ones the first in order.

    Raises
    ------
    TrainingError
        As `select_challenger`.
    """
    compared = [(record, record.cv) for record in records if record.cv is not None]
    if not compared:
        raise TrainingError("no candidate was fitted", remedy="look at the training tasks' logs")
    if len({(record.snapshot, cv.metric, len(cv.folds)) for record, cv in compared}) > 1:
        raise TrainingError("candidates of different snapshots, metrics or folds can't be compared")
    greater = METRICS[compared[0][1].metric].greater_is_better
    order = ranked([cv.folds for _, cv in compared], greater_is_better=greater)
    return [compared[place][0] for place in order][:count]


def ranked(scores: Sequence[Sequence[float | None]], *, greater_is_better: bool) -> list[int]:
    """Order candidates, or trials, by their scores on the same folds.

    A fold on which no candidate has a value is ignored. A candidate with fewer values than others is ranked behind them, so
    that an undefined score is not an advantage on a hard fold. Among those with the same number, the mean over their common
    folds decides; where there is no such fold, each one's own.

    Parameters
    ----------
    scores : sequence of sequence of (float or None)
        For each one its score on every fold, None where the metric is undefined; empty for one that has no score at all.

    Returns
    -------
    list of int
        Places in ``scores``, the best first; of equals the first.
    """
    counts = [sum(value is not None for value in folds) for folds in scores]
    order: list[int] = []
    for _, group in groupby(
        sorted(range(len(scores)), key=lambda place: -counts[place]), key=lambda place: counts[place]
    ):
        places = list(group)
        shared = [
            fold for fold in range(len(scores[places[0]])) if all(scores[place][fold] is not None for place in places)
        ]
        means = {place: _mean(scores[place], shared) for place in places}
        order += sorted(places, key=lambda place: -means[place] if greater_is_better else means[place])
    return order


def _mean(folds: Sequence[float | None], shared: Sequence[int]) -> float:
    known = [folds[fold] for fold in shared] or [value for value in folds if value is not None]
    return float(np.mean(np.array(known, dtype=float))) if known else 0.0
