"""People to erase, given by values of columns."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from include.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class People:
    """People to erase: values of some columns, each as text.

    A text stands for the value that it is in a column's type: `007` and `7.0` are the integer 7, and an instant is the same in any zone.
    """

    columns: tuple[str, ...]
    values: frozenset[tuple[str, ...]]

    @classmethod
    def read(cls, file: Path) -> People:
        """Read a CSV file whose header names columns; each line selects all rows with these values."""
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = [tuple(row) for row in csv.reader(lines) if row]
        if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
            raise ConfigError(
                "The file of ids can't be used.",
                expected="CSV: a header that names one or more columns, then a line for each person",
                found=f"{len(rows)} lines",
                where=file,
            )
        return cls(rows[0], frozenset(rows[1:]))

    def require_known(self, schemas: Collection[pa.Schema]) -> None:
        """Raise `ConfigError` if no stored row can be found by the columns or the values: that would read as if nobody's were there.

        Parameters
        ----------
        schemas : collection of Schema
            Those of the stored rows; none, if nothing is stored.
        """
        having = [one for one in schemas if set(self.columns) <= set(one.names)]
        if not schemas or any(_in_types(self, self._types(one)) for one in having):
            return
        if having:
            kinds = zip(self.columns, self._types(having[0]), strict=True)
            raise ConfigError(
                "No line of the file of ids is a value of its columns.",
                expected=", ".join(f"{name}: {kind}" for name, kind in kinds),
                found=f"{len(self.values):,} lines, none of them readable as that",
                where="the lines of the file",
                remedy="write instants with their offset, as in 2024-05-01T08:00:00Z",
            )
        known = sorted({name for one in schemas for name in one.names})
        unknown = [name for name in self.columns if name not in known]
        raise ConfigError(
            "No stored rows have the columns that the file of ids names.",
            expected=f"columns that stand in one file of rows together, of {', '.join(known)}",
            found=", ".join(self.columns),
            where="the header of the file",
            remedy=did_you_mean(unknown[0], known) if unknown else None,
        )

    def rows(self, table: pa.Table) -> pa.ChunkedArray | None:
        """Return for each row of a table whether it is theirs; None if the table lacks a column."""
        if not set(self.columns) <= set(table.column_names):
            return None
        texts = [table[name].cast(pa.string()).to_pylist() for name in self.columns]
        theirs = _in_types(self, self._types(table.schema))
        return pa.chunked_array([pa.array([row in theirs for row in zip(*texts, strict=True)], pa.bool_())])

    def _types(self, schema: pa.Schema) -> tuple[pa.DataType, ...]:
        return tuple(schema.field(name).type for name in self.columns)


@lru_cache(maxsize=64)
def _in_types(people: People, types: tuple[pa.DataType, ...]) -> frozenset[tuple[str, ...]]:
    """Return the values as columns of these types write them; those that such a column can't hold are left out."""
    columns = zip(*people.values, strict=True) if people.values else [()] * len(types)
    written = [_in_type(texts, kind) for texts, kind in zip(columns, types, strict=True)]
    return frozenset(row for row in zip(*written, strict=True) if None not in row)


def _in_type(texts: Sequence[str], kind: pa.DataType) -> list[str | None]:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return list(texts)
    try:
        found: list[str | None] = pa.array(texts, pa.string()).cast(kind).cast(pa.string()).to_pylist()
    except pa.ArrowNotImplementedError:  # nothing is compared with a column of nulls
        return list(texts)
    except pa.ArrowInvalid:  # some of them are none of the type as Arrow reads it
        return [_one_in_type(text.strip(), kind) for text in texts]
    return found


def _one_in_type(text: str, kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind):
        with suppress(InvalidOperation):
            number = Decimal(text)  # spreadsheets and pandas write 7.0 where one id is missing
            if number.is_finite() and number.adjusted() < 20 and number == number.to_integral_value():
                text = str(int(number))
    try:
        return str(pa.scalar(text, pa.string()).cast(kind).cast(pa.string()))
    except pa.ArrowInvalid:
        return None
