"""Bounds that hold for all levels of a slice at once: the distribution of the largest of their deviations (max-t)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.gains import CONFIDENCES
from include.evaluation.uncertainty.bootstrap import widened

Array = NDArray[Any]


def critical_values(deviations: Array, units: Array) -> tuple[tuple[float, ...], ...]:
    """Return how many standard errors bound all of some levels at once, for the one, two, three ... first of them.

    The levels share each resample, so that what they have in common is not paid for twice, as Bonferroni would (Westfall
    and Young 1993; Romano and Wolf 2005). One step is enough: to know whether any level fails, the steps after the first
    add nothing.

    Parameters
    ----------
    deviations : array of shape (n_levels, n_resamples)
        Each level's resampled gain minus its gain, in its own standard errors; NaN where a resample has no value.
    units : array of shape (n_levels,)
        How many units of equal weight tell the spread of each level's gain.

    Returns
    -------
    tuple of n_levels tuples
        Critical values at `CONFIDENCES`, as far as the resamples can tell.
    """
    largest = np.fmax.accumulate(deviations, axis=0)
    told = [confidence for confidence in CONFIDENCES if (1 - confidence) * deviations.shape[1] >= 1]
    values = np.nanquantile(largest, told, axis=1).T
    fewest = np.minimum.accumulate(units)
    return tuple(
        tuple(round(float(value), 4) + 0.0 for value in widened(row, few))
        for row, few in zip(values, fewest, strict=True)
    )
