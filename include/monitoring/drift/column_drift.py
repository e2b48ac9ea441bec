"""Drift of a champion's columns: periods beside the reference, as effects for people and as series for detectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import NotEnoughRows
from include.monitoring.drift.effect_sizes import Counts, Effect, effect_of, effect_of_sketches
from include.monitoring.drift.sketches import ColumnLayout, ColumnSketch, Layout, Sketch
from include.storage.content import digest_json, from_iso, to_iso

Array = NDArray[Any]

MOST_BINS = 16
MANY_VALUES = 10
"""Cells with rows from which on two equal columns are the same rows."""
STATISTICS = ("location", "shape", "missing", "outside")
"""What is followed of each column.

``location``: the mean share of reference rows that lie below a row's bin; of levels, those that are more frequent count as lower.
``shape``: the population stability index, less what so few rows would show by chance. ``missing``, ``outside``: shares of rows.
"""
TABLE = ("volume", "duplicates", "lag")
"""What is followed of the rows together: their number, the share that comes twice, how long before its end the newest one of a period happened."""


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
    """A short digest of each column that has many values; equal ones, in two intervals, are no chance."""

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
        # Cells without a row lie on the edge of one with rows and must not make a bin of their own.
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
            "There is nothing to compare a champion's rows with.",
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


@dataclass(frozen=True, eq=False)
class Series:
    """What detectors follow.

    Parameters
    ----------
    names : tuple of (column, statistic)
        Of the table as a whole the column is an empty text.
    values : array of shape (n_series, n_periods)
        The reference's periods first.
    two_sided : array of bool of shape (n_series,)
    shares : array of shape (n_series,)
        How false alarms are divided: one half between predictions, labels and the table, one half between the other columns.
    distance_of : array of int of shape (n_series,)
        For a shape the place of the same column's location, -1 for others.
    """

    names: tuple[tuple[str, str], ...]
    values: Array
    two_sided: Array
    shares: Array
    distance_of: Array


def series_of(reference: Reference, periods: Sequence[Period], *, of_rows: bool = True) -> Series:
    """Return the series of every column and statistic over the reference's periods and those that are watched.

    A period of the reference is compared with the others of it: it would be too much like a whole that it is a part of.
    ``of_rows`` says whether those of the rows as a whole are among them.
    """
    names: list[tuple[str, str]] = []
    values: list[Array] = []
    outer: list[bool] = []
    listed = [*reference.periods, *periods]
    own = np.arange(len(listed)) < len(reference.periods)
    for column in reference.layout.columns:
        if column.role == "slice":
            continue
        table = np.array([one.counts[column.name] for one in listed], dtype=float).reshape(len(listed), -1)
        found = _statistics(reference.bins[column.name].reference, table, own)
        names += [(column.name, statistic) for statistic in STATISTICS]
        values += [found[statistic] for statistic in STATISTICS]
        outer += [column.role in ("prediction", "label")] * len(STATISTICS)
    if of_rows:
        rows = np.array([one.rows for one in listed], dtype=float)
        names += [("", statistic) for statistic in TABLE]
        values += [
            np.where(rows > 0, np.log(np.maximum(rows, 1)), np.nan),
            _stable(np.array([one.duplicates for one in listed])),
            np.array([one.lag for one in listed]),
        ]
        outer += [True] * len(TABLE)
    first = np.array(outer)
    shares = np.where(first, 1 / first.sum(), 1 / max((~first).sum(), 1)) / (1 if first.all() else 2)
    two_sided = np.array([statistic not in ("shape", "duplicates", "lag") for _, statistic in names])
    place = {name: number for number, name in enumerate(names)}
    distance_of = np.array([place[column, "location"] if one == "shape" else -1 for column, one in names])
    return Series(tuple(names), np.array(values), two_sided, shares, distance_of)


def _statistics(reference: Array, table: Array, own: Array) -> dict[str, Array]:
    """Return each statistic of a column over periods.

    Parameters
    ----------
    reference : array of shape (n_bins,)
    table : array of shape (n_periods, n_bins + 2)
    own : array of bool of shape (n_periods,)
        Which periods are a part of the reference.
    """
    bins, missing, outside = table[:, :-2], table[:, -2], table[:, -1]
    known = bins.sum(axis=1)
    rows = known + missing
    middle = (np.cumsum(reference) - reference / 2) / max(reference.sum(), 1)
    beside = reference - np.where(own[:, None], bins, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        location = bins @ middle / known
        shares, expected = bins / known[:, None], beside / beside.sum(axis=1, keepdims=True)
        # Eight times the squared Hellinger distance is the index to second order, and stays finite where a bin is empty.
        shape = 8 * (1 - np.sqrt(shares * expected).sum(axis=1)) - ((beside > 0).sum(axis=1) - 1) / known
        return {
            "location": location,
            "shape": shape,
            "missing": _stable(missing / rows),
            "outside": _stable(outside / rows),
        }


def effect_in(
    reference: Reference, name: str, before: Sequence[tuple[Period, float]], current: Sequence[Period]
) -> Effect:
    """Return what changed in a column, from some periods, each with a weight, to others.

    Parameters
    ----------
    reference : Reference
        Gives the column's bins.
    name : str
        Name of the column.
    before : sequence of (Period, float)
        Periods to compare with, each with its weight.
    current : sequence of Period
        Periods to compare.
    """
    bins = reference.bins[name]
    weighted = sum(np.array(one.counts[name]) * weight for one, weight in before)
    added = np.sum([one.counts[name] for one in current], axis=0)
    parts = [Counts(np.asarray(one[:-2]), float(one[-2]), float(one[-1])) for one in (weighted, added)]  # type: ignore[index]
    return effect_of(parts[0], parts[1], bins.positions)


@dataclass(frozen=True)
class Moved:
    """A column that changed, and how much that matters.

    ``matters`` is its share of the total variation times its share of the importance; columns without importance count by the least.
    """

    column: str
    effect: Effect
    importance: float | None
    matters: float


def rank(effects: Mapping[str, Effect], importance: Mapping[str, float | None]) -> tuple[Moved, ...]:
    """Return the columns, those first whose change moves the model most: drift times importance.

    Parameters
    ----------
    effects : mapping of column to Effect
    importance : mapping of column to float or None
        From the champion's evidence; what the metric loses when a column is shuffled. Losses below zero are noise around it.
    """
    known = {name: max(loss, 0.0) for name, loss in importance.items() if loss is not None}
    total = sum(known.values()) or 1.0
    least = min((loss for loss in known.values() if loss > 0), default=1.0)
    found = [
        Moved(name, effect, known.get(name), effect.total_variation * known.get(name, least) / total)
        for name, effect in effects.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.matters, -one.effect.total_variation, one.column)))


@dataclass(frozen=True)
class MovedSlice:
    """How predictions changed in one level of a slice; ``rows`` and ``mean`` are of now."""

    slice: str
    level: str
    rows: int
    effect: Effect
    mean_before: float | None
    mean: float | None


def moved_slices(
    layout: ColumnLayout,
    before: Mapping[tuple[str, str], ColumnSketch],
    now: Mapping[tuple[str, str], ColumnSketch],
    *,
    least_rows: int = 100,
) -> tuple[MovedSlice, ...]:
    """Return the slices' levels, those first where most predictions moved: rows times total variation.

    Parameters
    ----------
    layout : ColumnLayout
        Of the predictions.
    before, now : mapping of (slice, level) to ColumnSketch
        Predictions in each level.
    least_rows : int
        Levels with fewer rows, before or now, are left out: they always differ.
    """
    found = [
        MovedSlice(
            *key,
            rows=one.rows,
            effect=effect_of_sketches(before[key], one, layout),
            mean_before=before[key].mean(layout),
            mean=one.mean(layout),
        )
        for key, one in now.items()
        if key in before and min(one.rows, before[key].rows) >= least_rows
    ]
    return tuple(sorted(found, key=lambda one: (-one.rows * one.effect.total_variation, one.slice, one.level)))


def _joined(counts: Array, bin_of: Array, bins: int) -> Array:
    joined = np.zeros(bins, dtype=np.int64)
    np.add.at(joined, bin_of, counts)
    return joined


def _stable(share: Array) -> Array:
    """Return shares on the scale on which their sampling error does not depend on them."""
    stable: Array = np.arcsin(np.sqrt(np.clip(share, 0, 1)))
    return stable
