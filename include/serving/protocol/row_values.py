"""Values of a request's rows: each type's conversion from JSON, and what an error says that it expected and found."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from include.config.sections.rows.sources import ColumnType
from include.config.time_zones import Ambiguous, Clock
from include.data.columns.rectified_texts import Rectifier

_EXACT = 2**53
_WORDS = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
    list: "list",
    dict: "object",
}
EXPECTED = {
    "string": "text",
    "integer": "a whole number within 64 bits",
    "float": "a finite number",
    "boolean": "true or false",
    "timestamp": "an ISO 8601 time of the years 1900 to 2199",
    "date": "an ISO 8601 date",
}
"""What a value of each type must be, for errors."""


def kind_of(value: Any) -> str:
    """Return what a JSON value is, for errors."""
    return _WORDS.get(type(value), "another value")


def converters(timezone: Clock) -> dict[str, Callable[[Any], Any]]:
    """Return, for each type of a column, the function that converts one JSON value to it.

    The functions raise `ValueError`, `TypeError` or `OverflowError` for a value that is not of the type.
    """
    zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
    return {
        "string": _string,
        "integer": _integer,
        "float": _float,
        "boolean": _boolean,
        "timestamp": lambda value: _instant(value, zone, timezone.ambiguous),
        "date": _date,
    }


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    if not value.isascii():
        value.encode()  # half of a surrogate pair is no text
    return value


def rectified(function: Rectifier, value: Any) -> str:
    """Return a text after its spelling was corrected; raises `TypeError` for another value."""
    return function(_string(value))


def _integer(value: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise TypeError
    return value


def _float(value: Any) -> float:
    if type(value) is int:
        value = float(value)
    if type(value) is not float or not math.isfinite(value):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _instant(value: Any, zone: Any, ambiguous: Ambiguous) -> datetime:
    if type(value) is not str:
        raise TypeError
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
        # An hour that a clock change repeats or skips has two offsets.
        if zone is not UTC and instant.utcoffset() != instant.replace(fold=1).utcoffset():
            if ambiguous == "refuse":
                raise ValueError
            readings = sorted(instant.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            instant = readings[0] if ambiguous == "earlier" else readings[1]
    instant = instant.astimezone(UTC)
    if not 1900 <= instant.year < 2200:
        raise ValueError
    return instant


def _date(value: Any) -> date:
    if type(value) is not str:
        raise TypeError
    return date.fromisoformat(value)


def within_years(values: Any, kind: ColumnType) -> Any:
    """Return an array, if it holds no time outside the years 1900 to 2199; raises `ValueError` otherwise."""
    if kind == "timestamp" and len(values) > values.null_count:
        extremes = pc.min_max(values).as_py()
        if extremes["min"].year < 1900 or extremes["max"].year >= 2200:
            raise ValueError("a time beyond the years 1900 to 2199")
    return values
