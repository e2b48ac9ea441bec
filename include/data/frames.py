"""Rows of a snapshot as a pandas frame: verified, filtered to a window, with the model's derived columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.code import load_function
from include.config.model import ModelConfig
from include.config.sections.data import LOT, ROW
from include.config.sections.rows.sources import ColumnType
from include.data.columns.conversion import ARROW, convert, refusal
from include.data.columns.equal_values import equal_values
from include.data.joins.joined_columns import add_joined
from include.data.slots import bounds
from include.data.snapshots import Pinned, PinnedJoin, Snapshot, coverage
from include.data.windows import Window, WindowName
from include.errors import DataError, NotEnoughRows, nearest
from include.storage.concurrency import at_once
from include.storage.content import check_digest, get_content
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

SLOT, POSITION = "__slot__", "__position__"
"""Columns that `read_rows` adds on request: a row's partition, and its place there counted from zero."""
_NOT_FOR_DERIVE = (SLOT, POSITION, LOT, ROW)
_EXACT = 2**53


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
        Read only these of the snapshot's partitions; that they hold no row of a window is then no error. Of no rows at
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
    table = read_table(store, snapshot, model, raw, window=window, labelled=labelled, positions=positions, among=among)
    frame = to_frame(table)
    if derive is not None and len(frame):
        frame = derived(frame, load_function(folder, derive), derive, target=model.data.target)
    if columns is None:
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
        Also return where each row stands in its partition.
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
    needed = list(dict.fromkeys([*(name for name in needed if name in own), *keys]))
    chosen = None if among is None else set(among)
    wanted = [pinned for pinned in _touching(snapshot, window) if chosen is None or pinned in chosen]
    reads: list[Callable[[], Any]] = [partial(read_partition, store, snapshot, pinned, needed) for pinned in wanted]
    reads.append(partial(_set_aside, store, snapshot))
    *tables, set_aside = at_once(store, reads)
    parts: dict[Pinned, pa.Table] = dict(zip(wanted, tables, strict=True))
    kept = []
    for one in snapshot.split.windows(window):
        rows = 0
        for pinned, table in parts.items():
            if not _touches(pinned, one):
                continue
            part = _rows_of(
                table, one, data.event_time, set_aside.get(pinned.slot), positions=positions, slot=pinned.slot
            )
            part = part.filter(pc.is_valid(part[data.target])) if labelled else part
            rows += part.num_rows
            kept.append(part)
        # Rows to predict, or to look at again, have a training window of no length.
        if not rows and one.after < one.until and among is None:
            raise nothing_in(snapshot, one, "train" if one == snapshot.split.train else "holdout", data.target)
    rows = pa.concat_tables(kept)
    for join in joins:
        rows = add_joined(rows, data.event_time, _partners(store, join, rows[data.event_time]), join.rule, raw)
    return rows.select([*raw, *((SLOT, POSITION) if positions else ())])


def _partners(store: ObjectStore, join: PinnedJoin, times: pa.ChunkedArray) -> pa.Table:
    """Return the rows of a second source that rows of some event times may be joined with; more of them do no harm."""
    columns = list(join.rule.reads)
    extremes = pc.min_max(times).as_py()
    if extremes["min"] is None:
        reached = []
    else:
        reach = Window(extremes["min"] - join.rule.reach, extremes["max"])
        reached = [pinned for pinned in join.rows.partitions if pinned.rows and _touches(pinned, reach)]
    none = pa.table({name: pa.array([], ARROW[cast(ColumnType, join.rows.schema[name])]) for name in columns})
    texts = [name for name in columns if join.rows.schema[name] == "string"]
    for name in texts:
        none = none.set_column(columns.index(name), name, none[name].dictionary_encode())
    parts = at_once(store, [partial(read_partition, store, join.rows, pinned, columns) for pinned in reached])
    return pa.concat_tables([none, *parts])


def typed_rows(frame: pd.DataFrame, schema: Mapping[str, str], timezone: str, model: str) -> pd.DataFrame:
    """Return rows from anywhere as `read_rows` would return them: the columns of a schema that are there, typed as on record.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
    schema : mapping of str to str
        The snapshot's.
    timezone : str
        In which times without a zone are read.

    Raises
    ------
    DataError
        When a value would change by it.
    """
    columns = {}
    for name, word in schema.items():
        if name not in frame or name in (LOT, ROW):
            continue
        try:
            values = pa.chunked_array([pa.array(frame[name], from_pandas=True)])
            columns[name] = convert(values, cast(ColumnType, word), timezone, declared=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise DataError(
                f"Column `{name}` is not of the type on record.",
                expected=word,
                found=f"{frame[name].dtype}: {refusal(error)}",
                where=f"model {model}",
                remedy=f"read it as the source delivers it, such as `astype` to {word}",
            ) from None
    return to_frame(pa.table(columns))


def derive_columns(frame: pd.DataFrame, model: ModelConfig, folder: Path) -> pd.DataFrame:
    """Return raw rows with what the model's ``features.derive`` makes of them; raises `DataError` as `read_rows`."""
    name = model.features.derive
    if name is None:
        return frame
    return derived(frame, load_function(folder, name), name, target=model.data.target)


def in_parts(snapshot: Snapshot, rows: int) -> list[list[Pinned]]:
    """Divide the partitions of both windows, in their order, into parts of at least ``rows`` rows, as few as there must be."""
    parts: list[list[Pinned]] = [[]]
    for pinned in _touching(snapshot, "both"):
        if sum(one.rows for one in parts[-1]) >= rows:
            parts.append([])
        parts[-1].append(pinned)
    return parts


def _touching(snapshot: Snapshot, window: WindowName) -> list[Pinned]:
    windows = snapshot.split.windows(window)
    return [one for one in snapshot.partitions if one.rows and any(_touches(one, among) for among in windows)]


def _touches(pinned: Pinned, window: Window) -> bool:
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


def _rows_of(
    table: pa.Table,
    window: Window,
    event_time: str,
    set_aside: np.ndarray[Any, Any] | None,
    *,
    positions: bool,
    slot: str,
) -> pa.Table:
    """Return the rows of one partition that lie in ``window`` and are not set aside, in their order."""
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


def _microseconds(instant: Any) -> int:
    return int(np.datetime64(instant.replace(tzinfo=None), "us").astype("int64"))


def _set_aside(store: ObjectStore, snapshot: Snapshot) -> dict[str, np.ndarray[Any, Any]]:
    if snapshot.excluded is None:
        return {}
    body = get_content(store, f"{snapshot.model}/quarantine", ".parquet", snapshot.excluded)
    table = pq.read_table(pa.BufferReader(body), columns=["slot", "position"]).to_pandas()
    return {str(slot): group.to_numpy() for slot, group in table.groupby("slot", observed=True)["position"]}


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return raw rows as `read_rows` does: texts as categories, every integer and truth value exact."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            columns[name] = _categories(column)
        elif pa.types.is_integer(column.type) and column.null_count:
            columns[name] = _with_gaps(column)
        elif pa.types.is_boolean(column.type) and column.null_count:
            columns[name] = column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
        else:
            columns[name] = column.to_pandas(date_as_object=False)
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def _categories(column: pa.ChunkedArray) -> pd.Categorical:
    """Return texts as categories that depend on the rows alone: sorted levels, none that no row has."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    array = encoded.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    levels = array.dictionary.to_numpy(zero_copy_only=False)
    codes = pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False).astype("int64")
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(levels)))
    order = used[np.argsort(levels[used].astype(str), kind="stable")]
    place = np.full(len(levels) + 1, -1, dtype="int64")
    place[order] = np.arange(len(order))
    dtype = pd.CategoricalDtype(pd.Index(levels[order], dtype="str"))
    return pd.Categorical.from_codes(place[codes], dtype=dtype)


def _with_gaps(column: pa.ChunkedArray) -> pd.Series[Any]:
    extremes = pc.min_max(column).as_py()
    exact = extremes["min"] is None or (extremes["min"] >= -_EXACT and extremes["max"] <= _EXACT)
    series: pd.Series[Any] = column.to_pandas(types_mapper=None if exact else {pa.int64(): pd.Int64Dtype()}.get)
    return series


def derived(
    frame: pd.DataFrame, derive: Callable[..., Any], name: str, *, target: str | None, check: bool = True
) -> pd.DataFrame:
    """Return ``frame`` with the columns that ``derive`` adds or replaces; it never sees the target.

    Parameters
    ----------
    name : str
        What the declaration calls ``derive``, for errors.
    check : bool
        Derive some rows alone as well, and refuse a function that looks at other rows.

    Raises
    ------
    DataError
        When ``derive`` does more than add columns row by row.
    """
    hidden = frame[[column for column in (target, *_NOT_FOR_DERIVE) if column in frame]]
    seen = frame.drop(columns=hidden.columns)
    result = derive(seen.copy(deep=False))
    where = f"features.derive: {name}"
    if not isinstance(result, pd.DataFrame):
        raise DataError(
            "`derive` did not return a frame.", expected="a pandas DataFrame", found=type(result).__name__, where=where
        )
    if len(result) != len(seen) or not result.index.equals(seen.index):
        raise DataError(
            "`derive` changed which rows there are.",
            expected=f"{len(seen)} rows with their index, in their order",
            found=f"{len(result)} rows" if len(result) != len(seen) else "another index",
            where=where,
            remedy="return the frame with more columns; set rows aside with quality expectations instead",
        )
    if clash := [column for column in hidden.columns if column in result]:
        raise DataError(
            f"`derive` returns `{clash[0]}`, which is not its to give.",
            where=where,
            remedy="name the column differently",
        )
    if not result.columns.is_unique:
        raise DataError(
            "`derive` returns a column twice.", found=sorted(result.columns[result.columns.duplicated()]), where=where
        )
    if check:
        _check_row_by_row(seen, result, derive, where)
    return pd.concat([result, hidden], axis=1)


def _check_row_by_row(seen: pd.DataFrame, result: pd.DataFrame, derive: Callable[..., Any], where: str) -> None:
    """Derive a few rows alone, and two of them one by one: who looks at other rows, for a mean or the row before, gives them other values."""
    places = np.unique(np.linspace(0, len(seen) - 1, num=min(20, len(seen) // 2 or 1)).astype(int))
    for some in (places, places[:1], places[-1:]):
        # As they would be read if there were no others: with the levels that they have.
        alone = derive(pd.DataFrame({name: _levels_in_use(column) for name, column in seen.iloc[some].items()}))
        if set(alone.columns) != set(result.columns):
            raise DataError(
                "The columns that `derive` makes depend on which rows there are.",
                expected="the same columns whichever rows are derived together",
                found=f"{len(result.columns)} columns from all rows, {len(alone.columns)} from {len(some)} of them",
                where=where,
                remedy="a column for each level is made by `features.categorical: {encode: one_hot}`, which learns the levels "
                "from training rows and knows them at prediction time",
            )
        for column in result.columns:
            if not equal_values(result[column].iloc[some], alone[column]).all():
                raise DataError(
                    f"`derive` looks at other rows to make `{column}`.",
                    expected="the same values whichever rows are derived together",
                    where=where,
                    remedy="learned values belong to `features.numeric` and `features.categorical`, which learn from training rows only",
                )


def _levels_in_use(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.cat.remove_unused_categories() if isinstance(column.dtype, pd.CategoricalDtype) else column.copy()


def select(frame: pd.DataFrame, columns: list[str], model: str) -> pd.DataFrame:
    """Return some columns in this order; raises `DataError` for one that does not exist."""
    for column in columns:
        if column not in frame:
            raise _no_column(column, frame.columns, model)
    return frame[columns]


def _no_column(column: str, known: Any, model: str) -> DataError:
    close = nearest(column, known)
    return DataError(
        f"There is no column `{column}`.",
        expected="a column of the source, or one that `features.derive` adds",
        found=", ".join(sorted(str(name) for name in known)),
        where=f"model {model}",
        remedy=f"did you mean `{close}`?"
        if close
        else "correct model.yaml, or add the column; one that the source gained since it was first read is read once `data.source` changes",
    )


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
