"""Confidence sequences: intervals for a mean that hold at every look at once, however often one looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from include.monitoring.drift.long_run_variance import long_run_variance

Array = NDArray[Any]

LEAST_VALUES = 10
"""Of fewer values no interval is given: too little is known of how they spread, and how they follow one another."""
ALONE = 2.0
"""The safety margin, in standard errors, for the autocorrelation of a series without similar ones."""
EXPECTED = 0.25
"""Variance, in squared standard deviations, of the normal prior of the mean's distance; intervals are narrowest from ten to a hundred values."""


@dataclass(frozen=True)
class Bounds:
    """A mean of some values, with the interval that holds at every look at once; without an interval when there are too few values."""

    values: int
    mean: float | None
    low: float | None
    high: float | None


def confidence_sequence(values: Sequence[float] | Array, error: float) -> Bounds:
    """Bound a mean after any number of values; over all looks the interval misses it with probability ``error`` at most.

    Student's t with a normal mixture over the mean and the right Haar measure over the scale: a scale-invariant e-process,
    exact for normal values (Lai 1976, "On confidence sequences", Annals of Statistics 4; Wang and Ramdas 2024, "Anytime-valid
    t-tests and confidence sequences for Gaussian means with unknown variance"). Means of periods are nearly normal by
    themselves. What their autocorrelation adds to the variance of the mean is estimated and paid for.

    Parameters
    ----------
    values : sequence of float
        One a period, in the order of time.
    error : float
        Two-sided.
    """
    known = np.asarray(values, dtype=float)
    n = len(known)
    if n < LEAST_VALUES:
        return Bounds(n, float(known.mean()) if n else None, None, None)
    mean, variance = float(known.mean()), _variance(known)
    grown = 1 + n * EXPECTED
    ratio = (np.sqrt(grown) / error) ** (2 / n)
    if ratio >= grown:
        return Bounds(n, mean, None, None)
    # (1 + t2 / (n - 1)) / (1 + t2 / ((n - 1) grown)) reaches `ratio` where the mixture reaches 1 / error.
    reached = (ratio - 1) / (1 - ratio / grown) * (n - 1)
    half = float(np.sqrt(reached * variance / n))
    return Bounds(n, mean, mean - half, mean + half)


def interval_of_mean(values: Sequence[float] | Array, error: float) -> Bounds:
    """Return a two-sided confidence interval of a mean for a single look, by Student's t with a correction for autocorrelation."""
    known = np.asarray(values, dtype=float)
    n = len(known)
    if n < LEAST_VALUES:
        return Bounds(n, float(known.mean()) if n else None, None, None)
    half = -float(stdtrit(n - 1, error / 2)) * float(np.sqrt(_variance(known) / n))
    mean = float(known.mean())
    return Bounds(n, mean, mean - half, mean + half)


def _variance(values: Array) -> float:
    """Return the variance of single values that would give their mean the variance that it has."""
    return float(values.var(ddof=1)) * float(long_run_variance(values[None, :], caution=ALONE)[0])
