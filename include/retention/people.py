"""People to erase, given by values of columns."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from include.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class People:
    """People to erase: values of some columns, each as text."""

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

    def require_known(self, tables: Collection[tuple[str, ...]]) -> None:
        """Raise `ConfigError` if there are tables and none has the columns: by a misspelt name nobody would be found.

        Parameters
        ----------
        tables : collection of tuple of str
            The names of the columns of each.
        """
        if not tables or any(set(self.columns) <= set(names) for names in tables):
            return
        known = sorted({name for names in tables for name in names})
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
        return pa.chunked_array([pa.array([row in self.values for row in zip(*texts, strict=True)], pa.bool_())])
