"""Select the columns of an Arrow dataset, and filter it by bounds on event time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from include.data.columns.conversion import declared_type
from include.data.sources.protocol import ReadRequest
from include.errors import SourceError

Span = tuple[datetime, datetime] | tuple[date, date]


def readable(schema: Iterable[pa.Field], request: ReadRequest[Any], where: str) -> list[str]:
    """Return the columns whose type has a name in model.yaml or is declared; others, such as lists, are ignored.

    Parameters
    ----------
    schema : iterable of pyarrow.Field
    request : ReadRequest
    where : str
        Names the table in messages.

    Raises
    ------
    SourceError
        When the event time is none of them.
    """
    declared = request.source.declared_types
    names = [field.name for field in schema if declared_type(_plain(field.type)) is not None or field.name in declared]
    if not request.data.timeless and request.data.event_time not in names:
        raise SourceError(
            f"The table has no column of times `{request.data.event_time}`.",
            expected=", ".join(names),
            where=where,
            remedy="correct `data.event_time`",
        )
    return names


def spans(request: ReadRequest[Any], kind: pa.DataType) -> list[Span] | None:
    """Return the wanted event times as a column of this type keeps them, from and until before.

    None says that nothing bounds them: a table without event time, or one that keeps it as a text or a number.
    """
    kind = _plain(kind)
    if request.ranges is None or not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return None
    if pa.types.is_date(kind):
        return [(first.date(), last.date() + timedelta(days=1)) for first, last in request.local_ranges or ()]
    if kind.tz is None:
        return list(request.local_ranges or ())
    return [(start.astimezone(UTC), end.astimezone(UTC)) for start, end in request.ranges]


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
