"""Decide whether the newest partition that a run needs has arrived, by the condition of `data.wait`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.sections.data import Data
from include.data.slots import bounds
from include.data.snapshots import Pinned, Snapshot, partitions_folder
from include.data.sources.connections import Connections
from include.data.sources.marker_files import missing_marker
from include.data.windows import Window
from include.errors import NotYetThere
from include.storage.content import check_digest, to_iso
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class Late:
    """A partition that has not come.

    Attributes
    ----------
    slot : str
        Its name.
    has : str
        What there is instead, such as ``no row``.
    """

    slot: str
    has: str

    def __str__(self) -> str:
        return f"Partition {self.slot} has {self.has}"

    def to_error(self, data: Data, until: datetime, where: str) -> NotYetThere:
        """Return the error that lets a run wait ``until`` then."""
        wait = data.wait
        rows = "rows" if wait.rows == 1 else f"{wait.rows:,} rows"
        expected = {"rows": rows, "watermark": f"a row within {wait.within} of its end", "file": "its marker"}
        return NotYetThere(
            f"{self} so far.",
            until=until,
            expected=f"{expected[wait.until]} by {to_iso(until)}, which `data.wait` gives it",
            where=where,
        )


def newest_over(needed: Iterable[str], window: Window) -> str | None:
    """Return the newest of some slots, ascending, that is over by the window's end."""
    return max((slot for slot in needed if bounds(slot)[1] <= window.until), default=None)


def late_marker(
    data: Data, needed: Sequence[str], window: Window, folder: Path, connections: Connections
) -> Late | None:
    """Return the newest slot that is over, if its marker is waited for and not there.

    Parameters
    ----------
    data : Data
        How the source is declared.
    needed : sequence of str
        The slots that the run's windows touch, oldest first.
    window : Window
        The window that the run is about.
    folder : Path
        The model's folder.
    connections : Connections
        Opens the S3 client.
    """
    newest = newest_over(needed, window) if data.wait.until == "file" else None
    missing = None if newest is None else missing_marker(data, newest, folder, connections)
    return None if newest is None or missing is None else Late(newest, f"no marker {missing}")


def late_slot(
    store: ObjectStore, folder: str, data: Data, needed: Iterable[str], found: Iterable[Pinned], window: Window
) -> Late | None:
    """Return the newest slot that is over by the window's end, if what was found in it is less than what is waited for.

    Parameters
    ----------
    folder : str
        The folder of the source's partitions in the store.
    data : Data
        How the source is declared.
    needed : iterable of str
        The slots that the run's windows touch, oldest first.
    found : iterable of Pinned
        What was found in those that were read.
    window : Window
        The window that the run is about.
    """
    newest = newest_over(needed, window)
    one = next((one for one in found if one.slot == newest), None)
    if one is None or _there(store, folder, data, one):
        return None
    return Late(one.slot, f"only {one.rows:,} rows" if one.rows else "no row")


def late_partition(
    store: ObjectStore, snapshot: Snapshot, data: Data, folder: Path, connections: Connections
) -> Late | None:
    """Return the newest partition of a snapshot that is over, if what was waited for is not there.

    Parameters
    ----------
    snapshot : Snapshot
        What the run pinned.
    data : Data
        How the source is declared.
    folder : Path
        The model's folder.
    connections : Connections
        Opens the S3 client.
    """
    slots, window = [one.slot for one in snapshot.partitions], snapshot.split.holdout
    partitions = partitions_folder(snapshot.model, snapshot.source)
    return late_marker(data, slots, window, folder, connections) or late_slot(
        store, partitions, data, slots, snapshot.partitions, window
    )


def _there(store: ObjectStore, folder: str, data: Data, found: Pinned) -> bool:
    wait = data.wait
    if wait.until == "file":
        return True  # a writer that is done may have had nothing to write
    if wait.until == "rows" or not found.rows:
        return found.rows >= wait.rows
    key = f"{folder}/{found.slot}/{found.content}.parquet"
    body = store.get(key)
    check_digest(store, key, body, found.file)
    newest: datetime = pc.max(pq.read_table(pa.BufferReader(body), columns=[data.event_time]).column(0)).as_py()
    return (newest if newest.tzinfo else newest.replace(tzinfo=UTC)) + wait.within >= bounds(found.slot)[1]
