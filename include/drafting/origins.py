"""Origins of a draft: files on disk, files in S3, or a table of a database."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from include.config.sections.data import Data
from include.config.sections.rows.sources import Column, FilesSource, SqlSource
from include.data.sources.file_listing import File, find_files, open_on_disk
from include.data.sources.protocol import ReadRequest
from include.data.sources.sql import read
from include.errors import ConfigError, SourceError, StoreUnavailable, did_you_mean


class EnvironmentConnections:
    """Connections outside of a task: the usual places of AWS, and what Airflow's environment variables say.

    Parameters
    ----------
    url : str, optional
        The address that every name stands for, instead of the environment's.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url

    def s3(self, connection: str | None) -> Any:
        """Return a client with boto3's own chain of credentials."""
        import boto3

        return boto3.client("s3")

    def spark(self, connection: str) -> str:
        """Nothing is drafted from Spark."""
        raise NotImplementedError(connection)

    def sql(self, connection: str) -> sa.Engine:
        """Return an engine for a URL, or for the connection that `AIRFLOW_CONN_...` holds as one; raises `ConfigError`."""
        variable = "" if self.url else f"AIRFLOW_CONN_{connection.upper()}"
        url = self.url or os.environ.get(variable, "")
        scheme, _, rest = url.partition("://")
        if scheme in ("postgres", "postgresql"):
            driver = "psycopg2" if importlib.util.find_spec("psycopg2") else "psycopg"
            url = f"postgresql+{driver}://{rest}"
        try:
            return sa.create_engine(url)
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise ConfigError(
                "The database can't be opened.",
                expected="`--connection` with a URL such as postgresql://user:password@host/database, or with the id of a "
                f"connection that the environment variable {variable or 'AIRFLOW_CONN_<ID>'} holds as such a URL",
                found="a driver that is not installed" if isinstance(error, ModuleNotFoundError) else "no such URL",
                where="--connection",
                remedy=f"pip install {error.name}" if isinstance(error, ModuleNotFoundError) else None,
            ) from None  # the URL holds a password


def files_at(place: str) -> list[File]:
    """Return a file, or those of a folder or of an `s3://` path that a run would read there.

    Parameters
    ----------
    place : str
        A path on this machine's disk, or an address in S3.

    Raises
    ------
    SourceError
        When nothing is there.
    """
    if place.startswith("s3://"):
        source = FilesSource(kind="files", path=place, format="csv")
        return list(find_files(source, (), "UTC", Path(), EnvironmentConnections()))
    path = Path(place)
    if not path.exists():
        raise SourceError("There is no such file.", found=place)
    if not path.is_dir():
        return [File(path.name, lambda: open_on_disk(path), local=path)]
    # As a run reads it, from within the model's folder.
    found = find_files(FilesSource(kind="files", path="**", format="csv"), (), "UTC", path, EnvironmentConnections())
    return [File(Path(file.name).relative_to(path).as_posix(), file.open, local=file.local) for file in found]


@contextmanager
def table_at(engine: sa.Engine, table: str) -> Iterator[File]:
    """Give the rows of a table as a file of Parquet, for as long as the context.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    table : str
        Its name, with its schema and a point before it where it has one.

    Raises
    ------
    ConfigError, SourceError, StoreUnavailable
        When there is no such table, or its rows can't be read.
    """
    _check_table(engine, table)
    source = SqlSource(kind="sql", connection="draft", query=f"SELECT * FROM {_quoted(engine, table)}")  # noqa: S608 (quoted, and looked up among the tables)
    data = Data.model_validate({"source": source.model_dump(), "target": "draft"})

    class Opened:
        def s3(self, connection: str | None) -> Any:
            raise NotImplementedError(connection)

        def spark(self, connection: str) -> str:
            raise NotImplementedError(connection)

        def sql(self, connection: str) -> sa.Engine:
            return engine

    with tempfile.TemporaryDirectory(prefix="ratchet-new-") as scratch:
        path = Path(scratch) / "rows.parquet"
        tables = [batch.table for batch in read(ReadRequest(data, source, Path(), (), Opened()))]
        if not tables:
            raise ConfigError("The table has no rows.", found=table)
        pq.write_table(pa.concat_tables(tables, promote_options="permissive"), path)
        yield File(table, lambda: open_on_disk(path), local=path)


def table_source(
    engine: sa.Engine, connection: str, table: str, columns: Mapping[str, Column], event_time: str | None
) -> SqlSource:
    """Return the source of a run: a query of the columns by name, with bounds on event time, and their types.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Knows how the database quotes names.
    connection : str
        The id of an Airflow connection.
    table : str
    columns : mapping of str to Column
        What each column was taken for.
    event_time : str, optional

    Raises
    ------
    ConfigError
        When the event time is a text or a number there, which no bound can be compared with.
    """
    quote = engine.dialect.identifier_preparer.quote
    plain = {name for name, column in columns.items() if column.format is None and not column.unit}
    if event_time is not None and not _is_time(engine, table, event_time):
        raise ConfigError(
            f"The event time `{event_time}` is no time in the database.",
            expected="a column of type date or timestamp, with which the bounds of a run compare",
            where=table,
            remedy="make a view that casts it, and draft from that",
        )
    query = f"SELECT {', '.join(map(quote, columns))} FROM {_quoted(engine, table)}"  # noqa: S608 (quoted)
    if event_time is not None:
        query += f" WHERE {quote(event_time)} >= :start AND {quote(event_time)} < :end"
    types = {name: column.type if name in plain else "string" for name, column in columns.items()}
    return SqlSource.model_validate({"kind": "sql", "connection": connection, "query": query, "types": types})


def _is_time(engine: sa.Engine, table: str, column: str) -> bool:
    schema, _, name = table.rpartition(".")
    kinds = {one["name"]: one["type"] for one in sa.inspect(engine).get_columns(name, schema or None)}
    return engine.dialect.name == "sqlite" or isinstance(kinds[column], sa.Date | sa.DateTime)


def _quoted(engine: sa.Engine, table: str) -> str:
    return ".".join(map(engine.dialect.identifier_preparer.quote, table.split(".")))


def _check_table(engine: sa.Engine, table: str) -> None:
    schema, _, name = table.rpartition(".")
    try:
        inspector = sa.inspect(engine)
        known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            "The database did not answer.", found=type(error).__name__, remedy="look at `--connection`"
        ) from None  # its words may hold the password
    if name not in known:
        raise ConfigError(
            f"The database has no table `{table}`.",
            expected=", ".join(sorted(known)[:20]) or "a schema with tables",
            found=table,
            remedy=did_you_mean(name, known, "name its schema, too: schema.table"),
        )
