"""Intervals of metrics and of gains, from their resampled values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.gains import PROBABILITIES, Gain, Measured, Role
from include.evaluation.uncertainty.bootstrap import LEAST_UNITS, expanded
from include.training.metrics.definitions import sign

Array = NDArray[Any]

MIN_DEFINED_SHARE = 0.95
"""A metric that fewer of the resamples can be given is undefined: its interval would leave out the hard cases."""


def why_undefined(reason: str, values: Array, units: int) -> str | None:
    """Return why a metric has no value or no interval by its resampled values, or None; ``reason`` is why a value is missing."""
    if np.isnan(values[0]):
        return reason
    defined = float(np.isfinite(values[1:]).mean())
    if defined < MIN_DEFINED_SHARE:
        return f"too few rows: in {1 - defined:.0%} of the resamples {reason}"
    if units < LEAST_UNITS:
        return f"too few to resample: {units}, where it takes {LEAST_UNITS}"
    return None


def interval_of(
    values: Array, reason: str, units: int, effective: float | None = None, share_of: int | None = None
) -> Measured:
    """Return a value with the 95 % interval of its resamples, or ``reason`` where it has none.

    Of a share of all units, or of none, every resample is the same, however few they are: such an interval is that of
    Clopper and Pearson (1934, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26).

    Parameters
    ----------
    values : array of shape (1 + n_resamples,)
        The value, and what it is in each resample.
    units : int
        How many units were resampled.
    effective : float, optional
        How many units of equal weight tell the spread, by `effective_units`; all of them if left out.
    share_of : int, optional
        How many units it is a share of; left out of what is no share.
    """
    if why := why_undefined(reason, values, units):
        value = None if np.isnan(values[0]) else rounded(values[0])
        return Measured(value, None, None, why)
    few = units if effective is None else effective
    low, high = np.nanquantile(values[1:], expanded(np.array([0.025, 0.975]), few))
    if share_of and low == high == values[0] and values[0] in (0, 1):
        bound = 0.025 ** (1 / share_of)
        low, high = (bound, 1.0) if values[0] else (0.0, 1 - bound)
    return Measured(rounded(values[0]), rounded(low), rounded(high))


def gain_of_draws(
    metric: str,
    against: Role,
    at: tuple[str, str] | None,
    support: int,
    ours: Array,
    theirs: Array,
    units: int,
    effective: float,
    reason: str,
) -> Gain:
    """Return the gain of one model over another by their resampled values, or the reason why there is none.

    Parameters
    ----------
    at : (str, str) or None
        The level of a slice; None for all rows.
    support : int
        How many rows were compared.
    ours, theirs : array of shape (1 + n_resamples,)
        The metric's value, and what it is in each resample.
    units : int
        How many units were resampled.
    effective : float
        How many units of equal weight tell the spread of the gain, by `effective_units`.
    reason : str
        Why the metric may have no value.
    """
    if why := why_undefined(reason, ours, units) or why_undefined(reason, theirs, units):
        return Gain(metric, against, at, support, None, (), why)
    gains = sign(metric) * (ours - theirs)
    places = expanded(np.array(PROBABILITIES), effective)
    bounds = np.nanquantile(gains[1:], places)
    # A quantile beyond which not one resample is to be expected would be no more than the most extreme of them.
    reached = np.minimum(places, 1 - places) * (len(gains) - 1) >= 1
    pairs = tuple((p, rounded(q)) for p, q, told in zip(PROBABILITIES, bounds, reached, strict=True) if told)
    return Gain(metric, against, at, support, rounded(gains[0]), pairs)


def rounded(value: float) -> float:
    """Return ten significant digits: what the last bits of a sum depend on is no part of the evidence."""
    # Adding zero turns -0.0, which canonical JSON writes as 0, into what is read back.
    return float(f"{value:.10g}") + 0.0
