"""Models side by side on identical rows: metrics with intervals, gains with their distribution, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.evaluation.bootstrap import Resampling
from include.evaluation.evidence import PROBABILITIES, Gain, Measured, Role, SliceScores
from include.evaluation.metrics import DEFINITIONS, SHARED, needed_terms, row_terms, sign

Array = NDArray[Any]
Scores = dict[Role, dict[str, Measured]]

LEAST_DEFINED = 0.95
"""A metric that fewer of the resamples can be given is undefined: its interval would leave out the hard cases."""


@dataclass(frozen=True)
class Scored:
    """One model's scores for the holdout rows, and the score from which a row counts as positive."""

    score: Array
    threshold: float | None


@dataclass(frozen=True)
class Levels:
    """The levels of a slice column, and which of them each row is in (an index into the names)."""

    names: tuple[str, ...]
    codes: Array

    @classmethod
    def of(cls, column: pd.Series) -> Levels:
        """Read a column's levels, ascending; a missing value is the level ``(missing)``."""
        codes, values = pd.factorize(column, use_na_sentinel=False)
        names = np.array(["(missing)" if pd.isna(value) else str(value) for value in values])
        order = np.argsort(names, kind="stable")
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        return cls(tuple(names[order].tolist()), place[codes])


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    scores: Scores
    gains: tuple[Gain, ...]
    slice_scores: tuple[SliceScores, ...]


def compare(
    target: Array,
    models: Mapping[Role, Scored],
    metrics: tuple[str, ...],
    slices: Mapping[str, Levels],
    resampling: Resampling,
    *,
    positives: bool,
) -> Comparison:
    """Measure every model, and the challenger's gain over each other one, on all rows and on each level of the slices.

    Parameters
    ----------
    target : array of shape (n_rows,)
    models : dict of role to Scored
        Must hold the challenger. On slices gains are against the incumbent, or where there is none the baselines.
    metrics : tuple of str
    slices : dict of column to Levels
    resampling : Resampling
        The same weights serve every model, metric and slice, so that all gains are paired.
    positives : bool
        Whether the target is 0 or 1, so that its ones are counted.
    """
    opponents: list[Role] = [role for role in models if role != "challenger"]
    scores, gains = _on_rows(target, models, opponents, metrics, None, None, resampling)
    slice_scores: list[SliceScores] = []
    sliced: list[Role] = ["incumbent"] if "incumbent" in models else opponents
    shown = {role: scored for role, scored in models.items() if role == "challenger" or role in sliced}
    for column, levels in slices.items():
        order = np.argsort(levels.codes, kind="stable")
        counts = np.bincount(levels.codes, minlength=len(levels.names))
        for level, rows in zip(levels.names, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            level_scores, level_gains = _on_rows(target, shown, sliced, metrics, (column, level), rows, resampling)
            gains += level_gains
            count = int(target[rows].sum()) if positives else None
            slice_scores.append(SliceScores(column, level, len(rows), count, level_scores))
    return Comparison(scores, tuple(gains), tuple(slice_scores))


def _on_rows(
    target: Array,
    models: Mapping[Role, Scored],
    opponents: list[Role],
    metrics: tuple[str, ...],
    at: tuple[str, str] | None,
    rows: Array | None,
    resampling: Resampling,
) -> tuple[Scores, list[Gain]]:
    values = _values(target, models, metrics, rows, resampling)
    scores = {role: {metric: _measured(metric, values[role, metric]) for metric in metrics} for role in models}
    support = len(target) if rows is None else len(rows)
    gains = [
        _gain(metric, role, at, support, values["challenger", metric], values[role, metric])
        for metric in metrics
        for role in opponents
    ]
    return scores, gains


def _values(
    target: Array, models: Mapping[Role, Scored], metrics: tuple[str, ...], rows: Array | None, resampling: Resampling
) -> dict[tuple[Role, str], Array]:
    """Return each model's metrics, shape (1 + n_resamples,): first as measured, then resampled."""
    wanted = needed_terms(metrics)
    centre = float(target.mean())
    here = target if rows is None else target[rows]
    columns: dict[tuple[Role | None, str], Array] = {}
    for role, scored in models.items():
        score = scored.score if rows is None else scored.score[rows]
        own = tuple(term for term in wanted if term not in SHARED or (None, term) not in columns)
        for term, column in row_terms(own, here, score, scored.threshold, centre).items():
            columns[None if term in SHARED else role, term] = column
    sums = dict(zip(columns, resampling.sums(list(columns.values()), rows), strict=True))
    return {
        (role, metric): DEFINITIONS[metric].combine(
            {term: sums[None if term in SHARED else role, term] for term in DEFINITIONS[metric].terms}
        )
        for role in models
        for metric in metrics
    }


def _why_undefined(metric: str, values: Array) -> str | None:
    reason = DEFINITIONS[metric].undefined
    if np.isnan(values[0]):
        return reason
    defined = float(np.isfinite(values[1:]).mean())
    if defined < LEAST_DEFINED:
        return f"too few rows: in {1 - defined:.0%} of the resamples {reason}"
    return None


def _measured(metric: str, values: Array) -> Measured:
    if why := _why_undefined(metric, values):
        value = None if np.isnan(values[0]) else rounded(values[0])
        return Measured(value, None, None, why)
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Measured(rounded(values[0]), rounded(low), rounded(high))


def _gain(metric: str, against: Role, at: tuple[str, str] | None, support: int, ours: Array, theirs: Array) -> Gain:
    if why := _why_undefined(metric, ours) or _why_undefined(metric, theirs):
        return Gain(metric, against, at, support, None, (), why)
    gains = sign(metric) * (ours - theirs)
    quantiles = np.nanquantile(gains[1:], PROBABILITIES)
    pairs = tuple((p, rounded(q)) for p, q in zip(PROBABILITIES, quantiles, strict=True))
    return Gain(metric, against, at, support, rounded(gains[0]), pairs)


def rounded(value: float) -> float:
    """Return ten significant digits: what the last bits of a sum depend on is no part of the evidence."""
    # Adding zero turns -0.0, which canonical JSON writes as 0, into what is read back.
    return float(f"{value:.10g}") + 0.0
