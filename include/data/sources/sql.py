"""Rows of a SQL query, streamed through an Airflow connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from include.config.sections.rows.sources import SqlSource
from include.data.columns.driver_values import column_of
from include.data.columns.text_parsing import has_zone, refusal
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError, StoreUnavailable

ROWS = 20_000
Bounds = tuple[datetime | str, datetime | str]


def read(request: ReadRequest[SqlSource]) -> Iterator[SourceBatch]:
    """Yield the query's rows, a few thousand at a time, for each range of event time; all of them for a table without time.

    Raises
    ------
    SourceError
        When the database refuses the query, or a value is none of the types of model.yaml and has no text that says it.
    StoreUnavailable
        When the database does not answer.
    """
    data, source, ranges = request.data, request.source, request.ranges
    engine = request.connections.sql(source.connection)
    where = f"query through connection {source.connection}"
    try:
        with engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, max_row_buffer=ROWS)
            if ranges is None:
                result = streaming.execute(sa.text(source.query))
                for rows in result.partitions(ROWS):
                    yield SourceBatch(_table(list(result.keys()), rows, where), where)
            pairs = zip(request.local_ranges or (), ranges or (), strict=True)
            for local, instants in _whole_days(ranges or ()) if engine.dialect.name == "sqlite" else pairs:
                for table in _rows(streaming, source, local, instants, data.event_time, where):
                    yield SourceBatch(table, where)
    except DBAPIError as error:
        if error.connection_invalidated or error.statement is None:
            raise StoreUnavailable(
                "The database did not answer.", found=error.orig, where=where, remedy="try again later"
            ) from error
        if isinstance(error, DataError):  # its message may contain values of a row
            raise _unreadable(refusal(cast(Exception, error.orig)), where) from error
        raise SourceError(
            "The database refused the query.", found=error.orig, where=where, remedy="correct `data.source.query`"
        ) from error
    except SQLAlchemyError as error:
        raise SourceError(
            "The query can't be run.", found=error, where=where, remedy="correct `data.source.query`"
        ) from error
    except (ValueError, OverflowError) as error:  # of drivers: a year beyond 9999, for one
        raise _unreadable(refusal(error), where) from error


def _unreadable(found: str, where: str) -> SourceError:
    return SourceError(
        "A value of the query can't be read.",
        expected="values that Python knows, such as times in the years 1 to 9999",
        found=found,
        where=where,
        remedy="make such values missing in the query, or cast the column there, such as `CAST(x AS text)`",
    )


def _rows(
    connection: Any,
    source: SqlSource,
    local: Bounds,
    instants: Bounds,
    event_time: str,
    where: str,
) -> Iterator[pa.Table]:
    # A column without a zone is compared with local times; one with a zone would shift those by the session's zone, and perhaps
    # away from every row. So the question is asked again with instants, unless its answer shows times without a zone; what
    # then comes back without one was not asked for: such rows belong to the first question, which found none.
    for bounds, zoned in ((local, False), (instants, True)):
        result = connection.execute(sa.text(source.query), dict(zip(("start", "end"), bounds, strict=True)))
        names = list(result.keys())
        if event_time not in names:
            raise SourceError(
                f"The query gives no column `{event_time}`.",
                expected="the column that `data.event_time` names",
                found=", ".join(names),
                where=where,
            )
        place = names.index(event_time)
        answered = False
        for rows in result.partitions(ROWS):
            if _zoned(next((row[place] for row in rows if row[place] is not None), None)) != zoned:
                break
            answered = True
            yield _table(names, rows, where)
        result.close()
        if answered:
            return


def _whole_days(ranges: Sequence[tuple[datetime, datetime]]) -> Iterator[tuple[Bounds, Bounds]]:
    """Yield wider bounds for SQLite, which compares times as the texts that they are: with a blank or a T, an offset, or no clock at all.

    Only their dates compare as time does, and an offset moves a date by one. Rows of other slots are left out later.
    """
    days: list[tuple[date, date]] = []
    for start, end in ranges:
        first, after = start.date() - timedelta(days=1), end.date() + timedelta(days=2)
        if days and first <= days[-1][1]:
            first = days.pop()[0]
        days.append((first, after))
    for first, after in days:
        yield (str(first), str(after)), (str(first), str(after))


def _zoned(time: Any) -> bool:
    if isinstance(time, str):  # as SQLite keeps times
        return has_zone(time)
    return getattr(time, "tzinfo", None) is not None


def _table(names: list[str], rows: Sequence[Sequence[Any]], where: str) -> pa.Table:
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return pa.Table.from_arrays([column_of(name, values, where) for name, values in columns], names=names)
