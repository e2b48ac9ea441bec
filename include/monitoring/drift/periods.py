"""Periods of a champion's rows: each column's rows by bin, for the training rows and for every interval that is watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import NotEnoughRows
from include.monitoring.sketches.layouts import ColumnLayout, Layout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch
from include.storage.content import digest_json, from_iso, to_iso

Array = NDArray[Any]

MOST_BINS = 16
MANY_VALUES = 10
"""Cells with rows from which on two equal columns are the same rows."""


@dataclass(frozen=True)
class Period:
    """What is kept of the rows of one interval: for each column, rows by bin, then those missing and those outside.

    Small, made of whole numbers, and added like sketches.
    """

    after: datetime
    until: datetime
    rows: int
    counts: dict[str, tuple[int, ...]]
    duplicates: float = 0.0
    lag: float = 0.0
    """Seconds from the newest row to the end of the interval."""
    fingerprints: dict[str, str] = field(default_factory=dict)
    """A short digest of each column with many values; equal digests of two intervals are not a coincidence."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        counts = {name: list(one) for name, one in self.counts.items()}
        instants = {"after": to_iso(self.after), "until": to_iso(self.until)}
        rest = {"duplicates": self.duplicates, "lag": self.lag, "fingerprints": self.fingerprints}
        return {**instants, "rows": self.rows, "counts": counts, **rest}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Period:
        """Read what `to_json` wrote."""
        counts = {name: tuple(one) for name, one in value["counts"].items()}
        return cls(
            from_iso(value["after"]),
            from_iso(value["until"]),
            value["rows"],
            counts,
            float(value["duplicates"]),
            float(value["lag"]),
            value["fingerprints"],
        )


@dataclass(frozen=True)
class Reference:
    """A champion's training rows: the sketch of all of them, and each of their periods.

    Parameters
    ----------
    layout : Layout
    sketch : Sketch
    periods : tuple of Period
        In the order of time, as long as those that are watched.
    """

    layout: Layout
    sketch: Sketch
    periods: tuple[Period, ...] = ()

    @cached_property
    def bins(self) -> dict[str, Bins]:
        """How cells are joined to bins, by column."""
        return {one.name: Bins.of(one, self.sketch.columns[one.name]) for one in self.layout.columns}


@dataclass(frozen=True, eq=False)
class Bins:
    """How the cells of a column are joined to at most `MOST_BINS` bins.

    Parameters
    ----------
    bin_of : array of int of shape (n_cells,)
    reference : array of int of shape (n_bins,)
        The reference's rows in each.
    positions : array of shape (n_bins,) or None
        Their mean in each, in standard deviations; None of levels.
    """

    bin_of: Array
    reference: Array
    positions: Array | None

    @classmethod
    def of(cls, layout: ColumnLayout, sketch: ColumnSketch) -> Bins:
        """Cut a column of numbers by quantiles of the reference; of levels, keep the most frequent ones apart."""
        counts = sketch.counts
        if layout.kind == "level":
            known = len(layout.levels)
            kept = min(known, MOST_BINS - 2)
            bin_of = np.r_[np.arange(kept), np.full(known - kept, kept), np.full(layout.cells - known, kept + 1)]
            return cls(bin_of, _joined(counts, bin_of, kept + 2), None)
        share = (np.cumsum(counts) - counts / 2) / max(sketch.known, 1)
        bin_of = np.minimum((share * MOST_BINS).astype(np.int64), MOST_BINS - 1)
        # Empty cells are at the edge of one with rows and must not become separate bins.
        used = np.unique(bin_of[counts > 0]) if sketch.known else np.array([0])
        bin_of = np.clip(np.searchsorted(used, bin_of), 0, len(used) - 1)
        joined = _joined(counts, bin_of, len(used))
        spread = sketch.deviation(layout) or layout.scale
        sums = np.bincount(bin_of, weights=counts * (layout.middles - layout.centre), minlength=len(used))
        return cls(bin_of, joined, sums / np.maximum(joined, 1) / spread)

    def count(self, sketch: ColumnSketch) -> tuple[int, ...]:
        """Return what a period keeps of a column."""
        joined = _joined(sketch.counts, self.bin_of, len(self.reference))
        return (*joined.tolist(), sketch.missing, sketch.outside)


def period_of(sketch: Sketch, bins: Mapping[str, Bins], after: datetime, until: datetime) -> Period:
    """Return what is kept of the rows of an interval.

    Parameters
    ----------
    sketch : Sketch
        Summary of the interval's rows.
    bins : mapping of str to Bins
        The reference's bins, column by column.
    after, until : datetime
        Bounds of the interval.
    """
    lag = 0.0 if sketch.last is None else max(until.timestamp() - sketch.last / 1e6, 0.0)
    counts = {name: one.count(sketch.columns[name]) for name, one in bins.items()}
    prints = {
        name: digest_json(one.to_json())[:12]
        for name, one in sketch.columns.items()
        if name in bins and np.count_nonzero(one.counts) >= MANY_VALUES
    }
    return Period(after, until, sketch.rows, counts, round(sketch.ids.duplicates, 6), round(lag, 3), prints)


def with_all_columns(period: Period, reference: Reference) -> Period:
    """Return a period with every column of the reference; of one that was not watched then, it has no row.

    Parameters
    ----------
    period : Period
        From before contributions were watched, or after.
    reference : Reference
    """
    nothing = {
        name: (0,) * (len(one.reference) + 2) for name, one in reference.bins.items() if name not in period.counts
    }
    return replace(period, counts={**period.counts, **nothing}) if nothing else period


def reference_of(layout: Layout, periods: Iterable[tuple[datetime, datetime, Sketch]], model: str) -> Reference:
    """Return the reference that the sketches of a champion's rows, period by period, make.

    Raises
    ------
    NotEnoughRows
        When there is no period.
    """
    listed = sorted(periods, key=lambda one: one[1])
    if not listed:
        raise NotEnoughRows(
            "There is no reference for a champion's rows.",
            expected="training rows of at least one whole interval of `schedule.monitor`",
            found="none",
            where=f"model {model}",
            remedy="watch in shorter intervals",
        )
    whole = listed[0][2]
    for _, _, one in listed[1:]:
        whole = whole + one
    bins = Reference(layout, whole).bins
    outside = {
        column.name: _beyond_others(column, [one.columns[column.name] for _, _, one in listed])
        for column in layout.columns
    }
    periods_ = []
    for number, (after, until, one) in enumerate(listed):
        made = period_of(one, bins, after, until)
        counts = {name: (*counted[:-1], outside[name][number]) for name, counted in made.counts.items()}
        # Only of neighbours is it asked whether they are equal, and those of the reference are the past.
        periods_.append(replace(made, counts=counts, fingerprints={}))
    return Reference(layout, whole, tuple(periods_))


def _beyond_others(layout: ColumnLayout, periods: Sequence[ColumnSketch]) -> list[int]:
    """Return how many rows of each period lie outside what the other periods had.

    Nothing of the reference lies outside all of it, but the next period may: that is no surprise if any one of these
    periods, had it come last, would have done so, too.
    """
    if layout.kind == "level":
        table = np.array([one.counts for one in periods])
        alone = (table > 0).sum(axis=0) == 1
        return [int(one) for one in (table * alone).sum(axis=1)] if layout.complete else [0] * len(periods)
    found = [0] * len(periods)
    known = [number for number, one in enumerate(periods) if one.known]
    if len(known) < 2:
        return found
    # Only the periods with the lowest and the highest value have rows beyond all others.
    lows, highs = (np.array([getattr(periods[number], name) for number in known]) for name in ("low", "high"))
    lowest, low = known[int(lows.argmin())], np.sort(lows)[1]
    highest, high = known[int(highs.argmax())], np.sort(highs)[-2]
    if lows.min() < low:
        found[lowest] += max(1, int(periods[lowest].counts[layout.edges[1:] <= low].sum()))
    if highs.max() > high:
        found[highest] += max(1, int(periods[highest].counts[layout.edges[:-1] >= high].sum()))
    return found


def _joined(counts: Array, bin_of: Array, bins: int) -> Array:
    joined = np.zeros(bins, dtype=np.int64)
    np.add.at(joined, bin_of, counts)
    return joined
