"""Count rows into a sketch, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.monitoring.sketches.arrow_values import column_of, values_of, whole
from include.monitoring.sketches.layouts import NEAREST, NUMBER_CELLS, OUTERMOST, SIXTEENTHS, ColumnLayout, Layout
from include.monitoring.sketches.sketches import SAMPLED_IDS, ColumnSketch, SampledIds, Sketch
from include.training.preprocessing.category_encoder import category_names

Array = NDArray[Any]

_KEYS = 1 << (32 - SIXTEENTHS)
_STEP = 1 << 16
"""The number of rows that are counted together, so that intermediate results stay in the processor's cache."""


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
                column_of(batch, column.name), column_of(batch, layout.event_time) if column.kind == "time" else None
            )
        if layout.event_time is not None:
            found = pc.min_max(pc.cast(column_of(batch, layout.event_time), pa.timestamp("us", "UTC"))).as_py()
            edges = [None if one is None else int(pd.Timestamp(one).value // 1_000) for one in found.values()]
            first = min((one for one in (first, edges[0]) if one is not None), default=None)
            last = max((one for one in (last, edges[1]) if one is not None), default=None)
        if layout.row_id:
            ids.add([column_of(batch, name) for name in layout.row_id])
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
            chunks, times = [whole(column)], whole(times)
        for chunk in chunks:
            values = values_of(chunk, self.layout.name, self.layout.kind, times)
            for start in range(0, len(values), _STEP):
                self._numbers(values[start : start + _STEP])

    def _numbers(self, values: Array) -> None:
        scaled = np.subtract(values, self.layout.centre, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = np.multiply(scaled, 1 / self.layout.scale, out=scaled).astype(np.float32)
        self.counts += np.bincount(distance.view(np.uint32) >> SIXTEENTHS, minlength=_KEYS)
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
            # Rows are counted by dictionary index, and only the dictionary is read as text.
            indices, texts = chunk.indices, chunk.dictionary
            if indices.null_count:
                indices = indices.drop_null()
            numbers, counts = indices.to_numpy(), np.zeros(len(texts), dtype=np.int64)
            for start in range(0, len(numbers), _STEP):
                counts += np.bincount(numbers[start : start + _STEP], minlength=len(texts))
        series = texts.to_pandas()
        known = series.notna().to_numpy()
        rows, names = category_names(series[known])
        for row, count in zip(rows.tolist(), counts[known], strict=True):
            self.counts[self.layout.place(names[row])] += count

    def done(self) -> ColumnSketch:
        if self.layout.kind == "level":
            outside = int(self.counts[len(self.layout.levels) :].sum()) if self.layout.complete else 0
            return ColumnSketch(self.rows - int(self.counts.sum()), outside, None, None, self.counts)
        half = _KEYS // 2
        counts = np.zeros(NUMBER_CELLS, dtype=np.int64)
        cells = np.minimum(np.maximum(np.arange(half) - NEAREST + 1, 0), OUTERMOST)
        finite = np.arange(half) < 255 << 4
        for sign, keys in ((1, self.counts[:half]), (-1, self.counts[half:])):
            np.add.at(counts, OUTERMOST + sign * cells[finite], keys[finite])
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
                mixed = _mixed(mixed * np.uint64(0x9E3779B97F4A7C15) + _hashes(whole(column.slice(start, _STEP))))
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
