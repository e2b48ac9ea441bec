"""Rows of a snapshot as a pandas frame: verified, filtered to a window, with the model's derived columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.code import load_function
from include.config.model import ModelConfig
from include.data.columns.pandas_frames import to_frame
from include.data.derived_columns import derived
from include.data.joins.joined_columns import add_joined
from include.data.joins.partner_rows import partner_rows
from include.data.snapshots import Pinned, Segment, Snapshot, quarantine_folder
from include.data.stored_partitions import POSITION, SLOT, nothing_in, read_partition, touches, touching
from include.data.windows import Window, WindowName
from include.errors import DataError, did_you_mean
from include.storage.concurrency import at_once
from include.storage.content import get_content
from include.storage.store import ObjectStore


def read_rows(
    store: ObjectStore,
    snapshot: Snapshot,
    model: ModelConfig,
    folder: Path,
    *,
    window: WindowName,
    columns: Sequence[str] | None = None,
    labelled: bool = True,
    positions: bool = False,
    among: Sequence[Pinned] | None = None,
) -> pd.DataFrame:
    """Return the rows of a window in canonical order: by event time, then by id.

    Texts are categories (their levels sorted, none unused). Integers and truth values with gaps keep every value exactly:
    float64 where that can, pandas' nullable types otherwise.

    Parameters
    ----------
    folder : Path
        The model's folder, for ``features.derive``.
    window : {"train", "holdout", "both"}
        ``both`` is the two windows and nothing of the gap between them.
    columns : sequence of str, optional
        Raw or derived columns, in this order; all of them if left out.
    labelled : bool
        Leave out rows without a target, which nothing can be learned from or judged on.
    positions : bool
        Add the columns `SLOT` and `POSITION`, which name a row for quarantine.
    among : sequence of Pinned, optional
        Read only these of the snapshot's partitions, in this order; that they hold no row of a window is then no error. Of no rows at
        all nothing is derived: they come without derived columns.

    Raises
    ------
    NotEnoughRows
        When a window holds no row, unless it has no length.
    ObjectCorrupt
        When stored bytes are not those that the snapshot pins; nothing is parsed then.
    DataError
        When a wanted column does not exist, or ``derive`` does more than add columns row by row.
    """
    derive, raw = model.features.derive, list(snapshot.schema)
    if columns is not None and set(columns) <= set(raw):
        raw, derive = list(columns), None
    # No name holds the table: its columns go as they are turned into the frame's.
    frame = to_frame(
        read_table(store, snapshot, model, raw, window=window, labelled=labelled, positions=positions, among=among)
    )
    if derive is not None and len(frame):
        frame = derived(frame, load_function(folder, derive), derive, target=model.data.target)
    if columns is None or (among is not None and not len(frame)):
        return frame
    return select(frame, [*columns, *((SLOT, POSITION) if positions else ())], model.name)


def read_table(
    store: ObjectStore,
    snapshot: Snapshot,
    model: ModelConfig,
    raw: Sequence[str],
    *,
    window: WindowName,
    labelled: bool = True,
    positions: bool = False,
    among: Sequence[Pinned] | None = None,
) -> pa.Table:
    """Return columns of the source as `read_rows` reads them, before they become a frame; raises what it raises.

    Parameters
    ----------
    store : ObjectStore
    snapshot : Snapshot
        The partitions to read.
    model : ModelConfig
    raw : sequence of str
        Columns of the source or of its joins.
    window : {"train", "holdout"}
    labelled : bool
        Leave out rows without a target.
    positions : bool
        Also return the position of each row in its partition.
    among : sequence of Pinned, optional
        Read these partitions only.

    Returns
    -------
    pyarrow.Table of n_rows
    """
    data = model.data
    labelled = labelled and data.target is not None
    needed = list(dict.fromkeys([*raw, data.event_time, *(data.labels if labelled else ())]))
    if missing := [name for name in needed if name not in snapshot.schema]:
        raise _no_column(missing[0], snapshot.schema, snapshot.model)
    own = snapshot.own_schema
    joins = [join for join in snapshot.joins if any(name in needed for name, _, _, _ in join.rule.made())]
    keys = [name for join in joins for name in join.rule.on]
    level = [snapshot.segment.column] if snapshot.segment else []
    needed = list(dict.fromkeys([*(name for name in needed if name in own), *keys, *level]))
    wanted = touching(snapshot, window, among)
    reads: list[Callable[[], Any]] = [partial(read_partition, store, snapshot, pinned, needed) for pinned in wanted]
    reads.append(partial(_set_aside, store, snapshot))
    *tables, set_aside = at_once(store, reads)
    parts: dict[Pinned, pa.Table] = dict(zip(wanted, tables, strict=True))
    del tables
    kept = []
    windows = list(snapshot.split.windows(window))
    while windows:
        one = windows.pop(0)
        rows = 0
        for pinned in [pinned for pinned in parts if touches(pinned, one)]:
            # Free what no later window needs, so that it is not in memory beside the filtered rows.
            table = parts[pinned] if any(touches(pinned, later) for later in windows) else parts.pop(pinned)
            part = _rows_of(
                table, one, data.event_time, set_aside.get(pinned.slot), positions=positions, slot=pinned.slot
            )
            part = part if snapshot.segment is None else _of_segment(part, snapshot.segment)
            part = part.filter(pc.is_valid(part[data.target])) if labelled else part
            rows += part.num_rows
            kept.append(part)
        # Rows to predict, or to look at again, have a training window of no length.
        if not rows and one.after < one.until and among is None:
            raise nothing_in(snapshot, one, "train" if one == snapshot.split.train else "holdout", data.target)
    rows = pa.concat_tables(kept)
    for join in joins:
        rows = add_joined(rows, data.event_time, partner_rows(store, join, rows[data.event_time]), join.rule, raw)
    return rows.select([*raw, *((SLOT, POSITION) if positions else ())])


def _rows_of(
    table: pa.Table,
    window: Window,
    event_time: str,
    set_aside: np.ndarray[Any, Any] | None,
    *,
    positions: bool,
    slot: str,
) -> pa.Table:
    """Return the rows of one partition that are in ``window`` and not quarantined, in their order."""
    # Rows are sorted by event time, so a window is a slice.
    times = table[event_time].cast(pa.int64()).to_numpy()
    first = int(np.searchsorted(times, _microseconds(window.after), side="right"))
    last = int(np.searchsorted(times, _microseconds(window.until), side="right"))
    places = np.arange(first, last)
    part = table.slice(first, last - first)
    if set_aside is not None:
        keep = ~np.isin(places, set_aside)
        places, part = places[keep], part.filter(pa.array(keep))
    if positions:
        names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(places), "int32")), pa.array([slot]))
        part = part.append_column(SLOT, names).append_column(POSITION, pa.array(places))
    return part


def _of_segment(table: pa.Table, segment: Segment) -> pa.Table:
    values = table[segment.column]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return table.filter(pc.equal(values, pa.scalar(segment.level, values.type)))


def _microseconds(instant: Any) -> int:
    return int(np.datetime64(instant.replace(tzinfo=None), "us").astype("int64"))


def _set_aside(store: ObjectStore, snapshot: Snapshot) -> dict[str, np.ndarray[Any, Any]]:
    if snapshot.excluded is None:
        return {}
    body = get_content(store, quarantine_folder(snapshot.model), ".parquet", snapshot.excluded)
    table = pq.read_table(pa.BufferReader(body), columns=["slot", "position"]).to_pandas()
    return {str(slot): group.to_numpy() for slot, group in table.groupby("slot", observed=True)["position"]}


def select(frame: pd.DataFrame, columns: list[str], model: str) -> pd.DataFrame:
    """Return some columns in this order; raises `DataError` for one that does not exist."""
    for column in columns:
        if column not in frame:
            raise _no_column(column, frame.columns, model)
    return frame[columns]


def _no_column(column: str, known: Any, model: str) -> DataError:
    return DataError(
        f"There is no column `{column}`.",
        expected="a column of the source, or one that `features.derive` adds",
        found=", ".join(sorted(str(name) for name in known)),
        where=f"model {model}",
        remedy=did_you_mean(
            column,
            known,
            "correct model.yaml, or add the column; one that the source gained since it was first read is read once `data.source` changes",
        ),
    )
