"""Infer the types of a text file's columns from their values, as a draft for a person to check.

A type is suggested if the parser of a run reads every value as that type, so a run can read every suggested type.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column, FilesSource
from include.config.yaml_text import quoted
from include.data.columns.number_format import NO_MARKS, strip_marks
from include.data.columns.text_parsing import MISSING_MARKS, parsed_or_none
from include.data.sources.file_listing import File
from include.data.sources.formats.checked_text import CheckedText

_ROWS, _FIRST_FEW, _LONGEST_LINE = 1000, 50, 2**20
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = tuple(
    f"{order.replace('/', mark)}{clock}"
    for mark in "/.-"
    for clock in _CLOCKS
    for order in ("%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y")
)
# What a text of each format looks like: that one text is of another is seen at less cost than by its parser.
_DIGITS = {"Y": r"\d{4}", "f": r"\d{1,9}", "p": "[AaPp][Mm]"}
_LOOK = {
    one: re.sub("%(.)", lambda part: _DIGITS.get(part[1], r"\d{1,2}"), one.replace(".", "[.]")) for one in _FORMATS
}
_MARKED = (
    *(Column(type="integer", decimal=point, thousands=group) for point, group in ((".", ","), (",", "."), (".", " "), (".", "'"))),
    *(
        Column(type="float", decimal=point, thousands=group)
        for point, group in ((",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))
    ),
)  # fmt: skip
_NUMBERS = (Column(type="integer"), Column(type="float"), *_MARKED)
_CANDIDATES = (
    *_NUMBERS,
    *(Column(type=kind) for kind in ("boolean", "date", "timestamp")),
    *(Column(type="date" if text[-2:] in ("%d", "%Y", "%y") else "timestamp", format=text) for text in _FORMATS),
)
_SIGNS = re.compile(r"%|‰|[$€£¥₹₽₩]|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK")
# Numbers that an event time may be, with the bounds between which each is one: 1973 to 2100.
_EPOCHS = {"epoch_s": (1e8, 4.2e9), "epoch_ms": (1e11, 4.2e12), "epoch_us": (1e14, 4.2e15), "epoch_ns": (1e17, 4.2e18)}
_INSTANTS = (
    Column(type="timestamp", format="%Y%m%d"),
    *(Column(type="timestamp", format=unit) for unit in _EPOCHS),
    Column(type="timestamp", format="excel"),
    Column(type="timestamp", format="excel", decimal=","),
)
_DAYS = (26_000.0, 73_051.0)
# The parser takes more than what such a value looks like, such as `0x1F`.
_LOOKS = {
    "integer": r"^-?(0|[1-9]\d{0,18})$",
    "float": r"^-?((0|[1-9]\d*)?\.?\d+|(0|[1-9]\d*)\.)([eE][-+]?\d+)?$",
    "boolean": r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$",
}
_ID = r"^-?(0\d|\d{17})"
"""Digits that are not a number: with leading zeros, or with more digits than a float keeps."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[-+]\d\d(:?\d\d)?)?)?")


@dataclass(frozen=True)
class InferredColumn:
    """What a column looks like."""

    column: Column
    """The first declaration that all values allow."""
    others: tuple[Column, ...] = ()
    """Further ones that mean other values: whether the day or the month comes first, or what the comma of `1,234` is."""

    def to_yaml(self) -> str:
        """Return the declaration, with the question that a person must answer as a comment."""
        facts = [f"type: {self.column.type}"]
        if self.column.format is not None:
            facts.append(f"format: {json.dumps(self.column.format)}")
        if self.column.missing != ("",):
            facts.append(f"missing: [{', '.join(map(json.dumps, self.column.missing))}]")
        if self.column.marked:
            said = {mark: getattr(self.column, mark) for mark in NO_MARKS}
            facts += [
                f"{mark}: {json.dumps(text, ensure_ascii=False)}"
                for mark, text in said.items()
                if text != NO_MARKS[mark]
            ]
        asked = "".join(
            f"  # or {json.dumps(other.format)}: which comes first, day or month?"
            if other.format is not None
            else "  # or is its mark that of decimals?"
            for other in self.others
        )
        return f"{{{', '.join(sorted(facts, key=lambda fact: fact.startswith('missing')))}}}{asked}"


class TypeInference:
    """Collects the values of columns, as texts, and tells what the columns look like.

    Parameters
    ----------
    columns : iterable of str
        All columns, in the order of the file.
    event_time : str, optional
        A column whose numbers are instants.
    """

    def __init__(self, columns: Iterable[str], event_time: str | None = None) -> None:
        self._possible: dict[str, list[Column]] = {name: list(_CANDIDATES) for name in columns}
        if event_time in self._possible:
            self._possible[event_time][:0] = _INSTANTS
        self._marks: dict[str, set[str]] = {name: set() for name in self._possible}
        self._valued: set[str] = set()

    def add(self, name: str, texts: pa.Array | pa.ChunkedArray) -> None:
        """Take note of some values of a column; empty texts and nulls are none."""
        if not self._possible[name]:
            return
        levels = pc.drop_null(pc.unique(texts))
        levels = levels.filter(pc.not_equal(levels, ""))
        marks = pc.is_in(levels, pa.array(MISSING_MARKS))
        self._marks[name].update(levels.filter(marks).to_pylist())
        levels = levels.filter(pc.invert(marks))
        if len(levels):
            if name not in self._valued and (unit := _SIGNS.search(levels[0].as_py())):
                self._possible[name] += [one.model_copy(update={"unit": unit.group()}) for one in _NUMBERS]
            self._valued.add(name)
            for some in (levels[:_FIRST_FEW], levels):  # most of what does not fit is seen at once
                self._possible[name] = [column for column in self._possible[name] if _fits(some, column)]

    def found(self, decimal: str | None = None) -> dict[str, InferredColumn]:
        """Return what each column looks like; a text if nothing else, or if it has no value.

        Parameters
        ----------
        decimal : str, optional
            The decimal mark where a column allows both; if left out, the one that other columns of the file show.
        """
        shown = {marks.pop() for marks in map(self._decimals, self._valued) if len(marks) == 1}
        if decimal is None and len(shown) == 1:
            (decimal,) = shown
        return {name: self._guess(name, decimal) for name in self._possible}

    def _decimals(self, name: str) -> set[str]:
        return {one.decimal for one in self._possible[name] if one.type in ("integer", "float")}

    def _guess(self, name: str, decimal: str | None) -> InferredColumn:
        possible = self._possible[name] if name in self._valued else []
        if not possible:
            return InferredColumn(Column(type="string"))
        first, marks = possible[0], sorted(self._marks[name])
        others: tuple[Column, ...] = ()
        if first.type == "integer" and not first.marked:
            pass  # digits alone, which all marks allow
        elif first.type in ("integer", "float") and len(self._decimals(name)) == 2:
            if decimal is not None:
                first = next(one for one in possible if one.decimal == decimal)
            elif first.marked:
                others = tuple(one for one in possible if one.decimal != first.decimal)[:1]
        elif (first.format or "").startswith("%"):
            others = tuple(one for one in possible[1:] if (one.format or "").startswith("%"))
        missing = {"missing": ("", *marks)} if marks else {}
        return InferredColumn(first.model_copy(update=missing), others)


def _fits(levels: pa.Array, column: Column) -> bool:
    if column.marked:
        try:
            return _fits(strip_marks(levels, column), column.model_copy(update=NO_MARKS))
        except ValueError:
            return False
    looks = _LOOKS.get(column.type)
    if looks is not None and not pc.all(pc.match_substring_regex(levels, looks)).as_py():
        return False
    if column.type == "float" and pc.any(pc.match_substring_regex(levels, _ID)).as_py():
        return False
    if (bounds := _DAYS if column.format == "excel" else _EPOCHS.get(column.format or "")) is not None:
        return _between(levels, *bounds)
    if column.format == "%Y%m%d" and not pc.all(pc.match_substring_regex(levels, r"^\d{8}$")).as_py():
        return False
    if (look := _LOOK.get(column.format or "")) is not None and not re.fullmatch(look, levels[0].as_py()):
        return False
    values = parsed_or_none(levels, column, "UTC")
    return values is not None and (column.type != "float" or bool(pc.all(pc.is_finite(values)).as_py()))


def _between(levels: pa.Array, low: float, high: float) -> bool:
    if not pc.all(pc.match_substring_regex(levels, r"^\d+([.]\d*)?$")).as_py():
        return False
    extremes = pc.min_max(levels.cast(pa.float64())).as_py()
    return bool(low <= extremes["min"] and extremes["max"] < high)


def columns_block(file: File, source: FilesSource) -> str:
    """Return YAML for the columns of ``file``, from what its first rows look like; a person must look through it."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as text:
        lines = _lines(text)
        columns = _csv_columns(lines, source.delimiter) if source.format == "csv" else _json_columns(lines)
    guesses = TypeInference(columns)
    for name, values in columns.items():
        guesses.add(name, pa.array(values, pa.string()))
    return yaml_block(guesses.found())


def yaml_block(guesses: Mapping[str, InferredColumn]) -> str:
    """Return guesses as the YAML under ``data.source``."""
    return "\n".join(["  columns:", *(f"    {quoted(name)}: {guess.to_yaml()}" for name, guess in guesses.items())])


def _lines(text: CheckedText) -> Iterator[str]:
    """Yield the lines of a text, each to its end: half a line would make a date of a timestamp, and an id of a number."""
    reader = io.TextIOWrapper(io.BufferedReader(text), encoding="utf-8-sig", errors="replace", newline="")
    return iter(lambda: reader.readline(_LONGEST_LINE), "")


def _csv_columns(lines: Iterator[str], delimiter: str) -> dict[str, tuple[str, ...]]:
    rows: list[list[str]] = []
    # What can't be read is answered when it is read; the rows before it are suggestion enough.
    with contextlib.suppress(csv.Error):
        rows.extend(itertools.islice(csv.reader(lines, delimiter=delimiter), _ROWS + 1))
    if not rows:
        return {}
    header, *body = rows
    return {name: tuple(row[at] for row in body if at < len(row)) for at, name in enumerate(header)}


def _json_columns(lines: Iterator[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in itertools.islice(lines, _ROWS):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        for key, value in row.items() if isinstance(row, dict) else ():
            # A text in JSON stays one unless it is a time: "007" is an id.
            texts = found.setdefault(key, [])
            if isinstance(value, str):
                texts.append(value if _TIME.fullmatch(value) else "text")
            elif value is not None:
                texts.append(json.dumps(value))
    return {key: tuple(values) for key, values in found.items()}
