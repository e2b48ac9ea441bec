"""Columns in the six types that model.yaml knows; whatever a driver delivers becomes one of them, exactly or not at all."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column, ColumnType
from include.data.columns.clock_changes import CHANGE, ClockChange, local_to_utc
from include.data.columns.epochs import UNITS, from_epoch, from_excel, says_utc, utc_as_z, zones_counted
from include.data.columns.number_format import NO_MARKS, strip_marks
from include.errors import SchemaChanged, SourceError

log = logging.getLogger(__name__)

ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
MISSING_MARKS = ("NA", "N/A", "#N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "NONE", "-", "?", "\\N", ".")
"""Texts that often mean "no value"; shown in errors, never assumed."""
_ZONE = re.compile(r"\d[T ]\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$")

_Convert = Callable[[pa.Array], pa.Array]


def declared_type(kind: pa.DataType) -> ColumnType | None:
    """Return model.yaml's word for an Arrow type; None for one without a word, such as a list."""
    t = pa.types
    if t.is_dictionary(kind):
        return declared_type(kind.value_type)
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "string"
    if t.is_integer(kind) or (t.is_decimal(kind) and kind.scale == 0):
        return "integer"
    if t.is_floating(kind) or t.is_decimal(kind):
        return "float"
    if t.is_boolean(kind):
        return "boolean"
    if t.is_timestamp(kind):
        return "timestamp"
    return "date" if t.is_date(kind) else None


class SchemaConverter:
    """Brings every batch of a source to one schema, that on record if there is one.

    Parameters
    ----------
    declared : mapping
        Types that model.yaml declares.
    recorded : mapping
        The schema on record; empty at the first ingestion, when the first batch decides what is not declared.
    timezone : str
        What times without a zone mean.
    """

    def __init__(self, declared: Mapping[str, ColumnType], recorded: Mapping[str, ColumnType], timezone: str) -> None:
        self.declared = declared
        self.recorded = recorded
        self.schema: dict[str, ColumnType] = dict(recorded)
        self.timezone = timezone
        self._told: set[str] = set()

    def __call__(self, table: pa.Table, where: str) -> pa.Table:
        """Return ``table`` with the schema's columns and types; columns that came later are left alone.

        Raises
        ------
        SchemaChanged
            When a column is gone, or has another type than on record.
        SourceError
            When a value can't be kept exactly, or a type is not known.
        """
        names = table.column_names
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise SourceError(
                "A column stands twice.", found=", ".join(twice), where=where, remedy="name each column once"
            )
        if not self.schema:
            self.schema = {name: self._decide(table, name, where) for name in sorted(names)}
        if set(self.schema) - set(names):
            raise self._columns_differ(set(names), where)
        if added := sorted(set(names) - set(self.schema) - self._told):
            self._told |= set(added)
            log.warning(
                "%s: columns that the first rows did not have are left alone: %s. To read them, change `data.source` (for a Python "
                "reader, its code): a changed source is read anew.",
                *(where, ", ".join(added)),
            )
        columns = [self._bring(table[name], name, where) for name in self.schema]
        return pa.Table.from_arrays(
            columns, schema=pa.schema([(name, ARROW[word]) for name, word in self.schema.items()])
        )

    def _decide(self, table: pa.Table, name: str, where: str) -> ColumnType:
        if name in self.declared:
            return self.declared[name]
        kind = table.schema.field(name).type
        word = declared_type(kind)
        if word is None:
            unknown = pa.types.is_null(kind)
            told = (
                f"declare it under `data.source`: `types: {{{name}: string}}` of a query or reader; `columns: {{...}}` of files"
                if unknown
                else "leave it out or cast it, in a query such as `CAST(x AS text)`, or `EXTRACT(EPOCH FROM x)` of a duration, or in "
                "the code of a reader; of files declare `columns: {...}`"
            )
            raise SourceError(
                f"The type of column `{name}` can't be told."
                if unknown
                else f"Column `{name}` has a type without a word.",
                expected=", ".join(ARROW),
                found="no value in the first rows" if unknown else kind,
                where=where,
                remedy=f"{told}, which then keeps the columns that it names and leaves all others alone",
            )
        return word

    def _widened(self, name: str, delivered: str) -> str | None:
        """Return the way out where the first rows were whole numbers and later ones are not."""
        if (self.schema[name], delivered) != ("integer", "float") or name in self.declared:
            return None
        return f"declare it under `data.source`: `types: {{{name}: float}}` of a query or reader, `columns: {{...}}` of files"

    def _columns_differ(self, names: set[str], where: str) -> SourceError | SchemaChanged:
        gone, new = sorted(set(self.schema) - names), sorted(names - set(self.schema))
        found = "; ".join(f"{what}: {', '.join(which)}" for what, which in (("gone", gone), ("new", new)) if which)
        if self.recorded:
            return _changed(
                "The source's columns are not those on record.", expected=sorted(self.schema), found=found, where=where
            )
        return SourceError(
            "Columns differ between parts of the source.", expected=sorted(self.schema), found=found, where=where
        )

    def _bring(self, column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
        word = self.schema[name]
        if column.type == ARROW[word] and word not in ("float", "timestamp"):
            return column
        try:
            return convert(column, word, self.timezone, declared=name in self.declared)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            delivered = declared_type(column.type) or str(column.type)
            if self.recorded and delivered != word:
                raise _changed(
                    f"The type of column `{name}` is not the one on record.",
                    expected=f"{word} (before)",
                    found=f"{delivered} (now)",
                    where=where,
                ) from error
            raise SourceError(
                f"Column `{name}` can't be kept as `{word}`.",
                expected=f"values that are exactly a {word}",
                found=refusal(error),
                where=where,
                remedy=CHANGE if isinstance(error, ClockChange) else self._widened(name, delivered),
            ) from error


def _changed(message: str, **facts: Any) -> SchemaChanged:
    remedy = (
        "if this is meant, change `data.source` in model.yaml (for a Python reader, its code): a changed source is read anew "
        "and gets a schema of its own; if not, correct the source. Of Parquet, `columns` keeps what it names and leaves "
        "all else alone"
    )
    return SchemaChanged(message, remedy=remedy, **facts)


def refusal(error: Exception) -> str:
    """Return what a library says about a value it refuses, without the value: rows do not go to logs."""
    if isinstance(error, ClockChange):
        return str(error)
    text = str(error).partition(":")[0]
    return re.sub(r"-?\d[\d.:eE+ -]*|(?<!\w)'[^']*'|\"[^\"]*\"", "…", text)


def convert(column: pa.ChunkedArray, word: ColumnType, timezone: str, *, declared: bool) -> pa.ChunkedArray:
    """Return ``column`` as the type that ``word`` means; raises ``pa.ArrowInvalid`` when a value would change.

    Parameters
    ----------
    column : pa.ChunkedArray of shape (n_rows,)
    word : ColumnType
        One of the types that model.yaml knows.
    timezone : str
        IANA name of the time zone of timestamps that carry none.
    declared : bool
        Whether the type was declared: then texts are parsed as dates and timestamps, and 0 and 1 count as booleans.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, target = column.type, ARROW[word]
    delivered = declared_type(kind)
    if pa.types.is_null(kind):
        return column.cast(target)
    if word == "timestamp":
        if delivered == "string" and declared:
            return pa.chunked_array(
                [parse(chunk, Column(type="timestamp"), timezone) for chunk in column.chunks], target
            )
        if delivered == "date":
            column, kind = column.cast(pa.timestamp("us")), pa.timestamp("us")
        if not pa.types.is_timestamp(kind):
            raise pa.ArrowInvalid(f"{delivered or kind} is not a timestamp")
        return (
            column.cast(pa.timestamp("us", kind.tz)).cast(target)
            if kind.tz
            else local_to_utc(column.cast(pa.timestamp("us")), timezone)
        )
    if word == "string" and pa.types.is_time(kind) and declared:
        return column.cast(target)
    if word == "date" and delivered == "string" and declared:
        return pa.chunked_array([parse(chunk, Column(type="date"), timezone) for chunk in column.chunks], target)
    if word == "float" and pa.types.is_floating(kind):
        # One way to have no value: pandas knows only NaN, databases only NULL.
        column = column.cast(target)
        if pc.any(pc.is_inf(column)).as_py():
            raise pa.ArrowInvalid("an infinite value; a missing one is none or NaN where the rows are made")
        return (
            pc.if_else(pc.is_nan(column), pa.scalar(None, target), column)
            if pc.any(pc.is_nan(column)).as_py()
            else column
        )
    if word == "integer" and pa.types.is_floating(kind):
        # pandas turns integers with gaps into floats; beyond 2^53 they are no longer the integers that they were.
        if pc.any(pc.greater(pc.abs(column), 2.0**53)).as_py():
            raise pa.ArrowInvalid("integers with gaps came as floats beyond 2^53 and are no longer exact")
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column).cast(target)
    if word == "boolean" and delivered == "integer" and declared:
        if pc.any(pc.invert(pc.is_in(column, pa.array([0, 1, None], kind)))).as_py():
            raise pa.ArrowInvalid("an integer other than 0 and 1 is no boolean")
        return column.cast(target)
    if delivered == word or (word == "float" and delivered == "integer"):
        return (
            column.cast(pa.int64()).cast(target)
            if word == "integer"
            else column.cast(target, safe=not pa.types.is_decimal(kind))
        )
    raise pa.ArrowInvalid(f"{delivered or kind} is not a {word}")


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
