"""Detect swapped columns: two columns whose values are each like the other's in training, and unlike their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from scipy.special import stdtrit

from include.monitoring.drift.effect_sizes import total_variation
from include.monitoring.drift.periods import Reference
from include.monitoring.sketches.layouts import NUMBER_CELLS, ColumnLayout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch

QUANTILES = np.linspace(0.05, 0.95, 19)
"""The levels of the quantiles that distributions of numbers are compared by."""
ALIKE = 0.25
"""The largest mean difference of quantiles, in standard deviations, between samples of one distribution."""
LEAST_PERIODS = 5
"""The smallest number of training periods that shows how columns usually differ; with fewer, no swap is reported."""
SURPRISE = 1e-4
"""How rarely a column may be so far from training by chance to be called swapped."""


def swapped_columns(
    reference: Reference, current: Sketch, columns: Sequence[ColumnLayout]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of columns whose values are each like the other's in training.

    Parameters
    ----------
    current : Sketch
        The sketch of the watched rows.
    columns : sequence of ColumnLayout
        The columns to compare, each with enough values.
    """
    before, now = reference.sketch.columns, current.columns
    changed = [one for one in columns if total_variation(before[one.name].counts, now[one.name].counts) >= 0.3]
    for one, other in combinations(changed, 2):
        if one.kind != other.kind:
            continue
        fits = _number_fits if one.kind != "level" else _level_fits
        if fits(one, now[one.name], before[one.name], other, before[other.name]) and fits(
            other, now[other.name], before[other.name], one, before[one.name]
        ):
            if not all(_surprising(reference, current, each) for each in (one, other)):
                continue
            yield one.name, other.name


def _surprising(reference: Reference, current: Sketch, layout: ColumnLayout) -> bool:
    """Tell whether a column is further from training than its periods are from each other by nature, however few they are.

    Two columns of one kind may each wander to where the other was. Of numbers the mean is compared with those of the
    periods, of levels the distance from all of them, both by Student's t: the fewer periods, the more it takes.
    """
    bins = reference.bins[layout.name]
    counts = np.array([one.counts[layout.name][:-2] for one in reference.periods], dtype=float)
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < LEAST_PERIODS:
        return False
    now = np.array(bins.count(current.columns[layout.name])[:-2], dtype=float)
    shares, found = counts / counts.sum(axis=1, keepdims=True), now / now.sum()
    if bins.positions is not None:
        usual, value = shares @ bins.positions, float(found @ bins.positions)
    else:
        whole = bins.reference / bins.reference.sum()
        usual, value = np.abs(shares - whole).sum(axis=1) / 2, float(np.abs(found - whole).sum() / 2)
    far = abs(value - usual.mean()) / (usual.std(ddof=1) * np.sqrt(1 + 1 / len(usual)) or 1e-9)
    return bool(far > stdtrit(len(usual) - 1, 1 - SURPRISE))


def _number_fits(
    layout: ColumnLayout, now: ColumnSketch, own: ColumnSketch, other: ColumnLayout, others: ColumnSketch
) -> bool:
    """Tell whether a column's values are like another's were, and unlike its own."""
    found = now.quantiles(layout, QUANTILES)
    usual, theirs = own.quantiles(layout, QUANTILES), others.quantiles(other, QUANTILES)
    spreads = [sketch.deviation(one) or one.scale for sketch, one in ((own, layout), (others, other))]
    away = float(np.abs(found - usual).mean()) / min(spreads)
    # For a column far from its own median, the precision is the width of the bins there.
    wide = np.diff(layout.edges)[np.clip(np.searchsorted(layout.edges, found) - 1, 1, NUMBER_CELLS - 2)]
    fits = float(np.maximum(np.abs(found - theirs) - wide, 0).mean()) / spreads[1]
    return away >= 0.5 and fits < min(ALIKE, 0.3 * away)


def _level_fits(
    layout: ColumnLayout, now: ColumnSketch, own: ColumnSketch, other: ColumnLayout, others: ColumnSketch
) -> bool:
    expected = np.zeros(layout.cells)
    for text, count in zip(other.levels, others.counts, strict=False):
        expected[layout.place(text)] += count
    return total_variation(expected, now.counts) < 0.15 <= 0.3 <= total_variation(own.counts, now.counts)
