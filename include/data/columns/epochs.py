"""Instants that are written as numbers, or with the name of a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

UNITS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
"""Formats of times since 1970, with their ticks a second."""
# Beyond these years an event time is a mistake of unit: epoch milliseconds read as seconds are in the year 55840.
_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1900, 2200))
_RECENT = int(datetime(1975, 1, 1, tzinfo=UTC).timestamp())
"""The earliest plausible time; earlier ones were written in a larger unit."""
_EXCEL_EPOCH = -25_569
"""Days from 1970 to Excel's day 0; it holds from 1 March 1900 on, since Excel has a 29 February 1900."""
_DAY = 86_400
_ENDS_IN_UTC = re.compile(r"(?:(?<!%)Z|UTC|GMT)$")
_UTC = re.compile(r" ?(?:UTC|GMT)$")


def plausible(times: Any) -> bool:
    """Tell whether all event times are in plausible years."""
    return _within(times.cast(pa.int64()), 10**6)


def _within(numbers: Any, ticks: int, first: int = _FIRST) -> bool:
    extremes = pc.min_max(numbers).as_py()
    return extremes["min"] is None or (first * ticks <= extremes["min"] and extremes["max"] < _LAST * ticks)


def from_epoch(array: pa.Array, unit: str) -> pa.Array:
    """Return numbers since 1970, or texts of them, as instants; fractions are kept to the microsecond.

    Raises
    ------
    ValueError
        When an instant is not in the years 1900 to 2200.
    """
    ticks = UNITS[unit]
    try:
        numbers = array.cast(pa.int64())
    except pa.ArrowInvalid:
        numbers = array.cast(pa.float64())
    others = [
        f"is the unit {name}" for name, scale in UNITS.items() if scale != ticks and _within(numbers, scale, _RECENT)
    ]
    if not _within(numbers, ticks):
        usual = "is the unit epoch_ms" if unit == "epoch_s" else "is the unit epoch_s"
        raise ValueError(f"years beyond 1900 to 2200, {others[0] if others else usual}")
    if others and not _within(numbers, ticks, _RECENT):
        raise ValueError(f"days around 1 January 1970, {others[0]}")
    if pa.types.is_floating(numbers.type):
        micro = pc.round(pc.multiply(numbers, 10**6 / ticks)).cast(pa.int64())
    elif ticks <= 10**6:
        micro = pc.multiply(numbers, 10**6 // ticks)
    else:
        micro = pc.divide(numbers, ticks // 10**6)
    return micro.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))


def from_excel(array: pa.Array) -> pa.Array:
    """Return Excel's day numbers, or texts of them, as local times, to the millisecond that Excel keeps.

    Raises
    ------
    ValueError
        When a day is not in the years 1900 to 2200.
    """
    days = array.cast(pa.float64())
    since = pc.multiply(pc.add(days, _EXCEL_EPOCH), _DAY)
    if not _within(since, 1) or pc.any(pc.less(days, 61)).as_py() or pc.any(pc.is_nan(days)).as_py():
        raise ValueError("days beyond 1900 to 2200")
    milliseconds = pc.round(pc.multiply(since, 1000)).cast(pa.int64())
    return pc.multiply(milliseconds, 1000).cast(pa.timestamp("us"))


def zones_counted(array: pa.Array, pattern: str) -> tuple[pa.Array, str, bool]:
    """Return texts and a `strptime` format in which a zone's name counts: only UTC means one zone everywhere.

    Returns
    -------
    texts, format, utc
        ``utc`` tells that the format itself says so, as in `%Y-%m-%dT%H:%M:%SZ`.
    """
    if "%Z" in pattern:
        # A text with another name, such as EST, does not have this format any more.
        return pc.replace_substring_regex(array, "UTC|GMT", "+0000"), pattern.replace("%Z", "%z"), False
    return array, pattern, bool(_ENDS_IN_UTC.search(pattern))


def says_utc(text: str) -> bool:
    """Tell whether a time ends in the letters UTC or GMT, as BigQuery writes it."""
    return bool(_UTC.search(text))


def utc_as_z(array: pa.Array) -> pa.Array:
    """Return ISO 8601 times with `Z` for the letters UTC or GMT at their end."""
    return pc.replace_substring_regex(array, " ?(UTC|GMT)$", "Z")
