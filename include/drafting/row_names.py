"""Find the columns that together identify a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_NAMED_BY = 1_000_000
"""Rows among which a name is looked for; a run looks at all of each partition."""


class Names:
    """Looks for columns that together name one row."""

    def __init__(self) -> None:
        self._hashes: dict[str, list[np.ndarray[Any, Any]]] = {}
        self._rows = 0
        self._whole: list[np.ndarray[Any, Any]] = []

    def add(self, table: pa.Table) -> None:
        """Take note of rows; a column with a gap names nothing."""
        if self._rows >= _NAMED_BY:
            return
        first = not self._rows
        self._rows += table.num_rows
        columns = {
            name: pd.util.hash_pandas_object(table[name].to_pandas(), index=False).to_numpy()
            for name in table.column_names
        }
        self._whole.append(pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy())
        for name, values in columns.items():
            if table[name].null_count:
                self._hashes.pop(name, None)
            elif first or name in self._hashes:
                self._hashes.setdefault(name, []).append(values)

    def repeated(self) -> float:
        """Return the share of rows that are equal in all columns to one before them."""
        rows = np.concatenate(self._whole) if self._whole else np.array([])
        return 1 - len(np.unique(rows)) / len(rows) if len(rows) else 0.0

    def found(self, columns: Sequence[str], *, beginning: Sequence[str] = ()) -> tuple[str, ...] | None:
        """Return the fewest of ``columns``, taken one after the other, that tell all rows apart together with ``beginning``.

        None if all of them do not.
        """
        known = {name: np.concatenate(self._hashes[name]) for name in (*beginning, *columns) if name in self._hashes}
        chosen = [name for name in beginning if name in known]
        left = [name for name in columns if name in known and name not in chosen]
        while (apart := _apart(known, chosen)) < self._rows:
            counts = {name: _apart(known, [*chosen, name]) for name in left}
            best = max(left, key=lambda name: counts[name], default=None)
            if best is None or counts[best] == apart:
                return None
            chosen.append(best)
            left.remove(best)
        return tuple(chosen)

    def unique(self, column: str) -> bool:
        """Tell whether the values of all rows are distinct."""
        return column in self._hashes and len(np.unique(np.concatenate(self._hashes[column]))) == self._rows


def _apart(known: dict[str, np.ndarray[Any, Any]], names: Sequence[str]) -> int:
    if not names:
        return 1
    rows = pd.util.hash_pandas_object(pd.DataFrame({name: known[name] for name in names}), index=False)
    return int(rows.nunique())
