"""DeLong's closed form for the difference of two paired AUCs: a second opinion on the bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_Z95 = 1.959963984540054


def delong_interval(gain: float, positive: Array, negative: Array) -> tuple[float, float] | None:
    """Return the two-sided 95 % interval of a gain in ROC AUC, or None with fewer than two rows of a class.

    Source: DeLong, DeLong and Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44. It takes every row for independent of the others.

    Parameters
    ----------
    gain : float
    positive : array of shape (n_positive,)
        Difference of the two models' placement values of each positive row: the share of negatives that it beats.
    negative : array of shape (n_negative,)
        The same of each negative row: the share of positives that beat it.
    """
    if min(len(positive), len(negative)) < 2:
        return None
    half = _Z95 * np.sqrt(np.var(positive, ddof=1) / len(positive) + np.var(negative, ddof=1) / len(negative))
    return float(gain - half), float(gain + half)
