"""Rows of a Delta Lake table: one version of it, streamed, and only the files that may hold the wanted event times."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.lake import DeltaSource
from include.data.sources.file_listing import check_permitted
from include.data.sources.lake.arrow_filter import readable, spans
from include.data.sources.lake.libraries import library
from include.data.sources.lake.s3_access import S3Access, unanswered
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError, StoreUnavailable

log = logging.getLogger(__name__)

_ROWS = 131_072


def read(request: ReadRequest[DeltaSource]) -> Iterator[SourceBatch]:
    """Yield the rows whose event time may lie in the wanted slots, all of them from one version of the table.

    A column whose type has no name in model.yaml, such as a list or a structure, is ignored.

    Raises
    ------
    ConfigError
        When the extra `lake` is not installed.
    SourceError
        When there is no such table or version, or its format asks for more than the reader knows.
    StoreUnavailable
        When S3 does not answer.
    """
    source, where = request.source, request.source.path
    deltalake, errors = library("deltalake", "lake"), library("deltalake.exceptions", "lake")
    remote = where.startswith("s3://")
    place = where if remote else str((request.folder / where).resolve())
    if not remote:
        check_permitted(where, request.folder / where, request.folder)
    options = storage_options(S3Access.of(request.connections.s3(source.connection))) if remote else None
    try:
        table = deltalake.DeltaTable(place, version=source.version, storage_options=options)
        log.info("%s: version %d of the table", where, table.version())
        dataset = table.to_pyarrow_dataset()
        names = readable(dataset.schema, request, where)
        for batch in dataset.to_batches(columns=names, filter=_bounds(request, dataset.schema), batch_size=_ROWS):
            if batch.num_rows:
                yield SourceBatch(pa.Table.from_batches([batch]), where)
    except errors.TableNotFoundError as error:
        raise SourceError(
            "There is no Delta Lake table.",
            expected="a folder with `_delta_log`",
            where=where,
            remedy="correct `data.source.path`; a relative path starts at the model's folder",
        ) from error
    except (errors.DeltaError, pa.ArrowException, OSError) as error:
        raise _unreadable(error, where, remote) from error


def _unreadable(error: Exception, where: str, remote: bool) -> SourceError | StoreUnavailable:
    if remote and unanswered(error):
        return StoreUnavailable("S3 did not answer.", found=type(error).__name__, where=where, remedy="try again later")
    return SourceError(
        "The Delta Lake table can't be read.",
        expected="a version that is there, all of whose files are, in a format that the library `deltalake` reads",
        found=str(error).partition("\n")[0][:300],
        where=where,
        remedy="look at `data.source.version`, and whether a vacuum removed files of it; a table with deletion vectors or "
        "mapped columns is read after `REORG TABLE ... APPLY (PURGE)`, or by a query of its engine (`kind: sql`)",
    )


def _bounds(request: ReadRequest[DeltaSource], schema: pa.Schema) -> pc.Expression | None:
    """Return what holds of event times in the slots, as the table keeps them; None where texts or numbers are kept."""
    if request.data.timeless:
        return None
    name = request.data.event_time
    kind = schema.field(name).type
    wanted = spans(request, kind)
    if wanted is None:
        return None
    parts = [
        (pc.field(name) >= pa.scalar(start, kind)) & (pc.field(name) < pa.scalar(end, kind)) for start, end in wanted
    ]
    # Read rows without an event time as well: they are refused, not skipped.
    return functools.reduce(operator.or_, parts, pc.field(name).is_null())


def storage_options(access: S3Access) -> dict[str, str]:
    """Return the endpoint and credentials of S3 for `deltalake`."""
    options = {
        "aws_access_key_id": access.key,
        "aws_secret_access_key": access.secret,
        "aws_session_token": access.token,
        "aws_region": access.region,
        "aws_endpoint_url": access.address,
        "aws_allow_http": str(access.plain_http).lower(),
    }
    return {name: value for name, value in options.items() if value}
