"""A ``columns:`` block to paste, for a text file whose columns are not declared."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable

from include.config.data import FilesSource
from include.data.byte_checks import CheckedText
from include.data.columns import MISSING_MARKS
from include.data.files import File

_ROWS = 1000
_KINDS = (
    ("integer", r"-?(0|[1-9]\d{0,17})"),
    ("float", r"-?(0|[1-9]\d*)?\.?\d+([eE][-+]?\d+)?|-?(0|[1-9]\d*)\."),
    ("boolean", r"[Tt]rue|[Ff]alse|TRUE|FALSE"),
    ("date", r"\d{4}-\d\d-\d\d"),
    ("timestamp", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[-+]\d\d(:?\d\d)?)?"),
)
_LEADING_ZERO = re.compile(r"-?0\d")
_SLASHES = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{4}")


def columns_block(file: File, source: FilesSource) -> str:
    """Return YAML for the columns of ``file``, from what its first rows look like; a person must look through it."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none") as text:
        text.first_line()
        body = text.read()
    lines = body.decode("utf-8-sig", "replace").splitlines()[: _ROWS + 1]
    if source.format == "csv":
        rows = list(csv.reader(lines, delimiter=source.delimiter))
        header = rows[0] if rows else []
        columns = (
            dict(zip(header, itertools.zip_longest(*rows[1:], fillvalue=""), strict=False))
            if rows[1:]
            else dict.fromkeys(header, ())
        )
    else:
        columns = _json_columns(lines)
    return "\n".join(["  columns:", *(f"    {_key(name)}: {_spec(values)}" for name, values in columns.items())])


def _json_columns(lines: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        for key, value in row.items() if isinstance(row, dict) else ():
            # A text in JSON stays one, whatever it looks like, unless it is a time: "007" is an id.
            texts = found.setdefault(key, [])
            if isinstance(value, str):
                texts.append(value if re.fullmatch(_KINDS[3][1] + "|" + _KINDS[4][1], value) else "text")
            elif value is not None:
                texts.append(json.dumps(value))
    return {key: tuple(values) for key, values in found.items()}


def _key(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in ("null", "true", "false")
    return name if plain else json.dumps(name)


def _spec(values: Iterable[str]) -> str:
    marks = {value for value in values if value in MISSING_MARKS}
    texts = {value for value in values if value and value not in MISSING_MARKS}
    kind = _kind(texts)
    missing = (
        f", missing: [{', '.join(json.dumps(mark) for mark in ('', *sorted(marks)))}]"
        if marks and kind != "string"
        else ""
    )
    if texts and all(_SLASHES.fullmatch(text) for text in texts):
        return f'{{type: date, format: "%d/%m/%Y"{missing}}}  # or "%m/%d/%Y": which comes first, day or month?'
    return f"{{type: {kind}{missing}}}"


def _kind(texts: set[str]) -> str:
    if not texts or any(_LEADING_ZERO.match(text) and "." not in text for text in texts):
        return "string"
    for kind, pattern in _KINDS:
        wider = (
            f"{_KINDS[0][1]}|{pattern}"
            if kind == "float"
            else f"{_KINDS[3][1]}|{pattern}"
            if kind == "timestamp"
            else pattern
        )
        if all(re.fullmatch(wider, text) for text in texts):
            return kind
    return "string"
