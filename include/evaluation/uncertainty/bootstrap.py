"""Bootstrap weights: one draw for every model, metric and slice, so that all differences are paired.

What is resampled is a unit: a row, a cluster of rows, or a block of event time. Everything else is the same for all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from include.config.sections.evaluation import LEAST_BLOCKS

Array = NDArray[Any]

MAX_GROUPS = 2_500
"""More units than this are resampled in random groups: the cost is then linear in rows. The standard error that grouping
adds to an interval's width, 1 / sqrt(2 * groups), is 1.4 %; 1,000 resamples leave 2.2 % open for any number of groups."""

LEAST_UNITS = LEAST_BLOCKS
"""Of fewer units than this no interval is given: their spread says too little about the spread of others."""

_BATCH = 2_000


@dataclass(frozen=True)
class Resampling:
    """Weights of units in every resample.

    Parameters
    ----------
    group_of : array of shape (n_rows,)
        The group that each row is resampled with.
    weights : array of shape (n_groups, n_resamples)
        How often each group is in each resample, Poisson with mean one.
    units : int
        Number of rows or clusters before grouping.
    """

    group_of: Array
    weights: Array
    units: int

    def present(self, rows: Array | None = None) -> int:
        """Return how many units, or groups of units, some rows are in."""
        return int(np.count_nonzero(self._counts(rows)))

    def _counts(self, rows: Array | None) -> Array:
        groups = self.group_of if rows is None else self.group_of[rows]
        counts: Array = np.bincount(groups, minlength=len(self.weights))
        return counts

    def sums(self, columns: list[Array], rows: Array | None = None) -> Array:
        """Sum per-row terms over the rows as they are, and over each resample of them.

        Parameters
        ----------
        columns : list of arrays of shape (n_rows,)
            Terms of the rows looked at.
        rows : array of int, optional
            Which rows these are; all if left out.

        Returns
        -------
        array of shape (n_columns, 1 + n_resamples)
            The first entry of each line is the plain sum.
        """
        return self.sums_and_left_out(columns, rows)[0]

    def sums_and_left_out(self, columns: list[Array], rows: Array | None = None) -> tuple[Array, Array]:
        """Return what `sums` does, and the plain sums without each of the groups that the rows lie in.

        Returns
        -------
        (array of shape (n_columns, 1 + n_resamples), array of shape (n_columns, n_groups_present))
        """
        groups = self.group_of if rows is None else self.group_of[rows]
        present = np.flatnonzero(self._counts(rows))
        grouped = np.stack([np.bincount(groups, weights=column, minlength=len(self.weights)) for column in columns])
        grouped = grouped[:, present]
        sums = np.zeros((len(columns), 1 + self.weights.shape[1]))
        sums[:, 0] = [column.sum() for column in columns]
        for start in range(0, len(present), _BATCH):
            batch = slice(start, start + _BATCH)
            sums[:, 1:] += grouped[:, batch] @ self.weights[present[batch]].astype(float)
        return sums, sums[:, :1] - grouped


def draw(unit_of: Array, *, resamples: int, seed: int) -> Resampling:
    """Draw a paired bootstrap.

    Parameters
    ----------
    unit_of : array of int of shape (n_rows,)
        The unit that each row belongs to, 0 to n_units - 1; rows of a unit are resampled together.
    resamples : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    units = int(unit_of.max()) + 1
    group_of = unit_of
    if units > MAX_GROUPS:
        group_of = (rng.permutation(units) % MAX_GROUPS)[unit_of]
    # Sixteen random bits through a table: the first two moments of Poisson(1) to four digits, ten times faster.
    table = _poisson_table()
    drawn = rng.integers(0, len(table), size=(min(units, MAX_GROUPS), resamples), dtype=np.uint16)
    return Resampling(group_of=group_of, weights=table.take(drawn), units=units)


def blocks(seconds: Array, length: float) -> Array:
    """Return the block of time that each row lies in, as units for `draw`.

    Blocks that do not overlap (Carlstein 1986): rows that depend on each other must lie within one block.

    Parameters
    ----------
    seconds : array of shape (n_rows,)
        Event time counted from the holdout's start; a row at the end of a block belongs to it, as to a window.
    length : float
        Seconds of a block.
    """
    numbers = np.ceil(seconds / length).astype(int)
    units: Array = np.unique(numbers, return_inverse=True)[1]
    return units


def expanded(probabilities: Array, units: float) -> Array:
    """Return where to read the bootstrap distribution of few units, so that intervals cover as often as they say.

    A percentile interval takes a normal quantile where Student's t is due, because the spread itself is estimated.
    Reading the distribution further out mends that (Hesterberg 2015, "What Teachers Should Know About the Bootstrap",
    The American Statistician 69, on expanded percentile intervals); with thousands of units nothing changes. His second
    factor, sqrt(n / (n - 1)), is not needed here: that the number of drawn units varies has widened the interval by it.
    """
    return np.asarray(ndtr(widened(ndtri(probabilities), units)))


def widened(z: Array, units: float) -> Array:
    """Return how many bootstrap standard errors of ``units`` units correspond to ``z`` standard errors of a normal distribution."""
    return np.asarray(np.sign(z) * -stdtrit(units - 1, ndtr(-np.abs(z))))


def effective_units(left_out: Array, units: int) -> float:
    """Return how many units of equal weight would tell the spread as well as these do.

    Where a metric hangs on few of the units, such as the few positive rows, its spread is estimated from those few, however
    many others there are. By Satterthwaite (1946, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2) such an estimate has twice its squared mean over its variance degrees of freedom: for a sum
    of n independent influences of kurtosis k that is 2 n / (k - 1); of normal ones, of kurtosis 3, it is n.

    Parameters
    ----------
    left_out : array of shape (n_units,)
        The value without each unit, whose deviations from their mean are the influences (Tukey's jackknife). Values that are
        not defined are left out.
    units : int
        The result is never more.
    """
    influence = left_out[np.isfinite(left_out)]
    influence = influence - influence.mean() if len(influence) else influence
    second = float(np.mean(influence**2)) if len(influence) else 0.0
    if second == 0:
        return float(units)
    kurtosis = float(np.mean(influence**4)) / second**2
    free = 2 * len(influence) / (kurtosis - 1) if kurtosis > 1 else np.inf
    return float(min(units, 1 + max(1.0, free)))


def _poisson_table() -> Array:
    counts = np.array([round(2**16 * exp(-1) / factorial(k)) for k in range(9)])
    counts[1] += 2**16 - counts.sum()
    return np.repeat(np.arange(9, dtype=np.uint8), counts)
