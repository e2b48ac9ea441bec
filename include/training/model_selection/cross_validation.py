"""Cross-validation: splits of the training rows into rows to fit and rows to validate; the holdout takes no part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from include.config.durations import Duration
from include.config.sections.training import CrossValidation
from include.errors import TrainingError

RowPositions = np.ndarray[Any, np.dtype[np.intp]]
Fold = tuple[RowPositions, RowPositions]
"""Positions of the fitted and of the validating rows, ascending."""


def folds(
    cv: CrossValidation,
    *,
    times: pd.Series[Any],
    target: np.ndarray[Any, Any],
    groups: pd.Series[Any] | None,
    label_delay: Duration,
    seed: int,
    units: pd.Series[Any] | None = None,
) -> Iterator[Fold]:
    """Yield the folds that ``cv`` declares; if a class is too rare for that number, as many as it allows, but at least two.

    Parameters
    ----------
    times : series of timestamps
        Each row's event time, for ``time_series``.
    target : array of shape (n_rows,)
        For ``stratified``.
    groups : series, optional
        For ``group``.
    label_delay : Duration
        The gap of ``time_series``.
    units : series, optional
        What rows with one value are not divided by ``k_fold`` and ``stratified``, such as equal rows.

    Raises
    ------
    TrainingError
        When there are too few rows for the folds.
    """
    if cv.kind == "time_series":
        return time_series(times, folds=cv.folds, gap=label_delay)
    if cv.kind == "group":
        return _grouped(groups, cv.folds)
    unit = np.arange(len(target)) if units is None else pd.factorize(units)[0]
    # A unit has the class of its first row.
    labels = np.asarray(target)[np.unique(unit, return_index=True)[1]]
    count = cv.folds
    if cv.kind == "stratified":
        fewest = int(np.unique(labels, return_counts=True)[1].min())
        if fewest < 2:
            raise _too_many_folds(cv.folds, "a class of one row, or of one set of equal rows")
        count = min(count, fewest)
    if len(labels) < count:
        raise _too_many_folds(cv.folds, f"{len(labels)} rows")
    splitter = {"k_fold": KFold, "stratified": StratifiedKFold}[cv.kind](count, shuffle=True, random_state=seed)
    divided = splitter.split(labels, labels)
    return ((np.flatnonzero(np.isin(unit, some)), np.flatnonzero(np.isin(unit, others))) for some, others in divided)


def time_series(times: pd.Series[Any], *, folds: int, gap: Duration) -> Iterator[Fold]:
    """Yield folds that learn from the past and validate on what came after, as a retraining does.

    Rows are cut by event time into ``folds + 1`` blocks of about equal size (with one fold: four fifths and one). Each
    block but the first validates once; fitted are the rows whose labels were known when it began, that is those with
    ``event time + gap`` at or before the cut. Validating rows are newer than the cut. Rows of one instant stay together.
    """
    if times.isna().any():
        raise TrainingError("rows have no event time", found=f"{int(times.isna().sum())} of {len(times)}")
    ordered = times.sort_values(kind="stable").reset_index(drop=True)
    shares = [0.8, 1.0] if folds == 1 else [step / (folds + 1) for step in range(1, folds + 2)]
    cuts = [ordered.iloc[max(0, round(share * len(ordered)) - 1)] for share in shares]
    for number, (start, end) in enumerate(itertools.pairwise(cuts), start=1):
        known = pd.Timestamp(start.to_pydatetime(warn=False) - gap)
        fitted = np.flatnonzero((times <= known).to_numpy())
        validating = np.flatnonzero(((times > start) & (times <= end)).to_numpy())
        if not len(fitted) or not len(validating):
            raise TrainingError(
                f"fold {number} of {folds} is empty",
                expected=f"rows known {gap} before {start}, and rows after it until {end}",
                found=f"{len(fitted)} and {len(validating)} rows",
                remedy="fewer `folds`, a longer `data.windows.train`, or a shorter `data.label_delay`",
            )
        yield fitted, validating


def _grouped(groups: pd.Series[Any] | None, count: int) -> Iterator[Fold]:
    if groups is None or groups.isna().any():
        raise TrainingError("rows have no group", remedy="give every row a value in the column of `cv.group`")
    numbers, names = pd.factorize(groups)
    if len(names) < count:
        raise _too_many_folds(count, f"{len(names)} groups")
    return GroupKFold(count).split(numbers, groups=numbers)  # type: ignore[no-any-return]


def _too_many_folds(count: int, found: str) -> TrainingError:
    return TrainingError(
        "there are more folds than the rows allow",
        expected=f"at least {count}",
        found=found,
        remedy="fewer `folds`, or a longer `data.windows.train`",
    )
