"""Rows sorted into slots on the local disk, so that a source is read once and memory holds one batch and one slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from include.data.slots import bounds

OPEN = 64
"""Files that are open at a time, at most; of slots in order, as most sources give them, one is enough."""


class SlotBuffer:
    """Rows of some slots, waiting in one file a slot below ``folder``.

    Attributes
    ----------
    elsewhere : int
        How many rows lay in none of the slots and were left out.
    first, last : int or None
        The oldest and newest event time of all rows, in microseconds since the epoch.
    changed : dict of str to Counter
        By slot, how many texts of each column were corrected.
    """

    def __init__(self, folder: Path, slots: Sequence[str], event_time: str) -> None:
        self.folder = folder
        self.slots = list(slots)
        self.event_time = event_time
        self.schema: pa.Schema | None = None
        self.elsewhere = 0
        self.first: int | None = None
        self.last: int | None = None
        self.changed: dict[str, Counter[str]] = {slot: Counter() for slot in slots}
        self._open: dict[int, tuple[pa.OSFile, pa.ipc.RecordBatchStreamWriter]] = {}
        edges = [[int(bound.timestamp()) * 10**6 for bound in bounds(slot)] for slot in self.slots]
        self._starts = np.array([start for start, _ in edges], dtype="int64")
        self._ends = np.array([end for _, end in edges], dtype="int64")

    def add(self, table: pa.Table) -> None:
        """Append the rows to the files of their slots."""
        self.schema = table.schema
        if not table.num_rows:
            return
        times = table[self.event_time].cast(pa.int64()).to_numpy()
        first, last = int(times.min()), int(times.max())
        self.first = min(first, self.first if self.first is not None else first)
        self.last = max(last, self.last if self.last is not None else last)
        if (number := self._slot_of(first)) >= 0 and number == self._slot_of(last):
            self._append(number, table)  # most batches are in one slot, so not every row must be checked
            return
        slot = self._slots_of(times)
        order = np.argsort(slot, kind="stable")
        numbers, begins = np.unique(slot[order], return_index=True)
        if not (np.diff(slot) >= 0).all():
            table = table.take(pa.array(order))
        for one, begin, end in zip(numbers.tolist(), begins, [*begins[1:], len(slot)], strict=True):
            self._append(one, table.slice(begin, end - begin))

    def count(self, table: pa.Table, changed: Mapping[str, pa.ChunkedArray]) -> None:
        """Count, for each slot and column, the rows of a batch whose texts were corrected."""
        slot = self._slots_of(table[self.event_time].cast(pa.int64()).to_numpy())
        for name, rows in changed.items():
            numbers, counts = np.unique(slot[rows.to_numpy()], return_counts=True)
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                if number >= 0:
                    self.changed[self.slots[number]][name] += count

    def _slots_of(self, times: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        slot = np.searchsorted(self._starts, times, side="right") - 1
        slot[(slot >= 0) & (times >= self._ends[np.maximum(slot, 0)])] = -1
        return slot

    def _slot_of(self, time: int) -> int:
        number = int(np.searchsorted(self._starts, time, side="right")) - 1
        return number if number >= 0 and time < self._ends[number] else -1

    def _append(self, number: int, rows: pa.Table) -> None:
        if number < 0:
            self.elsewhere += rows.num_rows
            return
        if (opened := self._open.pop(number, None)) is None:
            if len(self._open) == OPEN:
                # The slot that was used least recently. A slot that comes again appends another stream.
                self._close(next(iter(self._open)))
            file = pa.OSFile(str(self._path(number)), "ab")
            opened = file, pa.ipc.new_stream(file, rows.schema)
        self._open[number] = opened
        opened[1].write_table(rows.combine_chunks())

    def _close(self, number: int) -> None:
        file, stream = self._open.pop(number)
        stream.close()
        file.close()

    def tables(self) -> Iterator[tuple[str, pa.Table | None]]:
        """Yield every slot with its rows, in the order they came; None for a slot without any. Nothing can be added any more."""
        for number in list(self._open):
            self._close(number)
        for number, slot in enumerate(self.slots):
            path = self._path(number)
            if self.schema is None or not path.exists():
                yield slot, None
                continue
            yield slot, pa.Table.from_batches(list(self._batches(path)), schema=self.schema)
            path.unlink()

    def _batches(self, path: Path) -> Iterator[pa.RecordBatch]:
        # The file itself is the memory of these rows, also once it has no name any more.
        with pa.memory_map(str(path)) as file:
            while file.tell() < file.size():
                yield from pa.ipc.open_stream(file)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrow"
