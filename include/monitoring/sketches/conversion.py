"""Sketches of one layout counted under another, so that the rows of earlier champions can be compared with those of this one."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.monitoring.sketches.layouts import BUCKETS, ColumnLayout, Layout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch

Array = NDArray[Any]


def convert(sketch: Sketch, source: Layout, target: Layout) -> Sketch:
    """Count the rows of a sketch under another layout, as exactly as its cells allow.

    A number is known to lie within its cell, 6 % of its distance from the median, and is taken for the middle of it; as outside
    count cells that lie beyond the target's extremes as a whole. A level that the source did not list is one that the target
    lists if their hashes are equal.

    Parameters
    ----------
    sketch : Sketch
        Of ``source``.
    source, target : Layout
        Columns that the source does not have, or has as another kind, have no row in the result.
    """
    theirs = {one.name: one for one in source.columns}
    columns = {}
    for column in target.columns:
        before = theirs.get(column.name)
        if before is None or before.kind != column.kind:
            columns[column.name] = ColumnSketch(0, 0, None, None, np.zeros(column.cells, dtype=np.int64))
        elif column.kind == "level":
            columns[column.name] = _levels(sketch.columns[column.name], before, column)
        else:
            columns[column.name] = _numbers(sketch.columns[column.name], before, column)
    return Sketch(target.digest, sketch.rows, sketch.first, sketch.last, sketch.ids, columns)


def _numbers(sketch: ColumnSketch, source: ColumnLayout, target: ColumnLayout) -> ColumnSketch:
    used = np.flatnonzero(sketch.counts)
    counts = np.zeros(target.cells, dtype=np.int64)
    if not len(used):
        return ColumnSketch(sketch.missing, 0, None, None, counts)
    rows = sketch.counts[used]
    lows, highs = (np.clip(source.edges[used + end], sketch.low, sketch.high) for end in (0, 1))
    cells = np.clip(np.searchsorted(target.edges, (lows + highs) / 2, side="right") - 1, 0, target.cells - 1)
    np.add.at(counts, cells, rows)
    outside = 0
    if target.low is not None and target.high is not None:
        outside = int(rows[(highs < target.low) | (lows > target.high)].sum())
    return ColumnSketch(sketch.missing, outside, sketch.low, sketch.high, counts)


def _levels(sketch: ColumnSketch, source: ColumnLayout, target: ColumnLayout) -> ColumnSketch:
    counts = np.zeros(target.cells, dtype=np.int64)
    known, hidden = len(source.levels), len(target.levels)
    listed = {
        zlib.crc32(text.encode()) % BUCKETS: target.place(text) for text in target.levels if text not in source.places
    }
    for cell in np.flatnonzero(sketch.counts):
        if cell < known:
            place = target.place(source.levels[cell])
        elif cell == known:
            place = hidden
        else:
            bucket = int(cell) - known - 1
            place = listed.get(bucket, hidden + 1 + bucket)
        counts[place] += sketch.counts[cell]
    outside = int(counts[hidden:].sum()) if target.complete else 0
    return ColumnSketch(sketch.missing, outside, None, None, counts)
