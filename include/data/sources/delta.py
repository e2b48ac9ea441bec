"""Rows of a Delta Lake table: one version of it, streamed, and only the files that may hold the wanted event times."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import DeltaSource
from include.data.columns.conversion import declared_type
from include.data.sources.file_listing import check_permitted
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import ConfigError, SourceError, StoreUnavailable

log = logging.getLogger(__name__)

_ROWS = 131_072
_SHIFT = timedelta(hours=2)
"""No clock change moves local times further than this."""


def read(request: ReadRequest[DeltaSource]) -> Iterator[SourceBatch]:
    """Yield the rows whose event time may lie in the wanted slots, all of them from one version of the table.

    A column of a type without a word in model.yaml, such as a list or a structure, is left alone.

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
    library = delta_library()
    remote = where.startswith("s3://")
    place = where if remote else str((request.folder / where).resolve())
    if not remote:
        check_permitted(where, request.folder / where, request.folder)
    options = storage_options(request.connections.s3(source.connection)) if remote else None
    try:
        table = library.DeltaTable(place, version=source.version, storage_options=options)
        log.info("%s: version %d of the table", where, table.version())
        dataset = table.to_pyarrow_dataset()
        names = [field.name for field in dataset.schema if declared_type(_plain(field.type)) is not None]
        if not request.data.timeless and request.data.event_time not in names:
            raise SourceError(
                f"The table has no column of times `{request.data.event_time}`.",
                expected=", ".join(names),
                where=where,
                remedy="correct `data.event_time`",
            )
        for batch in dataset.to_batches(columns=names, filter=_bounds(request, dataset.schema), batch_size=_ROWS):
            if batch.num_rows:
                yield SourceBatch(pa.Table.from_batches([batch]), where)
    except library.exceptions.TableNotFoundError as error:
        raise SourceError(
            "There is no Delta Lake table.",
            expected="a folder with `_delta_log`",
            where=where,
            remedy="correct `data.source.path`; a relative path starts at the model's folder",
        ) from error
    except (library.exceptions.DeltaError, pa.ArrowException, OSError) as error:
        raise _unreadable(error, where, remote) from error


def _unreadable(error: Exception, where: str, remote: bool) -> SourceError | StoreUnavailable:
    text = str(error)
    if remote and any(word in text for word in ("error sending request", "timed out", "50", "Connection")):
        return StoreUnavailable("S3 did not answer.", found=type(error).__name__, where=where, remedy="try again later")
    return SourceError(
        "The Delta Lake table can't be read.",
        expected="a version that is there, all of whose files are, in a format that the library `deltalake` reads",
        found=text.partition("\n")[0][:300],
        where=where,
        remedy="look at `data.source.version`, and whether a vacuum removed files of it; a table with deletion vectors or "
        "mapped columns is read after `REORG TABLE ... APPLY (PURGE)`, or by a query of its engine (`kind: sql`)",
    )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _bounds(request: ReadRequest[DeltaSource], schema: pa.Schema) -> pc.Expression | None:
    """Return what holds of event times in the slots, as the table keeps them; None where texts or numbers are kept."""
    if request.ranges is None:
        return None
    name = request.data.event_time
    kind = schema.field(name).type
    spans: list[tuple[Any, Any]]
    if pa.types.is_timestamp(kind):
        spans = [_as_kept(start, end, kind, request.data.timezone) for start, end in request.ranges]
    elif pa.types.is_date(kind):
        spans = [
            ((start - timedelta(days=1)).date(), (end + timedelta(days=1)).date()) for start, end in request.ranges
        ]
    else:
        return None
    parts = [
        (pc.field(name) >= pa.scalar(start, kind)) & (pc.field(name) < pa.scalar(end, kind)) for start, end in spans
    ]
    # A row without an event time is refused and not passed over.
    return functools.reduce(operator.or_, parts, pc.field(name).is_null())


def _as_kept(start: datetime, end: datetime, kind: pa.DataType, timezone: str) -> tuple[datetime, datetime]:
    if kind.tz is not None:
        return start.astimezone(UTC), end.astimezone(UTC)
    zone = ZoneInfo(timezone)
    first, last = (one.astimezone(zone).replace(tzinfo=None) for one in (start, end))
    return first - _SHIFT, last + _SHIFT


def storage_options(client: Any) -> dict[str, str]:
    """Return for `deltalake` what a boto3 client was opened with.

    Parameters
    ----------
    client : botocore.client.S3
    """
    credentials = client._request_signer._credentials.get_frozen_credentials()
    address = client.meta.endpoint_url
    options = {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
        "aws_session_token": credentials.token or "",
        "aws_region": client.meta.region_name or "us-east-1",
        "aws_endpoint_url": address,
        "aws_allow_http": str(address.startswith("http://")).lower(),
    }
    return {name: value for name, value in options.items() if value}


def delta_library() -> Any:
    """Return the library `deltalake`; raises `ConfigError` where it is not installed."""
    try:
        import deltalake
        import deltalake.exceptions
    except ImportError as error:
        raise ConfigError(
            "The library `deltalake` is not installed.",
            expected="`deltalake`, of the extra `lake`",
            where="the Python environment of this process",
            remedy="pip install -r requirements-lake.txt, where tasks and `lint` run",
        ) from error
    return deltalake
