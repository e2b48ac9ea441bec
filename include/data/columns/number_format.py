"""Numbers in texts with marks: `1.234,56`, `1,234.56`, `12 %`, `$5.00`."""

from __future__ import annotations

import functools
import re

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.sources import Column

NO_MARKS = {"decimal": ".", "thousands": "", "unit": ""}
_BLANKS = "[ \u00a0\u202f]"
_SAME = {" ": _BLANKS, "'": "['\u2019]", ".": "[.]"}


def strip_marks(texts: pa.Array, column: Column) -> pa.Array:
    """Return texts of numbers with a point before their decimals and nothing else but digits and a sign.

    Raises
    ------
    ValueError
        When a text has other marks than declared, or groups that are none: `1,23` is no number with thousands.
    """
    if pc.any(pc.invert(pc.match_substring_regex(texts, marks_pattern(column)))).as_py():
        raise ValueError("not a number with the declared marks")
    if column.unit:
        texts = pc.replace_substring(texts, column.unit, "")
    drop = f"{_BLANKS}|\\+" + (f"|{_SAME.get(column.thousands, column.thousands)}" if column.thousands else "")
    texts = pc.replace_substring_regex(texts, drop, "")
    return pc.replace_substring(texts, ",", ".") if column.decimal == "," else texts


@functools.lru_cache
def marks_pattern(column: Column) -> str:
    """Return the pattern that a column's numbers have."""
    mark = re.escape(column.decimal)
    whole = r"\d+"
    if column.thousands:
        group = _SAME.get(column.thousands, column.thousands)
        # Groups of three, or as in India of two and a last one of three.
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{group}\d{{3}})+|[1-9]\d?(?:{group}\d{{2}})*{group}\d{{3}})"
    number = rf"(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+)?"
    if not column.unit:
        return rf"^[-+]?{number}$"
    unit = re.escape(column.unit)
    return rf"^(?:[-+]?{number}{_BLANKS}*{unit}|[-+]?{unit}{_BLANKS}*[-+]?{number})$"
