"""Rows of a SQL query over files: DuckDB runs it inside the task, sees the declared tables, and nothing else."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.config.sections.rows.lake import DuckdbSource
from include.data.sources.lake.file_tables import add_tables
from include.data.sources.lake.libraries import library
from include.data.sources.lake.s3_access import unanswered
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError, StoreUnavailable

log = logging.getLogger(__name__)

_ROWS = 131_072
_SETTINGS = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # a name of the query would mean a variable of this process
    "threads": "1",  # sums of floats in one order: the same files give the same rows, to the last bit
}
_WHERE = "data.source.query"


def read(request: ReadRequest[DuckdbSource]) -> Iterator[SourceBatch]:
    """Yield the query's rows, for each range of event time; all of them for a table without time.

    Raises
    ------
    ConfigError
        When the extra `lake` is not installed.
    SourceError
        When a file is missing or not as declared, or the query is no SELECT or can't be run.
    StoreUnavailable
        When S3 does not answer.
    """
    duckdb = library("duckdb", "lake")
    with tempfile.TemporaryDirectory(prefix="ratchet-duckdb-") as scratch:
        # On disk, and so are intermediate results: memory does not grow with the files.
        settings = {**_SETTINGS, "temp_directory": str(Path(scratch) / "spilled")}
        with closing(duckdb.connect(str(Path(scratch) / "rows.duckdb"), config=settings)) as database:
            add_tables(database, request)
            database.execute(f"SET TimeZone = '{request.data.timezone}'")
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            try:
                query, named = _select(duckdb, database, request.source.query)
                for bounds in _bounds(database, query, named, request):
                    for batch in _relation(database, query, bounds).to_arrow_reader(_ROWS):
                        yield SourceBatch(pa.Table.from_batches([batch]), _WHERE)
            except duckdb.Error as error:
                raise _refused(duckdb, error, request.source) from None  # its message may contain values of a row


def _select(duckdb: Any, database: Any, query: str) -> tuple[str, set[str]]:
    """Return the query with bounds as DuckDB writes them, and their names; nothing but one SELECT is run."""
    statements = database.extract_statements(re.sub(r"(?<!:):(start|end)\b", r"$\1", query))
    if [one.type for one in statements] != [duckdb.StatementType.SELECT]:
        found = ", ".join(str(one.type).rpartition(".")[2] for one in statements)
        raise SourceError("The query is no SELECT.", expected="one SELECT", found=found or "nothing", where=_WHERE)
    named = set(statements[0].named_parameters)
    if unknown := sorted(named - {"start", "end"}):
        raise SourceError(
            "The query has a parameter that nothing sets.",
            expected="`:start` and `:end`",
            found=f"`${unknown[0]}`",
            where=_WHERE,
        )
    return statements[0].query, named


def _bounds(database: Any, query: str, named: set[str], request: ReadRequest[Any]) -> Iterator[dict[str, Any]]:
    if request.ranges is None:
        yield {}
        return
    ranges = request.ranges
    if ranges and not _zoned(database, query, dict(zip(("start", "end"), ranges[0], strict=True)), request):
        ranges = request.local_ranges or []
    for start, end in ranges:
        yield {name: value for name, value in (("start", start), ("end", end)) if name in named}


def _zoned(database: Any, query: str, bounds: dict[str, Any], request: ReadRequest[Any]) -> bool:
    """Return whether the event time has a zone, which the query tells before it runs."""
    relation = _relation(database, query, bounds)
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    if request.data.event_time not in kinds:
        raise SourceError(
            f"The query gives no column `{request.data.event_time}`.",
            expected="the column that `data.event_time` names",
            found=", ".join(kinds),
            where=_WHERE,
        )
    zoned: bool = kinds[request.data.event_time] == "TIMESTAMP WITH TIME ZONE"
    return zoned


def _relation(database: Any, query: str, bounds: dict[str, Any]) -> Any:
    return database.sql(query, params=bounds or None)


def _refused(duckdb: Any, error: Exception, source: DuckdbSource) -> SourceError | StoreUnavailable:
    remote = any(files.path.startswith("s3://") for files in source.tables.values())
    if remote and unanswered(error):
        return StoreUnavailable(
            "S3 did not answer.", found=type(error).__name__, where=_WHERE, remedy="try again later"
        )
    if isinstance(error, duckdb.PermissionException):
        return SourceError(
            "The query reads something that is not declared.",
            expected=f"the tables {', '.join(sorted(source.tables))}",
            where=_WHERE,
            remedy="declare its files under `data.source.tables`, and name the table in the query",
        )
    if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
        return SourceError(
            "DuckDB does not understand the query.",
            expected=f"one SELECT over the tables {', '.join(sorted(source.tables))}",
            found=str(error).partition("\n")[0],
            where=_WHERE,
        )
    return SourceError(
        "The query failed while it ran.",
        expected="values that its casts and functions accept, and files that do not change while it runs",
        found=type(error).__name__,
        where=_WHERE,
        remedy="look at casts in the query (`TRY_CAST` gives no value where `CAST` fails), or try again if files were just written",
    )
