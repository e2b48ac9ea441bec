"""Mergeable sketches: counts of the rows of a period, as integers, without any single row.

Two sketches of one layout are added cell by cell, so sketches of any parts of some rows, merged in any order, are the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import DataError
from include.monitoring.sketches.layouts import ColumnLayout, Layout
from include.storage.content import canonical_json, read_json

Array = NDArray[Any]

SAMPLED_IDS = 512


@dataclass(frozen=True, eq=False)
class ColumnSketch:
    """The values of one column, counted.

    Parameters
    ----------
    missing : int
        Rows without a value; not a number and infinite count as none.
    outside : int
        Rows with a value outside the domain: beyond the reference's extremes, or of a level that it does not list.
    low, high : float or None
        The extremes; None of levels, and of no values.
    counts : array of int of shape (n_cells,)
    """

    missing: int
    outside: int
    low: float | None
    high: float | None
    counts: Array

    @property
    def known(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """All rows."""
        return self.known + self.missing

    def __add__(self, other: ColumnSketch) -> ColumnSketch:
        lows = [one.low for one in (self, other) if one.low is not None]
        highs = [one.high for one in (self, other) if one.high is not None]
        return ColumnSketch(
            self.missing + other.missing,
            self.outside + other.outside,
            min(lows, default=None),
            max(highs, default=None),
            self.counts + other.counts,
        )

    def mean(self, layout: ColumnLayout) -> float | None:
        """Return the mean of a column of numbers, to within a thousandth of its spread."""
        return float(self.counts @ layout.middles) / self.known if self.known else None

    def deviation(self, layout: ColumnLayout) -> float | None:
        """Return its standard deviation, as exactly."""
        if not self.known:
            return None
        mean = float(self.counts @ layout.middles) / self.known
        return float(np.sqrt(self.counts @ (layout.middles - mean) ** 2 / self.known))

    def quantiles(self, layout: ColumnLayout, at: Sequence[float] | Array) -> Array:
        """Return quantiles of a column of numbers that has values, by straight lines within cells."""
        limits = np.clip(layout.edges, self.low, self.high)
        grown = np.r_[0, np.cumsum(self.counts)] / self.known
        used = np.flatnonzero(self.counts)
        # Cells without a row would be flat pieces, on which a quantile is not one number.
        places = np.unique(np.r_[used, used + 1])
        found: Array = np.interp(at, grown[places], limits[places])
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: only cells that hold a row."""
        used = np.flatnonzero(self.counts)
        return {
            "missing": self.missing,
            "outside": self.outside,
            "low": self.low,
            "high": self.high,
            "cells": used.tolist(),
            "counts": self.counts[used].tolist(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], layout: ColumnLayout) -> ColumnSketch:
        """Read what `to_json` wrote."""
        counts = np.zeros(layout.cells, dtype=np.int64)
        counts[value["cells"]] = value["counts"]
        low, high = (None if value[name] is None else float(value[name]) for name in ("low", "high"))
        return cls(value["missing"], value["outside"], low, high, counts)


@dataclass(frozen=True)
class SampledIds:
    """The row ids with the smallest hashes, and how often each came: of few ids all, of many a sample.

    An id that is among the smallest of all is among the smallest of every part, so nothing that a merger needs is ever
    dropped, and counts are exact.
    """

    hashes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __add__(self, other: SampledIds) -> SampledIds:
        found: dict[str, int] = dict(zip(self.hashes, self.counts, strict=True))
        for name, count in zip(other.hashes, other.counts, strict=True):
            found[name] = found.get(name, 0) + count
        kept = sorted(found)[:SAMPLED_IDS]
        return SampledIds(tuple(kept), tuple(found[name] for name in kept))

    @property
    def duplicates(self) -> float:
        """The share of rows whose id another row has already."""
        return 1 - len(self.counts) / sum(self.counts) if self.counts else 0.0


@dataclass(frozen=True, eq=False)
class Sketch:
    """The rows of a stretch of time, counted under a layout.

    ``first`` and ``last`` are the extremes of the event time, in microseconds since 1970.
    """

    layout: str
    rows: int
    first: int | None
    last: int | None
    ids: SampledIds
    columns: dict[str, ColumnSketch] = field(default_factory=dict)

    def __add__(self, other: Sketch) -> Sketch:
        if self.layout != other.layout:
            raise DataError(
                "Sketches of two layouts can't be merged.",
                expected=f"layout {self.layout[:12]}",
                found=f"layout {other.layout[:12]}",
                remedy="sketch the rows again under the champion's layout",
            )
        return Sketch(
            self.layout,
            self.rows + other.rows,
            min((one.first for one in (self, other) if one.first is not None), default=None),
            max((one.last for one in (self, other) if one.last is not None), default=None),
            self.ids + other.ids,
            {name: column + other.columns[name] for name, column in self.columns.items()},
        )

    def to_bytes(self) -> bytes:
        """Return the stored form, the same for the same rows however they were divided."""
        value = {
            "layout": self.layout,
            "rows": self.rows,
            # Microseconds since 1970 are beyond the whole numbers that JSON keeps exactly from the year 2255 on.
            "first": None if self.first is None else str(self.first),
            "last": None if self.last is None else str(self.last),
            "ids": {"hashes": list(self.ids.hashes), "counts": list(self.ids.counts)},
            "columns": {name: column.to_json() for name, column in self.columns.items()},
        }
        return canonical_json(value)

    @classmethod
    def from_bytes(cls, body: bytes, layout: Layout) -> Sketch:
        """Read what `to_bytes` wrote."""
        value = read_json(body)
        first, last = (None if value[name] is None else int(value[name]) for name in ("first", "last"))
        return cls(
            value["layout"],
            value["rows"],
            first,
            last,
            SampledIds(tuple(value["ids"]["hashes"]), tuple(value["ids"]["counts"])),
            {one.name: ColumnSketch.from_json(value["columns"][one.name], one) for one in layout.columns},
        )


def merge(sketches: Iterable[Sketch]) -> Sketch:
    """Return the sketch of all rows together; raises `DataError` for sketches of two layouts."""
    return reduce(Sketch.__add__, sketches)
