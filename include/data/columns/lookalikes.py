"""Levels of a text column that look the same: trailing blanks, zero-width marks, composed and decomposed letters."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

_MOST = 10_000


class LookAlikes:
    """Collects the levels of text columns and counts those that look alike.

    They are reported and never merged: which of them is right is for the team to say, and a model trained on silently
    changed texts would meet the others when it scores. Columns with more than 10,000 levels are ids or prose and left alone.
    """

    def __init__(self) -> None:
        self._levels: dict[str, set[str]] = {}
        self._left: set[str] = set()

    def add(self, table: pa.Table) -> None:
        """Take note of a table's levels."""
        for field in table.schema:
            if not pa.types.is_string(field.type) or field.name in self._left:
                continue
            levels = self._levels.setdefault(field.name, set())
            levels.update(pc.drop_null(pc.unique(table[field.name])).to_pylist())
            if len(levels) > _MOST:
                self._left.add(field.name)
                del self._levels[field.name]

    def found(self) -> dict[str, int]:
        """Return, for each column that has some, how many levels look like another one."""
        counts = {
            name: len(levels) - len({appearance(level) for level in levels}) for name, levels in self._levels.items()
        }
        return {name: count for name, count in sorted(counts.items()) if count}


def appearance(text: str) -> str:
    """Return one text for all that look like it: NFKC, without invisible marks, blanks joined and stripped."""
    if text.isascii():
        return " ".join(text.split())
    plain = unicodedata.normalize("NFKC", text)
    return " ".join("".join(mark for mark in plain if unicodedata.category(mark) not in ("Cf", "Cc")).split())
