"""Count the rows of a check part by part, and quarantine some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.data.snapshots import Snapshot, quarantine_folder
from include.data.stored_partitions import POSITION, SLOT
from include.storage.content import get_content, put_content
from include.storage.store import ObjectStore

Array = NDArray[Any]


class RowCounts:
    """What is counted of rows that come part by part: rows of each window and partition, missing values, rows set aside."""

    def __init__(self, slots: list[str]) -> None:
        self.slots = slots
        self.train = np.zeros(len(slots), int)
        self.holdout = np.zeros(len(slots), int)
        self.missing: dict[str, int] = {}
        self._aside: dict[str, Array] = {}

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.train.sum() + self.holdout.sum())

    @property
    def aside(self) -> pd.DataFrame:
        """Partition and place of every row that is set aside."""
        counts = [len(self._aside[slot]) for slot in sorted(self._aside)]
        places = [self._aside[slot] for slot in sorted(self._aside)]
        slots = np.repeat(np.array(sorted(self._aside), dtype=object), counts)
        return pd.DataFrame({SLOT: slots, POSITION: np.concatenate([np.array([], "int64"), *places])})

    def add(self, frame: pd.DataFrame, train: Any) -> None:
        """Count rows; ``train`` tells which of them are in the training window."""
        slots = frame[SLOT].cat
        place = np.searchsorted(self.slots, slots.categories.to_numpy(str))[slots.codes]
        self.train += np.bincount(place[train], minlength=len(self.slots))
        self.holdout += np.bincount(place[~train], minlength=len(self.slots))
        for name, count in frame.drop(columns=[SLOT, POSITION]).isna().sum().items():
            self.missing[str(name)] = self.missing.get(str(name), 0) + int(count)

    def set_aside(self, frame: pd.DataFrame, offending: Sequence[int]) -> None:
        """Take note of rows, by their places in ``frame``."""
        rows = frame[[SLOT, POSITION]].iloc[list(offending)]
        for slot, places in rows.groupby(SLOT, observed=True)[POSITION]:
            self._aside[str(slot)] = np.union1d(self._aside.get(str(slot), np.array([], "int64")), places)

    def coverage(self) -> list[dict[str, Any]]:
        """Return the counts of each partition."""
        return [
            {"slot": slot, "train": int(train), "holdout": int(holdout), "set_aside": len(self._aside.get(slot, ()))}
            for slot, train, holdout in zip(self.slots, self.train, self.holdout, strict=True)
        ]


def set_aside(store: ObjectStore, snapshot: Snapshot, rows: pd.DataFrame) -> Snapshot:
    """Store which rows are set aside and return the snapshot, stored as well, that names them."""
    folder = quarantine_folder(snapshot.model)
    slots, places = (rows.iloc[:, place].to_numpy() for place in (0, 1))
    table = pa.table({"slot": pa.array(slots, pa.string()), "position": pa.array(places, pa.int64())})
    if snapshot.excluded is not None:
        before = get_content(store, folder, ".parquet", snapshot.excluded)
        table = pa.concat_tables([pq.read_table(pa.BufferReader(before)).cast(table.schema), table])
    buffer = pa.BufferOutputStream()
    ordered = table.sort_by([("slot", "ascending"), ("position", "ascending")])
    pq.write_table(ordered, buffer, compression="zstd", write_page_checksum=True)
    excluded = put_content(store, folder, ".parquet", buffer.getvalue().to_pybytes())
    result = snapshot.without(excluded)
    result.save(store)
    return result
