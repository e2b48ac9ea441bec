"""Distributions of a column in the reference and in the watched rows, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from include.monitoring.drift.periods import Period, Reference


@dataclass(frozen=True)
class Bar:
    """The share of the rows in one bin, in the reference and now."""

    label: str
    before: float
    now: float


def distributions(reference: Reference, column: str, periods: Sequence[Period]) -> tuple[Bar, ...]:
    """Return the shares of a column's bins, the rows without a value last.

    Parameters
    ----------
    reference : Reference
    column : str
    periods : sequence of Period
        What was watched; their rows are added.
    """
    bins, sketch = reference.bins[column], reference.sketch.columns[column]
    before = np.array([*bins.reference, sketch.missing], dtype=float)
    now = np.sum([one.counts[column][:-1] for one in periods], axis=0).astype(float)
    labels = [*_labels(reference, column), "no value"]
    shares = [counts / max(counts.sum(), 1) for counts in (before, now)]
    found = [Bar(label, float(a), float(b)) for label, a, b in zip(labels, *shares, strict=True)]
    return tuple(one for one in found if one.before or one.now)


def _labels(reference: Reference, column: str) -> list[str]:
    layout, bins = reference.layout[column], reference.bins[column]
    many = len(bins.reference)
    if layout.kind == "level":
        return [*layout.levels[: many - 2], "other levels of training", "levels that training did not have"]
    edges = layout.edges
    ends = []
    for number in range(many):
        cells = np.flatnonzero(bins.bin_of == number)
        ends.append((edges[cells[0]], edges[cells[-1] + 1]))
    return [
        f"below {high:.4g}"
        if not np.isfinite(low)
        else f"from {low:.4g}"
        if not np.isfinite(high)
        else f"{low:.4g} to {high:.4g}"
        for low, high in ends
    ]
