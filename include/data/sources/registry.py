"""Read the rows of a source, whatever its kind, in batches of one schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.config.code import code_digest
from include.config.sections.data import LOT, ROW, ColumnType, Data, FilesSource, PythonSource, SqlSource
from include.data.columns.conversion import SchemaConverter
from include.data.columns.epochs import plausible
from include.data.random_split import RandomPlaces
from include.data.slots import bounds
from include.data.sources.connections import Connections
from include.data.sources.file_listing import File, find_files
from include.data.sources.parquet import read_parquet
from include.data.sources.python import read_python
from include.data.sources.sql import read_sql
from include.data.sources.text import read_text
from include.errors import SourceError
from include.storage.content import digest_json

BATCH = 131_072
"""Rows that are held at a time, at most."""


def source_digest(data: Data, folder: Path) -> str:
    """Return the digest of everything that says how rows are read; another digest means partitions and a schema of its own."""
    source = data.source
    code = code_digest(folder, source.reader.partition(":")[0]) if isinstance(source, PythonSource) else None
    settings = data.model_dump(
        mode="json", include={"source", "event_time", "row_id", "partition", "timezone", "ambiguous"}
    )
    if data.timeless:
        settings["entity"] = data.entity  # it says which side a row is on
        settings |= data.model_dump(mode="json", include={"equal_rows"})  # so does this; nothing unless it is declared
    return digest_json({**settings, "code": code})


def read(
    data: Data, folder: Path, *, slots: Sequence[str], recorded: Mapping[str, ColumnType], connections: Connections
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

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    StoreUnavailable
        When what holds the source does not answer.
    """
    source = data.source
    if isinstance(source, FilesSource):
        declared: Mapping[str, ColumnType] = {name: column.type for name, column in source.columns.items()}
    else:
        declared = source.types
    given = {name: word for name, word in recorded.items() if not data.timeless or name not in (LOT, ROW)}
    conform = SchemaConverter(declared, given, data.clock)
    lots = RandomPlaces(data) if data.timeless else None
    for table, where, file in _tables(data, folder, slots, connections):
        for first in range(0, table.num_rows, BATCH):
            part = conform(table.slice(first, BATCH), where)
            if lots is not None:
                _check_names(part, [*data.row_id, *([data.entity] if data.entity else [])], where)
                part = lots(part)
            _check_rows(part, data, where)
            if file is not None and file.start is not None and file.end is not None:
                _check_dates(part[data.event_time], file, file.start, file.end)
            yield part


def _tables(
    data: Data, folder: Path, slots: Sequence[str], connections: Connections
) -> Iterator[tuple[pa.Table, str, File | None]]:
    source = data.source
    ranges = None if data.timeless else _ranges(slots)
    if isinstance(source, PythonSource):
        for table in read_python(source, ranges, folder):
            yield table, source.reader, None
    elif isinstance(source, SqlSource):
        for table in read_sql(source, ranges, data.event_time, data.timezone, connections):
            yield table, f"query through connection {source.connection}", None
    else:
        for file in find_files(source, slots, data.timezone, folder, connections):
            reader = read_parquet if source.format == "parquet" else read_text
            for table in reader(file, source, data.clock):
                yield table, file.name, file


def _ranges(slots: Sequence[str]) -> list[tuple[datetime, datetime]]:
    """Return the instants that the slots cover, neighbours joined."""
    ranges: list[tuple[datetime, datetime]] = []
    for start, end in map(bounds, slots):
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    return ranges


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
            f"The event time `{data.event_time}` is no timestamp.",
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
                remedy="leave such rows out where they come from",
            )
    if not plausible(table[data.event_time]):
        raise SourceError(
            f"The event time `{data.event_time}` lies beyond the years 1900 to 2200.",
            where=where,
            remedy="look at its unit: milliseconds read as seconds are far in the future",
        )


def _check_dates(times: pa.ChunkedArray, file: File, start: datetime, end: datetime) -> None:
    extremes = pc.min_max(times).as_py()
    if extremes["min"] is not None and (extremes["min"] < start or extremes["max"] >= end):
        raise SourceError(
            "A file holds rows of another date than its name says.",
            expected=f"event times from {start} until before {end}",
            found=f"{extremes['min']} to {extremes['max']}",
            where=file.name,
            remedy="correct `data.timezone`, in whose dates files are named, or use a wildcard instead of date parts",
        )
