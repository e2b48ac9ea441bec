"""Rows of a second source, read and decoded once in each task."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import ColumnType
from include.data.columns.conversion import ARROW
from include.data.snapshots import Pinned, PinnedJoin
from include.data.stored_partitions import read_partition, touches
from include.data.windows import Window
from include.storage.concurrency import at_once
from include.storage.store import ObjectStore

_MOST = 256 * 2**20  # bytes of all that one store remembers

Key = tuple[str, tuple[str, ...]]
_REMEMBERED: WeakKeyDictionary[ObjectStore, OrderedDict[Key, pa.Table]] = WeakKeyDictionary()
"""By store, which lives as long as a task; objects were verified against their digests when they were read."""


def partner_rows(store: ObjectStore, join: PinnedJoin, times: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a second source that rows of some event times may be joined with; more of them do no harm.

    Parameters
    ----------
    store : ObjectStore
    join : PinnedJoin
    times : pyarrow.ChunkedArray of shape (n_rows,)
        The event times.
    """
    columns = list(join.rule.reads)
    extremes = pc.min_max(times).as_py()
    if extremes["min"] is None:
        reached = []
    else:
        reach = Window(extremes["min"] - join.rule.reach, extremes["max"])
        reached = [pinned for pinned in join.rows.partitions if pinned.rows and touches(pinned, reach)]
    none = pa.table({name: pa.array([], ARROW[cast(ColumnType, join.rows.schema[name])]) for name in columns})
    for name in (name for name in columns if join.rows.schema[name] == "string"):
        none = none.set_column(columns.index(name), name, none[name].dictionary_encode())
    return pa.concat_tables([none, *_partitions(store, join, reached, tuple(columns))])


def _partitions(
    store: ObjectStore, join: PinnedJoin, reached: list[Pinned], columns: tuple[str, ...]
) -> list[pa.Table]:
    known = _REMEMBERED.setdefault(store, OrderedDict())
    keys = [(f"{join.rows.partition_key(pinned)} {pinned.file}", columns) for pinned in reached]
    lacking = {key: pinned for key, pinned in zip(keys, reached, strict=True) if key not in known}
    read = at_once(store, [partial(read_partition, store, join.rows, pinned, columns) for pinned in lacking.values()])
    found = {key: known[key] for key in keys if key in known} | dict(zip(lacking, read, strict=True))
    for key in keys:
        known[key] = found[key]
        known.move_to_end(key)  # what was used longest ago goes first
    held = sum(table.nbytes for table in known.values())
    while known and held > _MOST:
        held -= known.popitem(last=False)[1].nbytes
    return [found[key] for key in keys]
