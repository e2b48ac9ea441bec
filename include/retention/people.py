"""People to erase, given by values of columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from include.errors import ConfigError


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

    def rows(self, table: pa.Table) -> pa.ChunkedArray | None:
        """Return for each row of a table whether it is theirs; None if the table lacks a column."""
        if not set(self.columns) <= set(table.column_names):
            return None
        texts = [table[name].cast(pa.string()).to_pylist() for name in self.columns]
        return pa.chunked_array([pa.array([row in self.values for row in zip(*texts, strict=True)], pa.bool_())])
