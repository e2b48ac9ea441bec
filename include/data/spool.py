"""Rows sorted into slots on the local disk, so that a source is read once and memory holds one batch and one slot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from include.data.slots import bounds


class Spool:
    """Rows of some slots, waiting in one file a slot below ``folder``.

    Attributes
    ----------
    elsewhere : int
        How many rows lay in none of the slots and were left out.
    first, last : int or None
        The oldest and newest event time of all rows, in microseconds since the epoch.
    """

    def __init__(self, folder: Path, slots: Sequence[str], event_time: str) -> None:
        self.folder = folder
        self.slots = list(slots)
        self.event_time = event_time
        self.schema: pa.Schema | None = None
        self.elsewhere = 0
        self.first: int | None = None
        self.last: int | None = None
        edges = [[int(bound.timestamp()) * 10**6 for bound in bounds(slot)] for slot in self.slots]
        self._starts = np.array([start for start, _ in edges], dtype="int64")
        self._ends = np.array([end for _, end in edges], dtype="int64")

    def add(self, table: pa.Table) -> None:
        """Append the rows to the files of their slots."""
        self.schema = table.schema
        if not table.num_rows:
            return
        times = table[self.event_time].cast(pa.int64()).to_numpy()
        self.first = min(int(times.min()), self.first if self.first is not None else int(times.min()))
        self.last = max(int(times.max()), self.last if self.last is not None else int(times.max()))
        slot = np.searchsorted(self._starts, times, side="right") - 1
        slot[(slot >= 0) & (times >= self._ends[np.maximum(slot, 0)])] = -1
        order = np.argsort(slot, kind="stable")
        numbers, begins = np.unique(slot[order], return_index=True)
        if not (np.diff(slot) >= 0).all():
            table = table.take(pa.array(order))
        for number, begin, end in zip(numbers, begins, [*begins[1:], len(slot)], strict=True):
            if number < 0:
                self.elsewhere += int(end - begin)
                continue
            with self._path(int(number)).open("ab") as file:
                for batch in table.slice(begin, end - begin).combine_chunks().to_batches():
                    body = batch.serialize()
                    file.write(len(body).to_bytes(8, "little"))
                    file.write(body)

    def tables(self) -> Iterator[tuple[str, pa.Table | None]]:
        """Yield every slot with its rows, in the order they came; None for a slot without any."""
        for number, slot in enumerate(self.slots):
            path = self._path(number)
            if self.schema is None or not path.exists():
                yield slot, None
                continue
            yield slot, pa.Table.from_batches(list(self._batches(path)), schema=self.schema)
            path.unlink()

    def _batches(self, path: Path) -> Iterator[pa.RecordBatch]:
        with path.open("rb") as file:
            while size := file.read(8):
                yield pa.ipc.read_record_batch(pa.py_buffer(file.read(int.from_bytes(size, "little"))), self.schema)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrow"
