"""Sequential change detection with a known rate of false alarms, for any number of rows behind each value.

The unit is a period, never a row: a value is surprising beside the values of other periods. docs/watching.md derives it.

1. *Ranks.* A period's value is compared with all periods so far, those of the reference among them, each in its own phase of the
   week and studentised by the others of its phase. If periods are alike, every rank is equally likely, regardless of the values'
   distribution (conformal prediction; Vovk, Gammerman and Shafer 2005; Vovk 2021, "Testing randomness online").
2. *Bets.* A bet on high or low ranks multiplies the stake by a factor whose mean over all ranks is one: an e-value.
3. *Memory.* Periods follow one another: a bad Monday makes a bad Tuesday likelier. Each look pays for what the
   autocorrelation of the reference would win by itself: the bet's cumulant times the long-run variance less one.
4. *Detectors.* A Shiryaev-Roberts sum of products restarts the bet at every period (e-detectors; Shin, Ramdas and Rinaldo
   2024). Its value less the number of looks has no upward drift, so a detector that alarms and restarts at a threshold A
   alarms at most once in A looks on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from include.monitoring.drift.long_run_variance import long_run_variance, studentised

Array = NDArray[Any]

STRENGTHS = (0.35, 0.7, 1.2, 2.0, 3.0)
"""Shifts, in standard deviations between periods, that bets are made for; the stake is divided equally."""
LEAST_IN_PHASE = 4
"""With fewer reference periods in any phase of the week, phases are not told apart."""
LEAST_PERIODS = 8
"""The smallest number of reference periods; with fewer, no change is significant."""
YEAR = timedelta(days=365.25)


@dataclass(frozen=True)
class Detection:
    """What detectors found.

    Parameters
    ----------
    evidence : array of shape (n_series, n_looks)
        Each detector's value as a share of its threshold, before it restarts; at one or more it alarms.
    began : array of int of shape (n_series, n_looks)
        Where a change is taken to begin: the look at which the bet that won most would best have been begun.
    memory : array of shape (n_series,)
        The long-run variance of each series that was paid for; one is no memory.
    """

    evidence: Array
    began: Array
    memory: Array

    @property
    def crossed(self) -> Array:
        """Whether each detector alarmed at each look: an array of bool of shape (n_series, n_looks)."""
        crossed: Array = self.evidence >= 1
        return crossed


def thresholds(shares: Array, false_alarms: float, length: timedelta) -> Array:
    """Return the threshold of each detector.

    Parameters
    ----------
    shares : array of shape (n_series,)
        How the false alarms are divided among the series; they add up to one at most.
    false_alarms : float
        How many a year are accepted from all of them together.
    length : timedelta
        Of a period.
    """
    found: Array = (YEAR / length) / (false_alarms * np.asarray(shares))
    return found


def phases(starts: Sequence[datetime], length: timedelta, references: int) -> Array:
    """Return the phase of the week that each period is in: hour and weekday, or weekday, or nothing if periods are longer.

    Phases are told apart as far as the reference periods, which come first, have each of them `LEAST_IN_PHASE` times.
    """
    hour, day = timedelta(hours=1), timedelta(days=1)
    hours = np.array([start.hour if length < day else 0 for start in starts])
    days = np.array([start.weekday() if length < 7 * day else 0 for start in starts])
    if length > hour:  # a phase is as long as a period
        hours = hours // max(1, round(length / hour)) if length < day else hours
    for found in (24 * days + hours, hours):
        present, counts = np.unique(found[:references], return_counts=True)
        if len(counts) and counts.min() >= LEAST_IN_PHASE and np.isin(found, present).all():
            whole: Array = found
            return whole
    return np.zeros(len(starts), dtype=np.int64)


def detect(
    series: Array,
    phases: Array,
    references: int,
    thresholds: Array,
    two_sided: Array,
    distance_of: Array | None = None,
) -> Detection:
    """Follow series of values, one a period, after those of the reference.

    Parameters
    ----------
    series : array of shape (n_series, n_periods)
        In the order of time, the reference first; NaN where there is no value.
    phases : array of int of shape (n_periods,)
    references : int
        How many of the periods are the reference.
    thresholds : array of shape (n_series,)
    two_sided : array of bool of shape (n_series,)
        Whether low values are surprising as well as high ones.
    distance_of : array of int of shape (n_series,), optional
        For a series of distances, the series of places that it grows with on both sides; -1 for others. A square remembers
        what it is the square of: of places correlated by r from one period to the next, r squared.
    """
    count, periods = series.shape
    residuals = np.full(series.shape, np.nan)
    for phase in np.unique(phases[:references]):
        members = np.flatnonzero(phases[:references] == phase)
        residuals[:, members] = studentised(series[:, members])
    memory = long_run_variance(residuals[:, :references])
    if distance_of is not None:
        places = memory[np.maximum(distance_of, 0)]
        memory = np.where(distance_of >= 0, np.maximum(memory, (places + 1 / places) / 2), memory)
    stakes = np.zeros((count, 2 * len(STRENGTHS)))
    share = np.where(two_sided[:, None], 0.5, np.r_[np.ones(len(STRENGTHS)), np.zeros(len(STRENGTHS))])
    share = share / len(STRENGTHS)
    evidence = np.zeros((count, max(periods - references, 0)))
    began = np.zeros(evidence.shape, dtype=np.int64)
    best = np.zeros(stakes.shape)  # log of what each bet is worth, begun at the best moment: a CUSUM
    start = np.zeros(stakes.shape, dtype=np.int64)
    enough = np.isfinite(residuals[:, :references]).sum(axis=1) >= LEAST_PERIODS
    for look in range(references, periods):
        members = np.flatnonzero(phases[: look + 1] == phases[look])
        residuals[:, members] = studentised(series[:, members])
        seen, now = residuals[:, : look + 1], residuals[:, look, None]
        with np.errstate(invalid="ignore"):
            below, equal = (seen < now).sum(axis=1), (seen == now).sum(axis=1)
        sizes = (~np.isnan(seen)).sum(axis=1)
        # Among periods that are all equal there is nothing to bet on.
        at = np.flatnonzero(np.isfinite(now[:, 0]) & enough & (equal < sizes))
        if not len(at):
            continue
        below, equal, sizes = below[at], equal[at], sizes[at]
        for size in np.unique(sizes):
            some = sizes == size
            growth, cumulants = _bets(int(size))
            ranks, ties = below[some], equal[some]
            factors = (growth[:, ranks + ties] - growth[:, ranks]) / ties
            factors *= np.exp(-np.outer(cumulants, memory[at[some]] - 1))
            rows = at[some]
            stakes[rows] = (stakes[rows] + 1) * factors.T
            start[rows] = np.where(best[rows] <= 0, look - references, start[rows])
            best[rows] = np.maximum(best[rows], 0) + np.log(np.maximum(factors.T, 1e-300))
        parts = stakes[at] * share[at]
        value = parts.sum(axis=1)
        began[at, look - references] = start[at, parts.argmax(axis=1)]
        evidence[at, look - references] = value / thresholds[at]
        again = at[value >= thresholds[at]]
        stakes[again] = best[again] = 0
    return Detection(evidence, began, memory)


@lru_cache(maxsize=4096)
def _bets(size: int) -> tuple[Array, Array]:
    """Return what each bet pays for a rank below the first, second, third ... of ``size``, added up, and its cumulant.

    A bet of strength s pays exp(s z) for the normal score z of the rank, divided by the mean of that over all ranks. Values
    that are equal share what their ranks are paid.
    """
    scores = ndtri((np.arange(1, size + 1) - 0.5) / size)
    strengths = np.r_[STRENGTHS, np.negative(STRENGTHS)]
    paid = np.exp(strengths[:, None] * scores)
    means = paid.mean(axis=1)
    growth = np.concatenate([np.zeros((len(strengths), 1)), np.cumsum(paid / means[:, None], axis=1)], axis=1)
    return growth, np.log(means)
