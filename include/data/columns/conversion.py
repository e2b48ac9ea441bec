"""Conversion of columns to the six declared types; a value that can't be kept exactly is an error."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column, ColumnType
from include.data.columns.clock_changes import CHANGE, ClockChange, local_to_utc
from include.data.columns.text_parsing import parse, refusal
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
            twice = sorted(name for name, times in Counter(names).items() if times > 1)
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
        columns = [self._convert(table[name], name, where) for name in self.schema]
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

    def _convert(self, column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
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
