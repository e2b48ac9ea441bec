"""Read the rows of a source of any kind in batches of one schema."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.config.code import code_digest
from include.config.sections.data import LOT, ROW, Data
from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.sources import ColumnType
from include.data.columns.conversion import SchemaConverter
from include.data.columns.epochs import plausible
from include.data.columns.rectified_texts import rectifiers, rectify_texts
from include.data.random_split import RandomPlaces
from include.data.sources.connections import Connections
from include.data.sources.protocol import Reader, ReadRequest
from include.errors import SourceError
from include.storage.content import digest_json

BATCH = 131_072
"""Rows that are held at a time, at most."""
_LAKE = frozenset({"delta", "duckdb", "iceberg", "spark"})
"""Kinds whose modules are in `include.data.sources.lake`."""


def source_digest(data: Data, folder: Path, rectify: Rectify = AS_READ) -> str:
    """Return the digest of everything that determines how rows are read; a source with another digest has its own partitions and schema.

    Parameters
    ----------
    data : Data
        How the source is declared.
    folder : Path
        The model's folder.
    rectify : Rectify
        Corrections of its rows.
    """
    source = data.source
    code = None if source.code is None else code_digest(folder, source.code)
    settings = data.model_dump(
        mode="json", include={"source", "event_time", "row_id", "partition", "timezone", "ambiguous"}
    )
    if data.timeless:
        settings["entity"] = data.entity  # it says which side a row is on
        settings |= data.model_dump(mode="json", include={"equal_rows"})  # so does this; nothing unless it is declared
    if rectify != AS_READ:
        settings["rectify"] = rectify.model_dump(mode="json")
    return digest_json({**settings, "code": code})


def read(
    data: Data,
    folder: Path,
    *,
    slots: Sequence[str],
    recorded: Mapping[str, ColumnType],
    connections: Connections,
    rectify: Rectify = AS_READ,
    changed: Callable[[pa.Table, dict[str, pa.Array]], None] | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows of ``slots``, and perhaps others, in one pass over the source.

    Parameters
    ----------
    folder : Path
        The model's folder.
    slots : sequence of str
        Ascending.
    recorded : mapping
        The schema on record, empty if there is none.
    rectify : Rectify
        Corrections of the texts.
    changed : callable, optional
        Told of each batch, and for each column which of its texts were put right.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    StoreUnavailable
        When what holds the source does not answer.
    """
    given = {name: word for name, word in recorded.items() if not data.timeless or name not in (LOT, ROW)}
    conform = SchemaConverter(data.source.declared_types, given, data.clock)
    places = RandomPlaces(data) if data.timeless else None
    functions = rectifiers(rectify)
    reader = _reader_of(data.source.kind)
    for table, where, period in reader(ReadRequest(data, data.source, folder, slots, connections)):
        for first in range(0, table.num_rows, BATCH):
            part = conform(table.slice(first, BATCH), where)
            part, put_right = rectify_texts(part, functions, where)
            if places is not None:
                _check_names(part, [*data.row_id, *([data.entity] if data.entity else [])], where)
                part = places(part)
            _check_rows(part, data, where)
            if period is not None:
                _check_dates(part[data.event_time], where, *period)
            if changed is not None and put_right:
                changed(part, put_right)
            yield part


def _reader_of(kind: str) -> Reader:
    """Return the function ``read`` of the module that is named after a kind of source."""
    room = "include.data.sources.lake" if kind in _LAKE else "include.data.sources"
    reader: Reader = importlib.import_module(f"{room}.{kind}").read
    return reader


def _check_names(table: pa.Table, names: Sequence[str], where: str) -> None:
    for name in dict.fromkeys(names):
        if name not in table.column_names and name != ROW:
            raise SourceError(
                f"The source gives no column `{name}`.",
                expected="every column that `event_time`, `row_id`, `entity` and `target` name",
                found=", ".join(table.column_names),
                where=where,
            )


def _check_rows(table: pa.Table, data: Data, where: str) -> None:
    _check_names(table, [data.event_time, *data.row_id, *([data.entity] if data.entity else []), *data.labels], where)
    if table.schema.field(data.event_time).type != pa.timestamp("us", "UTC"):
        raise SourceError(
            f"The event time `{data.event_time}` is not a timestamp.",
            expected="timestamp",
            found=table.schema.field(data.event_time).type,
            where=where,
            remedy="declare its type as `timestamp`, with its `format` if it is not ISO 8601",
        )
    for name in (data.event_time, *data.row_id):
        if missing := table[name].null_count:
            raise SourceError(
                f"Column `{name}` has rows without a value.",
                expected="an event time and an id for every row",
                found=f"{missing} of {table.num_rows} rows",
                where=where,
                remedy="leave such rows out in the source",
            )
    if not plausible(table[data.event_time]):
        raise SourceError(
            f"The event time `{data.event_time}` lies beyond the years 1900 to 2200.",
            where=where,
            remedy="check its unit: milliseconds read as seconds are far in the future",
        )


def _check_dates(times: pa.ChunkedArray, where: str, start: datetime, end: datetime) -> None:
    extremes = pc.min_max(times).as_py()
    if extremes["min"] is not None and (extremes["min"] < start or extremes["max"] >= end):
        raise SourceError(
            "A file holds rows of another date than its name says.",
            expected=f"event times from {start} until before {end}",
            found=f"{extremes['min']} to {extremes['max']}",
            where=where,
            remedy="correct `data.timezone`, in whose dates files are named, or use a wildcard instead of date parts",
        )
