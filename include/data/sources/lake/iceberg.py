"""Rows of an Apache Iceberg table: one snapshot of it, file by file, and only those files that may hold the wanted event times."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from sqlalchemy.exc import SQLAlchemyError

from include.config.sections.rows.lake import IcebergSource
from include.data.sources.lake.arrow_filter import readable, spans
from include.data.sources.lake.iceberg_tables import open_table
from include.data.sources.lake.libraries import library
from include.data.sources.lake.s3_access import unanswered
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError, StoreUnavailable

log = logging.getLogger(__name__)


def read(request: ReadRequest[IcebergSource]) -> Iterator[SourceBatch]:
    """Yield the rows whose event time may lie in the wanted slots, all of them from one snapshot of the table.

    A column whose type has no name in model.yaml, such as a list or a structure, is ignored. Memory holds the wanted rows
    of one of the table's files.

    Raises
    ------
    ConfigError
        When the extra `lake` is not installed, or the catalog is not configured.
    SourceError
        When there is no such table or snapshot, or it asks for more than the reader knows.
    StoreUnavailable
        When the catalog or S3 does not answer.
    """
    source, where = request.source, request.source.path or f"{request.source.catalog}.{request.source.table}"
    errors, iceberg = library("pyiceberg.exceptions", "lake"), library("pyiceberg.table", "lake")
    arrow = library("pyiceberg.io.pyarrow", "lake")
    try:
        table = open_table(request, where)
        snapshot = table.snapshot(source.snapshot, where)
        if snapshot is None:
            log.info("%s: the table has no snapshot yet, and no row", where)
            return
        log.info("%s: snapshot %d of the table", where, snapshot.snapshot_id)
        table.check_places(snapshot, where)
        whole = iceberg.DataScan(table.metadata, table.io, snapshot_id=snapshot.snapshot_id)
        schema = arrow.schema_to_pyarrow(whole.projection(), include_field_ids=False)
        names = readable(schema, request, where)
        scan = whole.update(selected_fields=tuple(names), row_filter=_bounds(request, schema))
        reader = arrow.ArrowScan(table.metadata, table.io, scan.projection(), scan.row_filter)
        for task in scan.plan_files():
            table.check_files(task, where)
            for batch in reader.to_record_batches([task]):
                yield SourceBatch(pa.Table.from_batches([batch]).select(names), where)
    except (errors.NoSuchTableError, errors.NoSuchNamespaceError) as error:
        raise SourceError(
            "The catalog has no such table.",
            expected=f"a table `{source.table}`",
            where=where,
            remedy="correct `data.source.table`",
        ) from error
    except _broken(errors) as error:
        raise _unreadable(error, where, errors) from error


def _broken(errors: Any) -> tuple[type[Exception], ...]:
    own = tuple(one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception))
    # What is no error of its own: files that are gone, deletes by equality, bytes that are no manifest.
    return (*own, pa.ArrowException, SQLAlchemyError, OSError, ValueError, AssertionError, NotImplementedError)


def _unreadable(error: Exception, where: str, errors: Any) -> SourceError | StoreUnavailable:
    passing = (errors.ServiceUnavailableError, errors.TooManyRequestsError, errors.ServerError, SQLAlchemyError)
    if isinstance(error, passing) or unanswered(error):
        return StoreUnavailable(
            "The catalog or the store of the table did not answer.",
            found=type(error).__name__,
            where=where,
            remedy="try again later",
        )
    return SourceError(
        "The Iceberg table can't be read.",
        expected="a snapshot that is there, all of whose files are, in a format that the library `pyiceberg` reads",
        found=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}",
        where=where,
        remedy="look at `data.source.snapshot`, and whether expired snapshots or orphan files were removed; a table with deletes by "
        "equality is read after a compaction, or by a query of its engine (`kind: sql`, `kind: spark`)",
    )


def _bounds(request: ReadRequest[IcebergSource], schema: pa.Schema) -> Any:
    """Return the filter for event times in the slots, in the type of the table's column."""
    said = library("pyiceberg.expressions", "lake")
    name = request.data.event_time
    wanted = None if request.data.timeless else spans(request, schema.field(name).type)
    if wanted is None:
        return said.AlwaysTrue()
    parts = [
        said.And(said.GreaterThanOrEqual(name, start.isoformat()), said.LessThan(name, end.isoformat()))
        for start, end in wanted
    ]
    # Read rows without an event time as well: they are refused, not skipped. All at once, `Or` makes a balanced tree of them.
    return said.Or(said.IsNull(name), *parts) if parts else said.IsNull(name)
