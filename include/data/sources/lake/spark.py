"""Rows that a Spark cluster reads, streamed through Spark Connect: the client needs neither Java nor Spark."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from include.config.sections.rows.lake import SparkSource
from include.data.sources.lake.arrow_filter import readable
from include.data.sources.lake.libraries import library
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError, StoreUnavailable

_TRIES = 5
"""A server that does not answer is tried for some seconds; Airflow tries the task again later."""
_ABOUT_THE_QUERY = ("AnalysisException", "ParseException")


def read(request: ReadRequest[SparkSource]) -> Iterator[SourceBatch]:
    """Yield the rows of the query or table, for each range of event time; all of them for a table without time.

    A column of a type without a word in model.yaml, such as an array or a structure, is left alone.

    Raises
    ------
    ConfigError
        When the extra `spark` is not installed, or there is no such connection.
    SourceError
        When Spark refuses the query.
    StoreUnavailable
        When the server does not answer.
    """
    source, where = request.source, f"Spark through connection {request.source.connection}"
    url = request.connections.spark(source.connection)
    sessions, retries, errors = _libraries()
    with ExitStack() as opened:
        try:
            session = sessions.SparkSession(url)
            opened.callback(session.stop)
            session.client.set_retry_policies([retries.DefaultPolicy(_TRIES)])
            # Times without a zone, and dates, are compared with the bounds as those of the model are.
            session.conf.set("spark.sql.session.timeZone", request.data.timezone)
            query = _query(request)
            for bounds in _bounds(request):
                frame = session.sql(query, args=bounds)
                plan = frame._plan
                for part in session.client.to_table_as_iterator(plan.to_proto(session.client), plan.observations):
                    if isinstance(part, pa.Table):  # a schema comes, too
                        yield SourceBatch(part.select(readable(part.schema, request, where)), where)
        except errors.PySparkException as error:
            raise _refused(error, where) from None  # its message may contain values of a row


def _libraries() -> tuple[Any, Any, Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)  # none is used
        sessions = library("pyspark.sql.connect.session", "spark")
    # They print errors, which may contain values of rows, whatever the logging settings are.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).disabled = True
    retries = library("pyspark.sql.connect.client.retries", "spark")
    return sessions, retries, library("pyspark.errors", "spark")


def _query(request: ReadRequest[SparkSource]) -> str:
    source = request.source
    if source.query is not None:
        # As a part of another query it can be nothing but a SELECT.
        return f"SELECT * FROM (\n{source.query.strip().rstrip(';')}\n)"  # noqa: S608 (the model's own query)
    query = f"SELECT * FROM {'.'.join(map(_quoted, str(source.table).split('.')))}"  # noqa: S608 (quoted)
    if request.ranges is None:
        return query
    name = _quoted(request.data.event_time)
    # Read rows without an event time as well: they are refused, not skipped.
    return f"{query} WHERE ({name} >= :start AND {name} < :end) OR {name} IS NULL"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _bounds(request: ReadRequest[SparkSource]) -> Iterator[dict[str, datetime]]:
    if request.ranges is None:
        yield {}
        return
    zone = ZoneInfo(request.data.timezone)
    for (start, end), (first, last) in zip(request.ranges, request.local_ranges or (), strict=True):
        # Spark takes a time that clocks show twice for its first meaning, also where `data.ambiguous` says otherwise.
        earliest = first.replace(tzinfo=zone, fold=0).astimezone(UTC)
        latest = last.replace(tzinfo=zone, fold=1).astimezone(UTC)
        yield {"start": min(start, earliest), "end": max(end, latest)}


def _refused(error: Any, where: str) -> SourceError | StoreUnavailable:
    status = getattr(getattr(error, "_grpc_status_code", None), "name", "")
    if status in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"):
        return StoreUnavailable("Spark did not answer.", found=status, where=where, remedy="try again later")
    if status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return SourceError(
            "Spark refused the login.",
            expected="a token that the server accepts, as the connection's password",
            found=status,
            where=where,
            remedy="look at the Airflow connection: its password, and `use_ssl` in its extras",
        )
    about = any(kind.__name__ in _ABOUT_THE_QUERY for kind in type(error).__mro__)
    return SourceError(
        "Spark does not understand the query." if about else "The query failed while it ran.",
        expected="one SELECT of tables that are there" if about else "values that its casts and functions accept",
        found=str(error).partition("\n")[0][:300] if about else error.getCondition() or type(error).__name__,
        where=where,
        remedy="correct `data.source.query` or `table`"
        if about
        else "look at casts in the query (`try_cast` gives no value where `CAST` fails), and at the server's log",
    )
