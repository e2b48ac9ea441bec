"""Long-run variance of dependent periods, with autocorrelation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Array = NDArray[Any]

CAUTION = 1.0
"""Standard errors that are added to what a series seems to remember; too little would cost the rate, too much some days' delay."""


def studentised(values: Array) -> Array:
    """Return each value less the mean of the others, in standard errors of such a difference.

    Symmetrical in the values, so that ranks among them are as likely as among the values themselves; of normal values
    Student's t with two degrees of freedom less than there are values. NaN for fewer than three.

    Parameters
    ----------
    values : array of shape (n_series, n_values)
        NaN where there is none.
    """
    known = ~np.isnan(values)
    n = known.sum(axis=1, keepdims=True).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = values - np.where(known, values, 0).sum(axis=1, keepdims=True) / n
        squares = np.where(known, apart**2, 0).sum(axis=1, keepdims=True)
        # Differences of equal values are zero but for rounding, which must not become a rank.
        apart = np.where(np.abs(apart) <= 1e-12 * np.abs(values), 0.0, apart)
        rest = np.maximum((squares - apart**2 * n / (n - 1)) / (n - 2), 0)
        found = np.where(apart == 0, 0.0, apart * np.sqrt((n - 1) / n) * n / (n - 1) / np.sqrt(rest))
    studentised: Array = np.where(known & (n >= 3), found, np.nan)
    return studentised


def long_run_variance(residuals: Array, caution: float = CAUTION) -> Array:
    """Return by how much sums of neighbouring periods vary more than they would without memory, at least one.

    The autocorrelations of normal scores are added in pairs until they stop falling towards zero (Geyer 1992, "Practical Markov
    chain Monte Carlo", the initial monotone sequence); subtracting the mean of few periods makes them too small, which is
    corrected. A hundred days say little of one series: none is taken to have less memory than those have, on average, that are
    correlated with the days before as it is; and so many standard errors of caution are added.

    Parameters
    ----------
    residuals : array of shape (n_series, n_periods)
        NaN where there is none.
    """
    count, periods = residuals.shape
    pairs = periods // 4
    if not count or pairs < 1:
        return np.ones(count)
    known = ~np.isnan(residuals)
    sizes = np.maximum(known.sum(axis=1, keepdims=True), 1)
    ranks = rankdata(residuals, axis=1, nan_policy="omit")  # equal values share their ranks: they are no trend
    scores = np.where(known, ndtri((np.where(known, ranks, 1) - 0.5) / sizes), 0.0)
    scores = np.where(known, scores - scores.sum(axis=1, keepdims=True) / sizes, 0.0)
    spectrum = np.abs(np.fft.rfft(scores, 2 * periods, axis=1)) ** 2
    products = np.fft.irfft(spectrum, axis=1)[:, : 2 * pairs]
    correlations = products / np.where(products[:, :1] > 0, products[:, :1], 1)
    memory = np.ones(count)
    for _ in range(3):
        mended = correlations + (memory / sizes[:, 0])[:, None]
        mended[:, 0] = 1
        sums = np.minimum.accumulate(mended.reshape(count, pairs, 2).sum(axis=2), axis=1)
        memory = np.maximum(1, 2 * np.maximum(sums, 0).sum(axis=1) - 1)
    varied = products[:, 0] > 1e-9
    memory = np.where(varied, memory, 1.0)
    if varied.any():
        # Short memory is seen well, and says which series are alike.
        short = correlations[varied, 1 : min(4, 2 * pairs)].mean(axis=1)
        width = 2 / np.sqrt(sizes[varied, 0])
        alike = np.exp(-(((short[:, None] - short) / width[:, None]) ** 2) / 2)
        memory[varied] = np.maximum(memory[varied], alike @ memory[varied] / alike.sum(axis=1))
    paid: Array = memory * (1 + caution * np.sqrt(2 * memory / sizes[:, 0]))
    return paid
