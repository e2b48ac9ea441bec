"""Texts as the declared types: numbers, booleans, dates and times in the format that a column declares."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column
from include.data.columns.clock_changes import ClockChange, local_to_utc
from include.data.columns.epochs import UNITS, from_epoch, from_excel, says_utc, utc_as_z, zones_counted
from include.data.columns.number_format import NO_MARKS, strip_marks

MISSING_MARKS = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "NONE", "-", "?", "\\N", ".")
"""Texts that often mean "no value"; shown in errors, never assumed."""
_ZONE = re.compile(r"\d[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$")

_Convert = Callable[[pa.Array], pa.Array]


def refusal(error: Exception) -> str:
    """Return what a library says about a value it refuses, without the value: rows do not go to logs."""
    if isinstance(error, ClockChange):
        return str(error)
    text = str(error).partition(":")[0]
    return re.sub(r"-?\d[\d.:eE+ -]*|(?<!\w)'[^']*'|\"[^\"]*\"", "…", text)


def parse(texts: pa.Array, column: Column, timezone: str) -> pa.Array:
    """Return texts (null where there is no value) as the declared type.

    Raises
    ------
    BadTextError
        Naming the first text that is not what was declared.
    """
    step = _parser(texts, column, timezone)
    try:
        return step(texts)
    except (pa.ArrowInvalid, ValueError) as error:
        place = _first_failing(texts, step)
        error = _fault_of(texts[place : place + 1], step) or error
        # JSON brings numbers where an epoch is declared.
        raise BadTextError(place, str(texts[place].as_py()), error) from error


def parsed_or_none(texts: pa.Array, column: Column, timezone: str) -> pa.Array | None:
    """Return what `parse` does, or None where it finds a fault, which costs less than to say where."""
    try:
        return _parser(texts, column, timezone)(texts)
    except (pa.ArrowInvalid, ValueError):
        return None


class BadTextError(ValueError):
    """A text that is not of its column's declared type; ``place`` counts from the batch's first row."""

    def __init__(self, place: int, text: str, error: Exception) -> None:
        self.place = place
        self.mark = text if text in MISSING_MARKS else None
        self.shape = text if self.mark else masked_text(text)
        self.ambiguous = isinstance(error, ClockChange)
        super().__init__(f"a text such as {self.shape!r} ({refusal(error)})")


def masked_text(text: str) -> str:
    """Return what a text looks like without what it says: letters as `a`, digits as `9`."""
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text[:40])) + ("…" if len(text) > 40 else "")


def _parser(texts: pa.Array, column: Column, timezone: str) -> _Convert:
    if column.marked:
        plain = _parser(texts, column.model_copy(update=NO_MARKS), timezone)
        return lambda array: plain(strip_marks(array, column))
    if column.type == "string":
        return lambda array: array
    if column.type == "float":
        return _float
    if column.type == "boolean":
        return lambda array: array.cast(pa.bool_())
    if column.type == "integer":
        return _integer
    if column.format in UNITS:
        unit = column.format
        return lambda array: _whole_days(from_epoch(array, unit), date=column.type == "date")
    if column.format == "excel":
        date = column.type == "date"
        return lambda array: from_excel(array).cast(pa.date32()) if date else local_to_utc(from_excel(array), timezone)
    if column.format is not None:
        pattern = column.format
        return lambda array: _by_format(array, pattern, timezone, date=column.type == "date")
    if column.type == "date":
        return lambda array: array.cast(pa.date32())
    first = pc.drop_null(texts)[:1].to_pylist()
    if first and says_utc(first[0]):
        return lambda array: utc_as_z(array).cast(pa.timestamp("us", "UTC"))
    if first and has_zone(first[0]):
        return lambda array: array.cast(pa.timestamp("us", "UTC"))
    return lambda array: local_to_utc(array.cast(pa.timestamp("us")), timezone)


def has_zone(text: str) -> bool:
    """Tell whether an ISO 8601 time says its offset from UTC."""
    return bool(_ZONE.search(text))


def _integer(array: pa.Array) -> pa.Array:
    # `0x1F` is an integer to Arrow; to a person it is an id.
    if pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py():
        raise ValueError("hexadecimal text is not an integer")
    return array.cast(pa.int64())


def _float(array: pa.Array) -> pa.Array:
    values = array.cast(pa.float64())
    if pc.any(pc.is_nan(values)).as_py():
        raise ValueError("not a number: add the text to `missing` if it means no value")
    if pc.any(pc.is_inf(values)).as_py():
        raise ValueError("infinite, or larger than a float can be")
    return values


def _whole_days(instants: pa.Array, *, date: bool) -> pa.Array:
    return instants.cast(pa.timestamp("s"), safe=False).cast(pa.date32(), safe=False) if date else instants


def _by_format(array: pa.Array, pattern: str, timezone: str, *, date: bool) -> pa.Array:
    array, pattern, utc = zones_counted(array, pattern)
    # pandas reads %f and %z, which Arrow's strptime ignores or refuses, and takes no text that goes on after the format.
    zoned = utc or "%z" in pattern
    times = pd.to_datetime(array.to_pandas(), format=pattern, exact=True, errors="raise", utc=zoned)
    # Words of its own that pandas takes in any format: of the clock, and for no value.
    if (
        pc.any(pc.is_in(pc.utf8_lower(array), pa.array(["now", "today"]))).as_py()
        or times.isna().sum() > array.null_count
    ):
        raise ValueError("not a time in the declared format")
    instants = pa.Array.from_pandas(times).cast(pa.timestamp("us", "UTC" if zoned else None))
    if date:
        return instants.cast(pa.date32())
    return instants if zoned else local_to_utc(instants, timezone)


def _fault_of(one: pa.Array, step: _Convert) -> Exception | None:
    """Return why one text is refused: the others may be refused for other reasons."""
    try:
        step(one)
    except (pa.ArrowInvalid, ValueError) as error:
        return error
    return None


def _first_failing(array: pa.Array, step: _Convert) -> int:
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            step(array[low:middle])
            low = middle
        except (pa.ArrowInvalid, ValueError):
            high = middle
    return low
