"""Where the server keeps requests and answers in the store, and what stands in the files' columns.

A file stands under ``<model>/requests/<hour>/<first instant>-<digest>.parquet`` and holds rows that one version predicted. Columns
are those of the request's rows and those of batch scores, so that whoever watches the one can watch the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.data.windows import Window
from include.storage.content import check_digest
from include.storage.store import ObjectStore

REQUEST, PLACE, AT, ROLE = "request_id", "request_row", "requested_at", "role"
ANSWERED = "champion"
"""The role of rows that the champion answered; others were answered, or only predicted, by a challenger."""


def request_key(model: str, first: datetime, body_digest: str) -> str:
    """Return the key of a file whose first request came at ``first``."""
    return f"{_hour(model, first)}{first:%Y%m%dT%H%M%S.%fZ}-{body_digest}.parquet"


def requests_in(store: ObjectStore, model: str, interval: Window) -> list[str]:
    """Return the keys of all files that may hold requests of an interval, ascending: one call of the store an hour."""
    hour = interval.after.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    found: list[str] = []
    while hour <= interval.until:
        found += store.list(_hour(model, hour))
        hour += timedelta(hours=1)
    return sorted(found)


def read_requests(
    store: ObjectStore, keys: Sequence[str], interval: Window, *, columns: Sequence[str] | None = None
) -> list[pa.Table]:
    """Return the rows that the champion answered in an interval, file by file; files without any are left out.

    Parameters
    ----------
    keys : sequence of str
        Keys of the files in the store.
    interval : Window
        When the requests came in.
    columns : sequence of str, optional
        Names of the columns to read; all without it.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
        Before anything is parsed.
    """
    found = []
    for key in keys:
        body = store.get(key)
        check_digest(store, key, body, key.rpartition("-")[2].removesuffix(".parquet"))
        wanted = None if columns is None else [*columns, AT, ROLE]
        table = pq.read_table(pa.BufferReader(body), columns=wanted, page_checksum_verification=True)
        inside = pc.and_(pc.greater(table[AT], interval.after), pc.less_equal(table[AT], interval.until))
        table = table.filter(pc.and_(inside, pc.equal(table[ROLE], ANSWERED)))
        if table.num_rows:
            found.append(table)
    return found


def _hour(model: str, instant: datetime) -> str:
    return f"{model}/requests/{instant.astimezone(UTC):%Y%m%dT%H0000Z}/"
