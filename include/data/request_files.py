"""Layout of the request log in the store: keys of the files, and their columns.

Each file has the key ``<model>/requests/<hour>/<first instant>-<digest>.parquet`` and holds rows that one version predicted. Its
columns are those of the request's rows and those of batch scores, so that both are monitored in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.data.windows import Window
from include.storage.content import check_digest
from include.storage.store import ObjectStore

REQUEST, PLACE, AT, ROLE = "request_id", "request_row", "requested_at", "role"
ANSWERED, CHALLENGED = "champion", "challenger"
"""The roles of rows that the champion answered, and that a challenger answered; others were only predicted beside."""


def request_key(model: str, first: datetime, body_digest: str) -> str:
    """Return the key of a file whose first request came at ``first``."""
    return f"{_hour(model, first)}{first:%Y%m%dT%H%M%S.%fZ}-{body_digest}.parquet"


def requests_in(store: ObjectStore, model: str, interval: Window) -> list[str]:
    """Return the keys of all files that may hold requests of an interval, ascending, from one listing.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The model's name.
    interval : Window
        When the requests came in.
    """
    first, last = _hour(model, interval.after), _hour(model, interval.until)
    found: list[str] = []
    for key in store.list(f"{model}/requests/", after=first):
        if key[: len(last)] > last:
            break
        found.append(key)
    return found


def read_requests(
    store: ObjectStore,
    keys: Sequence[str],
    interval: Window,
    *,
    columns: Sequence[str] | None = None,
    roles: Sequence[str] = (ANSWERED,),
) -> list[pa.Table]:
    """Return the rows that were answered in an interval, file by file; files without any are left out.

    Parameters
    ----------
    keys : sequence of str
        Keys of the files in the store.
    interval : Window
        When the requests came in.
    columns : sequence of str, optional
        Names of the columns to read, those that a file has; all without it.
    roles : sequence of str
        Who answered them; the champion if left out.

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
        with pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True) as file:
            table = file.read(columns=wanted)
        inside = pc.and_(pc.greater(table[AT], interval.after), pc.less_equal(table[AT], interval.until))
        table = table.filter(pc.and_(inside, pc.is_in(table[ROLE], value_set=pa.array(roles, pa.string()))))
        if table.num_rows:
            found.append(table)
    return found


def written_out(table: pa.Table) -> pa.Table:
    """Return a table whose texts are written out: a dictionary's numbers differ from file to file."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.string()))
    return table.replace_schema_metadata(None)


def _hour(model: str, instant: datetime) -> str:
    return f"{model}/requests/{instant.astimezone(UTC):%Y%m%dT%H0000Z}/"
