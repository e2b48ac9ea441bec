"""Whether the newest partition that a run needs has come, by what `data.wait` waits for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.sections.data import Data, Wait
from include.data.slots import bounds
from include.data.snapshots import Pinned, Snapshot, partitions_folder
from include.data.windows import Window
from include.storage.content import check_digest
from include.storage.store import ObjectStore


def late_slot(
    store: ObjectStore, folder: str, data: Data, needed: Iterable[str], found: Iterable[Pinned], window: Window
) -> Pinned | None:
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
    over = [slot for slot in needed if bounds(slot)[1] <= window.until]
    newest = next((one for one in found if over and one.slot == over[-1]), None)
    return None if newest is None or _there(store, folder, data, newest) else newest


def late_partition(store: ObjectStore, snapshot: Snapshot, data: Data) -> Pinned | None:
    """Return the newest partition of a snapshot that is over, if it holds less than what was waited for."""
    folder = partitions_folder(snapshot.model, snapshot.source)
    slots = [one.slot for one in snapshot.partitions]
    return late_slot(store, folder, data, slots, snapshot.partitions, snapshot.split.holdout)


def waited_for(wait: Wait) -> str:
    """Return what is waited for, in words."""
    if wait.until == "watermark":
        return f"a row within {wait.within} of its end"
    return "rows" if wait.rows == 1 else f"{wait.rows:,} rows"


def _there(store: ObjectStore, folder: str, data: Data, found: Pinned) -> bool:
    wait = data.wait
    if wait.until == "rows" or not found.rows:
        return found.rows >= wait.rows
    key = f"{folder}/{found.slot}/{found.content}.parquet"
    body = store.get(key)
    check_digest(store, key, body, found.file)
    newest: datetime = pc.max(pq.read_table(pa.BufferReader(body), columns=[data.event_time]).column(0)).as_py()
    return (newest if newest.tzinfo else newest.replace(tzinfo=UTC)) + wait.within >= bounds(found.slot)[1]
