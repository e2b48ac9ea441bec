"""Mergeable sketches: what the rows of a stretch of time were like, as whole numbers, without any row.

A layout, learned once on a champion's training rows, says what is counted of each column. Two sketches of one layout are
added cell by cell, so sketches of any parts of some rows, merged in any order, are the same bytes.

Numbers are counted by the leading bits of their distance from the layout's median, in scales: sign, power of two, and
sixteenths of it. That is fine near the median, within 6 % of the distance everywhere, and reaches from a hundredth of a scale to
ten million of them, so that a change of unit is as well in sight as a shift by a tenth of a standard deviation. No edges
are searched: a cell is a shift of bits away from its number.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.errors import DataError
from include.storage.content import canonical_json, digest_json, read_json
from include.training.preprocessing.category_encoder import factorize_texts

Array = NDArray[Any]
Kind = Literal["number", "level", "text", "time"]
Role = Literal["input", "derived", "prediction", "label", "slice"]

_SIXTEENTHS = 19  # bits of a float32 below sign, exponent and the first four of the fraction
_KEYS = 1 << (32 - _SIXTEENTHS)
_NEAREST = (127 - 6) << 4
"""Distances below 2^-6 scales are one cell."""
_OUTERMOST = ((127 + 24) << 4) - _NEAREST
"""Those from 2^24 scales on are one cell, too."""
NUMBER_CELLS = 2 * _OUTERMOST + 1
BUCKETS = 64
"""Levels that the layout does not list are counted by a hash of their text, in so many buckets: no text is kept."""
CODES = frozenset(
    {"", "-", "--", "?", ".", "-99", "-999", "-9999", "9999", "na", "n/a", "#n/a", "nan", "nil", "none", "null", "\\n"}
    | {"unknown", "unk", "missing", "(missing)", "undefined", "not available", "not applicable"}
)
"""Texts that mean "no value" somewhere; where the layout does not list one, it is counted in a cell for all of these."""
MOST_LEVELS = 1_000
"""A column with more levels lists the most frequent ones, and nothing of it is called unknown."""
SAMPLED_IDS = 512
_STEP = 1 << 16
"""Rows that are looked at together: what is computed on the way then stays in the processor's cache."""


@dataclass(frozen=True)
class WatchedColumn:
    """A column that is watched, and as what.

    ``text`` is counted by its length, ``time`` by its distance from the row's event time in seconds.
    """

    name: str
    role: Role
    kind: Kind


@dataclass(frozen=True)
class ColumnLayout:
    """What is counted of one column.

    Parameters
    ----------
    centre, scale : float
        Median, and the standard deviation that the quartiles would have if the column were normal.
    low, high : float or None
        The extremes of the reference rows: what lies beyond is outside the domain.
    levels : tuple of str
        Known levels, the most frequent first.
    complete : bool
        Whether these are all levels of the reference rows.
    """

    name: str
    role: Role
    kind: Kind
    centre: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    complete: bool = True

    @property
    def cells(self) -> int:
        """How many cells the column has; of levels the known ones, one for codes that mean no value, and the buckets."""
        return len(self.levels) + 1 + BUCKETS if self.kind == "level" else NUMBER_CELLS

    @cached_property
    def places(self) -> dict[str, int]:
        """The cells of known levels."""
        return {text: number for number, text in enumerate(self.levels)}

    def place(self, text: str) -> int:
        """Return the cell of a level."""
        if (known := self.places.get(text)) is not None:
            return known
        return len(self.levels) + (0 if text.strip().lower() in CODES else 1 + zlib.crc32(text.encode()) % BUCKETS)

    @cached_property
    def edges(self) -> Array:
        """The cells' limits in the column's own unit, ascending: an array of shape (NUMBER_CELLS + 1,)."""
        steps = np.arange(_OUTERMOST) + _NEAREST
        far = np.ldexp(1 + (steps & 15) / 16, (steps >> 4) - 127)
        edges: Array = self.centre + self.scale * np.r_[-np.inf, -far[::-1], far, np.inf]
        return edges

    @cached_property
    def middles(self) -> Array:
        """A value for each cell, in the column's own unit; of the outermost cells their finite limit."""
        edges = np.clip(self.edges, self.edges[1], self.edges[-2])
        middles: Array = (edges[:-1] + edges[1:]) / 2
        return middles


@dataclass(frozen=True)
class Layout:
    """What is counted of a table."""

    columns: tuple[ColumnLayout, ...]
    event_time: str | None = None
    row_id: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Sketches of one digest can be merged and compared."""
        return digest_json(self.to_json())

    def __getitem__(self, name: str) -> ColumnLayout:
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        columns = [{**vars(column)} for column in self.columns]
        for column in columns:
            for cached in ("edges", "middles", "places"):
                column.pop(cached, None)
            column["levels"] = list(column["levels"])
        return {"columns": columns, "event_time": self.event_time, "row_id": list(self.row_id)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Layout:
        """Read what `to_json` wrote."""
        columns = tuple(ColumnLayout(**one | {"levels": tuple(one["levels"])}) for one in value["columns"])
        return cls(columns, value["event_time"], tuple(value["row_id"]))


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


def learn_layout(
    tables: Iterable[pa.Table | pa.RecordBatch],
    columns: Sequence[WatchedColumn],
    *,
    event_time: str | None = None,
    row_id: Sequence[str] = (),
) -> Layout:
    """Return what is counted of a table, learned on reference rows.

    Parameters
    ----------
    tables : iterable of pyarrow tables or record batches
        The reference rows; their order has no influence.
    columns : sequence of WatchedColumn
    event_time : str, optional
        The column that freshness is read from, and that ``time`` columns are measured from.
    row_id : sequence of str
        The columns that name a row, for duplicates.

    Raises
    ------
    DataError
        When a column is missing, or is not of the kind that it is said to be.
    """
    table = pa.concat_tables(
        [pa.Table.from_batches([one]) if isinstance(one, pa.RecordBatch) else one for one in tables],
        promote_options="permissive",
    )
    return Layout(tuple(_learned(table, column, event_time) for column in columns), event_time, tuple(row_id))


def sketch(batches: Iterable[pa.Table | pa.RecordBatch], layout: Layout) -> Sketch:
    """Count rows in one pass, in memory that does not grow with them.

    Parameters
    ----------
    batches : iterable of pyarrow tables or record batches
        With the layout's columns; how rows are divided, and in which order they come, has no influence.
    layout : Layout

    Raises
    ------
    DataError
        When a column is missing, or is not of the kind that it is said to be.
    """
    counters = [(column, _ColumnCounter(column)) for column in layout.columns]
    rows, ids = 0, _IdSampler()
    first: int | None = None
    last: int | None = None
    for batch in batches:
        rows += batch.num_rows
        for column, counter in counters:
            counter.add(
                _column(batch, column.name), _column(batch, layout.event_time) if column.kind == "time" else None
            )
        if layout.event_time is not None:
            found = pc.min_max(pc.cast(_column(batch, layout.event_time), pa.timestamp("us", "UTC"))).as_py()
            edges = [None if one is None else int(pd.Timestamp(one).value // 1_000) for one in found.values()]
            first = min((one for one in (first, edges[0]) if one is not None), default=None)
            last = max((one for one in (last, edges[1]) if one is not None), default=None)
        if layout.row_id:
            ids.add([_column(batch, name) for name in layout.row_id])
    return Sketch(
        layout.digest, rows, first, last, ids.sampled(), {column.name: counter.done() for column, counter in counters}
    )


class _ColumnCounter:
    """Counts one column, batch by batch."""

    def __init__(self, layout: ColumnLayout) -> None:
        self.layout = layout
        self.rows = 0
        self.outside = 0
        self.low, self.high = np.inf, -np.inf
        self.counts = np.zeros(layout.cells if layout.kind == "level" else _KEYS, dtype=np.int64)

    def add(self, column: pa.ChunkedArray | pa.Array, times: pa.ChunkedArray | pa.Array | None) -> None:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        self.rows += len(column)
        if self.layout.kind == "level":
            for chunk in chunks:
                self._levels(chunk)
            return
        if times is not None:  # both divided alike
            chunks, times = [_whole(column)], _whole(times)
        for chunk in chunks:
            values = _values(chunk, self.layout, times)
            for start in range(0, len(values), _STEP):
                self._numbers(values[start : start + _STEP])

    def _numbers(self, values: Array) -> None:
        scaled = np.subtract(values, self.layout.centre, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.multiply(scaled, 1 / self.layout.scale, out=scaled).astype(np.float32)
        self.counts += np.bincount(distance.view(np.uint32) >> _SIXTEENTHS, minlength=_KEYS)
        low, high = values.min(), values.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            values = values[np.isfinite(values)]
            if not len(values):
                return
            low, high = values.min(), values.max()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        if self.layout.low is not None and low < self.layout.low:
            self.outside += int(np.count_nonzero(values < self.layout.low))
        if self.layout.high is not None and high > self.layout.high:
            self.outside += int(np.count_nonzero(values > self.layout.high))

    def _levels(self, chunk: pa.Array) -> None:
        if not pa.types.is_dictionary(chunk.type):
            counted = pc.value_counts(chunk)
            texts, counts = counted.field("values"), counted.field("counts").to_numpy()
        else:
            # Whole rows are counted by number, and only the dictionary is looked at as text.
            indices, texts = chunk.indices, chunk.dictionary
            if indices.null_count:
                indices = indices.drop_null()
            numbers, counts = indices.to_numpy(), np.zeros(len(texts), dtype=np.int64)
            for start in range(0, len(numbers), _STEP):
                counts += np.bincount(numbers[start : start + _STEP], minlength=len(texts))
        series = texts.to_pandas()
        known = series.notna().to_numpy()
        rows, names = factorize_texts(series[known])
        for name, count in zip(names[rows], counts[known], strict=True):
            self.counts[self.layout.place(str(name))] += count

    def done(self) -> ColumnSketch:
        if self.layout.kind == "level":
            outside = int(self.counts[len(self.layout.levels) :].sum()) if self.layout.complete else 0
            return ColumnSketch(self.rows - int(self.counts.sum()), outside, None, None, self.counts)
        half = _KEYS // 2
        counts = np.zeros(NUMBER_CELLS, dtype=np.int64)
        cells = np.minimum(np.maximum(np.arange(half) - _NEAREST + 1, 0), _OUTERMOST)
        finite = np.arange(half) < 255 << 4
        for sign, keys in ((1, self.counts[:half]), (-1, self.counts[half:])):
            np.add.at(counts, _OUTERMOST + sign * cells[finite], keys[finite])
        known = int(counts.sum())
        low, high = (float(self.low), float(self.high)) if known else (None, None)
        return ColumnSketch(self.rows - known, self.outside, low, high, counts)


class _IdSampler:
    """Keeps the smallest hashes of row ids."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.most = (1 << 64) - 1

    def add(self, columns: list[pa.ChunkedArray | pa.Array]) -> None:
        for start in range(0, len(columns[0]), _STEP):
            mixed = np.zeros(min(_STEP, len(columns[0]) - start), dtype=np.uint64)
            for column in columns:
                mixed = _mixed(mixed * np.uint64(0x9E3779B97F4A7C15) + _hashes(_whole(column.slice(start, _STEP))))
            hashes, counts = np.unique(mixed[mixed <= np.uint64(self.most)], return_counts=True)
            for one, count in zip(hashes.tolist(), counts.tolist(), strict=True):
                self.counts[one] = self.counts.get(one, 0) + count
            if len(self.counts) > SAMPLED_IDS:
                kept = sorted(self.counts)[:SAMPLED_IDS]
                self.counts, self.most = {one: self.counts[one] for one in kept}, kept[-1]

    def sampled(self) -> SampledIds:
        kept = sorted(self.counts)
        return SampledIds(tuple(f"{one:016x}" for one in kept), tuple(self.counts[one] for one in kept))


def _mixed(numbers: Array) -> Array:
    # The last steps of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output.
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = numbers ^ (numbers >> np.uint64(31))
    return mixed


def _hashes(array: pa.Array) -> Array:
    """Return a hash of each value that depends on the value alone."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array = array.dictionary_encode()
    if pa.types.is_dictionary(array.type):
        texts = array.dictionary.cast(pa.string()).to_pylist()
        known = [int.from_bytes(hashlib.blake2b(str(one).encode(), digest_size=8).digest(), "big") for one in texts]
        table = np.array([*known, 0], dtype=np.uint64)
        taken: Array = table[pc.fill_null(array.indices.cast(pa.int64()), len(known)).to_numpy(zero_copy_only=False)]
        return taken
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind):
        array = array.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(pa.int64())
    else:
        array = array.cast(pa.float64())
    filled = pc.fill_null(array, -1).to_numpy(zero_copy_only=False)
    return _mixed(np.ascontiguousarray(filled).view(np.uint64))


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], column.type)
    return whole


def _column(batch: pa.Table | pa.RecordBatch, name: str | None) -> pa.ChunkedArray | pa.Array:
    if name not in batch.schema.names:
        raise DataError(
            f"There is no column `{name}` to watch.",
            expected="every column that the champion was fitted on",
            found=", ".join(batch.schema.names),
            remedy="give the column again, or retrain without it",
        )
    return batch.column(name)


def _values(array: pa.Array, layout: WatchedColumn | ColumnLayout, times: pa.Array | None) -> Array:
    """Return the numbers that are counted of a column: an array of floats or integers, with NaN for missing."""
    kind = array.type
    try:
        if layout.kind == "text":
            if pa.types.is_dictionary(kind):
                array = array.cast(array.type.value_type)
            array = pc.utf8_length(array)
        elif layout.kind == "time":
            array = pc.divide(pc.subtract(_microseconds(times), _microseconds(array)).cast(pa.float64()), 1e6)
        elif pa.types.is_boolean(kind):
            array = array.cast(pa.uint8())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            array = array.cast(pa.float64())
    except pa.ArrowException:
        raise DataError(
            f"The column `{layout.name}` can't be watched.",
            expected={"text": "texts", "time": "times"}.get(layout.kind, "numbers"),
            found=str(kind),
            remedy="declare the column under the kind of `features` that it is of",
        ) from None
    if array.null_count:
        array = pc.fill_null(array.cast(pa.float64()), np.nan)
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def _microseconds(array: pa.Array) -> pa.Array:
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    return array.cast(pa.timestamp("us", zone)).cast(pa.int64())


def _learned(table: pa.Table, column: WatchedColumn, event_time: str | None) -> ColumnLayout:
    values = _whole(_column(table, column.name))
    made = ColumnLayout(column.name, column.role, column.kind)
    if column.kind == "level":
        return replace(made, **_levels_of(values))
    times = _whole(_column(table, event_time)) if column.kind == "time" else None
    numbers = _values(values, column, times).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return made
    quarter, centre, three_quarters = np.quantile(numbers, (0.25, 0.5, 0.75))
    spread = (three_quarters - quarter) / 1.349 or numbers.std() or 1.0
    return replace(made, centre=float(centre), scale=float(spread), low=float(numbers.min()), high=float(numbers.max()))


def _levels_of(values: pa.Array) -> Mapping[str, Any]:
    rows, texts = factorize_texts(values.to_pandas())
    # A category may be listed twice as text, such as 7 and 7.0, and need not have a row.
    counts = pd.Series(np.bincount(rows[rows >= 0], minlength=len(texts)), index=texts).groupby(level=0).sum()
    counts = counts[counts > 0].sort_index().sort_values(ascending=False, kind="stable")
    return {"levels": tuple(map(str, counts.index[:MOST_LEVELS])), "complete": len(counts) <= MOST_LEVELS}
