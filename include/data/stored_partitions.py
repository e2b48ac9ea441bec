"""Read the stored partitions of a snapshot that a window touches, and verify their content."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from include.data.slots import bounds
from include.data.snapshots import Pinned, Snapshot, coverage
from include.data.windows import Window, WindowName
from include.errors import NotEnoughRows
from include.storage.content import check_digest
from include.storage.store import ObjectStore

SLOT, POSITION = "__slot__", "__position__"
"""Columns that `read_rows` adds on request: a row's partition, and its place there counted from zero."""


def in_parts(snapshot: Snapshot, rows: int, window: WindowName = "both") -> list[list[Pinned]]:
    """Divide the partitions of a window, in their order, into parts of at least ``rows`` rows, as few as there must be."""
    parts: list[list[Pinned]] = [[]]
    held = 0
    for pinned in touching(snapshot, window):
        if held >= rows:
            parts.append([])
            held = 0
        parts[-1].append(pinned)
        held += pinned.rows
    return parts


def touching(snapshot: Snapshot, window: WindowName, among: Sequence[Pinned] | None = None) -> list[Pinned]:
    """Return the partitions with rows that a window of the split touches, in their order; of some if they are given."""
    windows = snapshot.split.windows(window)
    partitions = snapshot.partitions if among is None else among
    return [one for one in partitions if one.rows and any(touches(one, other) for other in windows)]


def touches(pinned: Pinned, window: Window) -> bool:
    """Return whether a partition may hold rows of a window."""
    start, end = bounds(pinned.slot)
    return start <= window.until and end > window.after


def check_partition(store: ObjectStore, snapshot: Snapshot, pinned: Pinned) -> bytes:
    """Return the bytes of one partition; raises `ObjectMissing`, `ObjectCorrupt`."""
    key = snapshot.partition_key(pinned)
    body = store.get(key)
    check_digest(store, key, body, pinned.file)
    return body


def read_partition(store: ObjectStore, snapshot: Snapshot, pinned: Pinned, columns: Sequence[str]) -> pa.Table:
    """Return the wanted columns of one partition, texts dictionary-encoded; raises `ObjectCorrupt` before parsing.

    Parameters
    ----------
    snapshot : Snapshot
        Gives the columns' types.
    pinned : Pinned
        The partition, as the snapshot pins it.
    columns : sequence of str
        Names of the columns to read.
    """
    body = check_partition(store, snapshot, pinned)
    texts = [name for name in columns if snapshot.schema[name] == "string"]
    table = pq.read_table(
        pa.BufferReader(body), columns=list(columns), read_dictionary=texts, page_checksum_verification=True
    )
    return table.replace_schema_metadata(None)


def nothing_in(snapshot: Snapshot, window: Window, name: str, target: str | None) -> NotEnoughRows:
    """Return the error that a window holds no row.

    Parameters
    ----------
    window : Window
        The window without rows.
    name : str
        What the message calls the window.
    target : str or None
        The target column, if rows without a label don't count.
    """
    facts = coverage(snapshot, window)
    what = "holds no row with a label" if facts.rows else "holds no row"
    rows = "rows" if target is None else f"rows with a value of `{target}`"
    return NotEnoughRows(
        f"The {name} window {what}.",
        expected=f"{rows} after {window.after:%Y-%m-%d %H:%M} until {window.until:%Y-%m-%d %H:%M} UTC",
        found=f"{facts.rows} rows in {facts.slots} partitions that touch the window, {len(facts.empty)} of them empty",
        where=f"model {snapshot.model}, as of {snapshot.as_of:%Y-%m-%d %H:%M} UTC",
        remedy="choose an as-of at which the source has data, or shorten `data.windows`",
    )
