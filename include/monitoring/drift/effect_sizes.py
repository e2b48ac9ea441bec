"""Effect sizes: distances between two distributions, in familiar units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.sections.watch import Levels
from include.monitoring.sketches.layouts import ColumnLayout
from include.monitoring.sketches.sketches import ColumnSketch

Array = NDArray[Any]


@dataclass(frozen=True)
class Effect:
    """What changed in a column from reference rows to current ones.

    Parameters
    ----------
    psi : float
        Population stability index over the bins and missing values: 0.1 is called a small change, 0.25 a large one.
    total_variation : float
        The share of rows that would have to take another bin for the two to be alike.
    wasserstein : float or None
        How far values moved on average, in standard deviations of the reference; None of levels.
    missing, outside : float
        Changes of the share of rows without a value, and of those with one that the reference never had.
    """

    psi: float
    total_variation: float
    wasserstein: float | None
    missing: float
    outside: float

    def beyond(self, levels: Levels) -> tuple[str, ...]:
        """Return the names of the effects that are as large as is declared to matter."""
        sizes = {
            "psi": (self.psi, levels.psi),
            "total_variation": (self.total_variation, levels.total_variation),
            "wasserstein": (self.wasserstein or 0.0, levels.wasserstein),
            "missing": (abs(self.missing), levels.share),
            "outside": (abs(self.outside), levels.share),
        }
        return tuple(name for name, (size, level) in sizes.items() if size >= level)


@dataclass(frozen=True, eq=False)
class Counts:
    """Rows by bin, without a value, and outside the domain; those outside are in a bin as well.

    May be weighted: only shares are looked at.
    """

    bins: Array
    missing: float
    outside: float


def effect_of(reference: Counts, current: Counts, positions: Array | None) -> Effect:
    """Return what changed.

    Parameters
    ----------
    reference, current : Counts
        Over the same bins.
    positions : array of shape (n_bins,) or None
        Where the bins of a column of numbers lie, ascending, in standard deviations of the reference; None of levels.
    """
    rows = [float(one.bins.sum()) + one.missing for one in (reference, current)]
    missing, outside = (
        getattr(current, name) / max(rows[1], 1) - getattr(reference, name) / max(rows[0], 1)
        for name in ("missing", "outside")
    )
    before, after = np.r_[reference.bins, reference.missing], np.r_[current.bins, current.missing]
    return Effect(
        psi=population_stability(before, after),
        total_variation=total_variation(before, after),
        wasserstein=None if positions is None else wasserstein(reference.bins, current.bins, positions),
        missing=float(missing),
        outside=float(outside),
    )


def population_stability(before: Array, after: Array) -> float:
    """Return the population stability index of two arrays of counts over the same bins.

    Half a row is added to each bin, so that an empty one is far, but not infinitely far, from one with rows.
    """
    used = (before + after) > 0
    p, q = ((counts[used] + 0.5) / (counts.sum() + 0.5 * used.sum()) for counts in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def total_variation(before: Array, after: Array) -> float:
    """Return half the sum of the differences of shares; zero if either has no row."""
    if not before.sum() or not after.sum():
        return 0.0
    return float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)


def variation_by_chance(shares: Array, rows: float) -> float:
    """Return the total variation that so few rows of the same distribution show on average, by the normal approximation."""
    return float(np.sqrt(2 * shares * (1 - shares) / (np.pi * max(rows, 1))).sum() / 2)


def wasserstein(before: Array, after: Array, positions: Array) -> float:
    """Return the area between two distribution functions whose rows lie at ``positions``; zero if either has no row."""
    if not before.sum() or not after.sum():
        return 0.0
    apart = np.cumsum(before) / before.sum() - np.cumsum(after) / after.sum()
    return float((np.abs(apart[:-1]) * np.diff(positions)).sum())


def effect_of_sketches(reference: ColumnSketch, current: ColumnSketch, layout: ColumnLayout) -> Effect:
    """Return what changed between two sketches, over all of their cells."""
    positions = None
    if layout.kind != "level":
        positions = layout.middles / (reference.deviation(layout) or layout.scale)
    one, other = (Counts(each.counts, each.missing, each.outside) for each in (reference, current))
    return effect_of(one, other, positions)
