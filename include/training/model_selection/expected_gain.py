"""Expected gain of a search's remaining trials, to stop it early."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

LEAST_TRIALS = 8
"""The number of trials from which the expected gain is computed; fewer are too unreliable."""


def expected_gain(drawn: Sequence[float], left: int, best: float | None = None) -> float:
    """Bound what further draws gain over the best score so far, in expectation.

    Let f(n) be the expected best of n draws of one distribution. It is concave in n, so that each further draw gains at most what
    each of the last half gained: (f(n) - f(n/2)) / (n - n/2). f(n/2) is estimated without bias by the mean, over all ways to choose
    half of the draws, of the best among them, which their order statistics give (a U-statistic; Hoeffding, 1948). Settings that
    were tried before count as what must be beaten. A Bayesian search draws better than at random, and is taken as if it did not.

    Parameters
    ----------
    drawn : sequence of float
        Scores of drawn settings, of which greater is better.
    left : int
        How many draws are left.
    best : float, optional
        The best score of settings that were not drawn.

    Returns
    -------
    float
        Infinite while there are fewer than `LEAST_TRIALS`.
    """
    if len(drawn) < LEAST_TRIALS:
        return float("inf")
    ordered = sorted(drawn if best is None else (max(one, best) for one in drawn))
    number, half = len(ordered), len(ordered) // 2
    ways = comb(number, half)
    expected = sum(score * comb(place, half - 1) / ways for place, score in enumerate(ordered))
    return left * (ordered[-1] - expected) / (number - half)
