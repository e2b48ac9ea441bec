"""Find the rows of a snapshot that its source now gives differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.data import Data
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import check_partition, read_partition
from include.errors import ObjectCorrupt, ObjectMissing
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class ChangedRows:
    """How the rows of one partition that a version was trained or judged on differ from those of today."""

    slot: str
    rows: int
    """How many there were."""
    changed: int
    added: int
    removed: int
    columns: tuple[str, ...]
    """Those with another value in any changed row."""

    def __str__(self) -> str:
        facts = {"changed": self.changed, "added": self.added, "removed": self.removed}
        said = ", ".join(f"{count:,} {_rows(count)} {what}" for what, count in facts.items() if count)
        return said + (f" ({', '.join(self.columns)})" if self.columns else "")


def damaged(store: ObjectStore, snapshot: Snapshot) -> list[Pinned]:
    """Return the partitions whose stored bytes are missing or not those that the snapshot pins."""
    found = []
    for pinned in snapshot.partitions:
        try:
            check_partition(store, snapshot, pinned)
        except (ObjectCorrupt, ObjectMissing):
            found.append(pinned)
    return found


def changed_rows(
    store: ObjectStore, then: Snapshot, scratch: ObjectStore, now: Snapshot, data: Data
) -> Iterator[ChangedRows]:
    """Compare the partitions of two snapshots of the same slots, within the windows of training and holdout.

    Parameters
    ----------
    store, scratch : ObjectStore
        Hold the partitions of ``then`` and of ``now``.

    Raises
    ------
    ObjectCorrupt, ObjectMissing
        When a partition can't be read.
    """
    keys = list(dict.fromkeys([*data.row_id, data.event_time]))
    for before, after in zip(then.partitions, now.partitions, strict=True):
        if before.content == after.content:
            continue
        old = _within(read_partition(store, then, before, list(then.own_schema)), then, data.event_time)
        new = _within(read_partition(scratch, now, after, list(then.own_schema)), then, data.event_time)
        change = _compare(before.slot, old, new, keys)
        if change.changed or change.added or change.removed:
            yield change


def _within(table: pa.Table, snapshot: Snapshot, event_time: str) -> pa.Table:
    """Return the rows of either window."""
    time, wanted = table[event_time], None
    for window in snapshot.split.windows("both"):
        inside = pc.and_(pc.greater(time, pa.scalar(window.after)), pc.less_equal(time, pa.scalar(window.until)))
        wanted = inside if wanted is None else pc.or_(wanted, inside)
    return table.filter(wanted)


def _compare(slot: str, old: pa.Table, new: pa.Table, keys: Sequence[str]) -> ChangedRows:
    both = _frame(old).merge(_frame(new), on=list(keys), how="outer", suffixes=("__then", "__now"), indicator="__side")
    side = both["__side"]
    common = (side == "both").to_numpy()
    other, columns = pd.Series(False, index=both.index), []
    for name in old.column_names:
        if name in keys:
            continue
        then, now = both[f"{name}__then"], both[f"{name}__now"]
        same = (then == now).fillna(False).astype(bool) | (then.isna() & now.isna())
        differs = ~same & common
        if differs.any():
            columns.append(name)
            other |= differs
    return ChangedRows(
        slot=slot,
        rows=old.num_rows,
        changed=int(other.sum()),
        added=int((side == "right_only").sum()),
        removed=int((side == "left_only").sum()),
        columns=tuple(sorted(columns)),
    )


def _frame(table: pa.Table) -> pd.DataFrame:
    # Arrow's own types: integers with gaps stay whole, and a gap stays a gap.
    plain = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    frame: pd.DataFrame = pa.table(plain, names=table.column_names).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
