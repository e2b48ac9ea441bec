"""Declared files as the tables of a DuckDB database."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs

from include.config.sections.rows.lake import DuckdbSource
from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import File, find_files
from include.data.sources.files import rows_of
from include.data.sources.lake.s3_access import S3Access, unanswered
from include.data.sources.protocol import ReadRequest
from include.errors import SourceError, StoreUnavailable

log = logging.getLogger(__name__)

_AT_ONCE = 8


def add_tables(database: Any, request: ReadRequest[DuckdbSource]) -> None:
    """Make each declared table known to the database by its name.

    Parquet files without declared ``columns`` stay where they are: the database asks for the columns and the rows that the query
    needs. Others are read as a source of files reads them, into a table.

    Parameters
    ----------
    database : duckdb.DuckDBPyConnection
    request : ReadRequest

    Raises
    ------
    SourceError
        When a file is missing or not as declared.
    StoreUnavailable
        When S3 does not answer.
    """
    for name, files in request.source.tables.items():
        with _said_of(name):
            found = list(find_files(files, (), request.data.timezone, request.folder, request.connections))
            log.info("table %s: %d files of %s", name, len(found), files.path)
            if files.format == "parquet" and not files.columns:
                database.register(name, _dataset(found, files, request))
            else:
                _fill(database, name, found, files, request)


@contextmanager
def _said_of(table: str) -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        where = f"table `{table}` of the query" + ("" if error.where is None else f": {error.where}")
        raise SourceError(
            error.message, expected=error.expected, found=error.found, where=where, remedy=error.remedy
        ) from error


def _fill(database: Any, name: str, found: Sequence[File], files: FilesSource, request: ReadRequest[Any]) -> None:
    if files.columns:  # without them, the error for the first file shows what to declare
        database.execute(f'CREATE TABLE "{name}" ({_columns(files)})')
    for file in found:
        for rows in rows_of(file, files, request.data.clock):
            database.register("(rows)", rows)
            database.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM "(rows)"')  # noqa: S608 (a name of letters and digits)
            database.unregister("(rows)")


_SQL = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
}


def _columns(files: FilesSource) -> str:
    return ", ".join(
        '"{}" {}'.format(name.replace('"', '""'), _SQL[word]) for name, word in files.declared_types.items()
    )


def _dataset(found: Sequence[File], files: FilesSource, request: ReadRequest[Any]) -> ds.Dataset:
    remote = files.path.startswith("s3://")
    system = _s3(request.connections.s3(files.connection)) if remote else fs.LocalFileSystem()
    paths = [file.name.removeprefix("s3://") if remote else str(file.local) for file in found]
    try:
        dataset = ds.dataset(paths, format="parquet", filesystem=system)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            schemas = list(pool.map(_schema, dataset.get_fragments()))
    except (pa.ArrowException, OSError) as error:
        if remote and unanswered(error):
            raise StoreUnavailable(
                "S3 did not answer.", found=type(error).__name__, where=files.path, remedy="try again later"
            ) from error
        raise SourceError(
            "A file can't be read as Parquet.", expected="whole Parquet files", where=files.path
        ) from error
    names = set(dataset.schema.names)
    for file, schema in zip(found, schemas, strict=True):
        if gone := sorted(names - set(schema.names)):
            raise SourceError(
                "Columns differ between files of a table.",
                expected=f"those of {found[0].name}",
                found=f"no {', '.join(gone)}",
                where=file.name,
                remedy="declare the `columns` that all files have, or write the older files again",
            )
    return dataset


def _schema(fragment: ds.Fragment) -> pa.Schema:
    return fragment.physical_schema


def _s3(client: Any) -> fs.S3FileSystem:
    access = S3Access.of(client)
    return fs.S3FileSystem(
        access_key=access.key,
        secret_key=access.secret,
        session_token=access.token or None,
        region=access.region,
        endpoint_override=access.address,
        scheme="http" if access.plain_http else "https",
    )
