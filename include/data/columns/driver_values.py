"""Values as database drivers deliver them, as Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, time
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any
from uuid import UUID

import pyarrow as pa

from include.data.columns.text_parsing import refusal
from include.errors import SourceError

_AS_TEXT = {
    *(UUID, time),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
}
"""Types without a name in model.yaml whose text contains the whole value."""
_JSON = {dict, list}
"""What drivers make of JSON, and of arrays."""


def column_of(name: str, values: Sequence[Any], where: str) -> pa.Array:
    """Return the values of one column.

    Ids (uuid), times of day and addresses become texts, and so do JSON and arrays, written with sorted keys. A decimal that is
    not a number is a missing value, as it is of floats.

    Raises
    ------
    SourceError
        When a number or a time is infinite, or the types of the values differ or are none that Arrow has a column for.
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds & _JSON:
        values = [None if value is None else _json(value) for value in values]
    elif kinds and kinds <= _AS_TEXT:
        values = [None if value is None else str(value) for value in values]
    elif kinds == {Decimal}:
        values = _decimals(name, values, where)
    elif kinds == {datetime}:
        _check_ends(name, values, where)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise _refused(name, kinds, error, where) from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def _decimals(name: str, values: Sequence[Decimal | None], where: str) -> Sequence[Decimal | float | None]:
    if any(value is not None and value.is_infinite() for value in values):
        raise SourceError(
            f"Column `{name}` holds infinite numbers.",
            expected="numbers, or no value",
            where=where,
            remedy=f"make them missing in the query, `NULLIF(NULLIF({name}, 'Infinity'), '-Infinity')`, or leave such rows out",
        )
    known = [None if value is None or value.is_nan() else value for value in values]
    longest = max((len(value.as_tuple().digits) for value in known if value is not None), default=0)
    # Arrow keeps 76 digits, those before the point of one row and behind the point of another one together.
    return known if 2 * longest <= 76 else [None if value is None else float(value) for value in known]


def _check_ends(name: str, values: Sequence[datetime | None], where: str) -> None:
    # What psycopg2 makes of PostgreSQL's `infinity`, to the microsecond.
    if any(value is not None and value.replace(tzinfo=None) in (datetime.min, datetime.max) for value in values):
        raise SourceError(
            f"Column `{name}` holds times without an end.",
            expected="times, or no value",
            found="`infinity` or `-infinity`",
            where=where,
            remedy=f"make them missing in the query, `NULLIF(NULLIF({name}, 'infinity'), '-infinity') AS {name}`, or leave such rows out",
        )


def _refused(name: str, kinds: set[type], error: Exception, where: str) -> SourceError:
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or refusal(error)
    if len(kinds) > 1:
        message, expected = f"Column `{name}` mixes types.", "one type in all rows"
    else:
        message, expected = (
            f"Column `{name}` has a type that model.yaml has no word for.",
            "numbers, texts, truth values, times or dates",
        )
    return SourceError(
        message,
        expected=expected,
        found=found,
        where=where,
        remedy=f"cast the column in the query, such as `CAST({name} AS text)`, or leave it out",
    )
