"""Power of a comparison: the smallest gain that it can detect, and how many more rows it needs."""

from __future__ import annotations

from include.evaluation.gains import Gain, probit

POWER = 0.8
"""How surely a gain of the size called detectable is detected, and a guard's levels pass when nothing changed for them."""


MAX_ROWS_FACTOR = 100
"""The largest multiple of the present rows that is recommended to reach a decision."""


def least_detectable(gain: Gain, least: float, confidence: float) -> float | None:
    """Return the gain that would be shown to be above ``least`` on such rows with a probability of `POWER`."""
    return None if gain.error is None else least + (probit(confidence) + probit(POWER)) * gain.error


def more_rows(estimate: float | None, level: float, low: float, high: float, rows: int) -> int | None:
    """Return about how many more rows would decide if the estimate stays; None if it is at the level itself.

    The bound that is on the wrong side of ``level`` comes nearer to the estimate as one over the root of the rows.

    Parameters
    ----------
    estimate : float or None
        The measured value.
    level : float
        The value that the rule asks for.
    low, high : float
        Confidence bounds of the estimate.
    rows : int
        Rows that it was measured on.
    """
    if estimate is None or estimate == level:
        return None
    times = ((estimate - (low if estimate > level else high)) / (estimate - level)) ** 2
    return None if times > MAX_ROWS_FACTOR else round(float(f"{max(0.0, times - 1) * rows:.2g}"))
