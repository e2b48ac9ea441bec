"""What a version asks of a request's rows: columns, types, which must be there; and rows of JSON, text or Arrow held to it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, partial
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.sources import Column as TextColumn
from include.config.sections.rows.sources import ColumnType
from include.config.time_zones import Ambiguous, Clock
from include.data.columns.conversion import ARROW, convert, declared_type
from include.data.columns.equal_values import equal_values
from include.data.columns.pandas_frames import to_frame
from include.data.columns.rectified_texts import Rectifier, rectifiers, rectify_texts
from include.data.columns.text_parsing import BadTextError, parse, refusal
from include.data.derived_columns import derived
from include.errors import RatchetError, nearest
from include.scoring.predictor import Predictor
from include.serving.protocol.problems import LONGEST_NAME, Problem, Problems, beginning, problem

Row = dict[str, Any]
"""One row: a text, int, float, bool, aware datetime, date or None for every column of the schema."""

_EXACT = 2**53
_MOST_STRANGE = 100
"""Among how many names of a caller's own one of the model's is looked for."""
_WORDS = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
    list: "list",
    dict: "object",
}
_EXPECTED = {
    "string": "text",
    "integer": "a whole number within 64 bits",
    "float": "a finite number",
    "boolean": "true or false",
    "timestamp": "an ISO 8601 time of the years 1900 to 2199",
    "date": "an ISO 8601 date",
}


@dataclass(frozen=True)
class Column:
    """One column of a request's rows."""

    name: str
    type: ColumnType
    required: bool
    """Whether the prediction depends on it; it may be null all the same."""
    meaning: str = ""
    """Of a column that a join added in training: what it is there, which the caller looks up."""


@dataclass(frozen=True)
class RequestSchema:
    """The columns of a request's rows.

    Attributes
    ----------
    columns : tuple of Column
        Every raw column of the model but the target.
    timezone : Clock
        What times without a zone mean.
    target : str or None
        The column that is predicted, which no row may bring.
    rectify : Rectify
        What the version's own declaration puts right of texts; rows come out of here as its training rows were.
    """

    columns: tuple[Column, ...]
    timezone: Clock
    target: str | None
    rectify: Rectify = AS_READ

    def rows(self, values: Sequence[Any]) -> list[Row]:
        """Return JSON rows with every column of the schema, each value of its type.

        Raises
        ------
        RequestError
            With a problem for each value that is not as the schema says.
        """
        problems = Problems()
        rows = [self._row(value, number, problems) for number, value in enumerate(values)]
        if problems.count:
            raise problems.error()
        return rows

    def _row(self, value: Any, number: int, problems: Problems) -> Row:
        if not isinstance(value, dict):
            problems.add(problem, number, None, "an object of columns", _WORDS.get(type(value), "another value"))
            return {}
        row: Row = {}
        for name, convert_value, required in self._converters:
            if name in value:
                found = value[name]
                if found is None:
                    row[name] = None
                    continue
                try:
                    row[name] = convert_value(found)
                except (ValueError, OverflowError, TypeError):
                    word = _WORDS.get(type(found), "another value")
                    problems.add(problem, number, name, self._expected(name), word)
            elif required:
                problems.add(self._absent, number, name, value)
            else:
                row[name] = None
        if len(value) > len(row) and not problems.count:
            for name in value:
                if name not in self._types:
                    problems.add(self._unknown, number, str(name))
        return row

    def table(self, rows: Sequence[Row]) -> pa.Table:
        """Return rows of `rows` as a table."""
        arrays = [pa.array([row[column.name] for row in rows], ARROW[column.type]) for column in self.columns]
        return pa.Table.from_arrays(arrays, schema=self.arrow)

    def conform(self, table: pa.Table, *, texts: bool = False) -> pa.Table:
        """Return a table with the schema's columns and types, absent optional ones empty.

        Parameters
        ----------
        texts : bool
            Whether every value is a text to be read as its column's type, as in CSV.

        Raises
        ------
        RequestError
            With a problem for each column that is not as the schema says.
        """
        names, problems = Counter(table.column_names), Problems()
        for name, count in names.items():
            if count > 1:
                problems.add(problem, None, beginning(name), "one column of that name", "several")
        for name in names:
            if name not in self._types:
                problems.add(self._unknown, None, name)
        for column in self.columns:
            if column.required and column.name not in names:
                problems.add(self._absent, None, column.name, names)
        if problems.count:
            raise problems.error()
        arrays = []
        for column in self.columns:
            if column.name not in names:
                arrays.append(pa.nulls(table.num_rows, ARROW[column.type]))
                continue
            try:
                arrays.append(self._typed(table[column.name], column, texts=texts))
            except BadTextError as error:
                problems.add(problem, error.place, column.name, self._expected(column.name), "another text")
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError) as error:
                found = declared_type(table[column.name].type) or str(table[column.name].type)[:80]
                said = f"{found} ({refusal(error)})"
                problems.add(problem, None, column.name, self._expected(column.name), said)
        if problems.count:
            raise problems.error()
        return rectify_texts(pa.Table.from_arrays(arrays, schema=self.arrow), self._rectifiers, "the request")[0]

    def _typed(self, values: pa.ChunkedArray, column: Column, *, texts: bool) -> Any:
        if not texts:
            return _within_years(convert(values, column.type, self.timezone, declared=True), column.type)
        array = values.combine_chunks()
        parsed = parse(array, TextColumn(type=column.type), self.timezone)
        return _within_years(parsed, column.type)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The schema of tables."""
        return pa.schema([(column.name, ARROW[column.type]) for column in self.columns])

    @cached_property
    def _types(self) -> dict[str, ColumnType]:
        return {column.name: column.type for column in self.columns}

    @cached_property
    def _converters(self) -> list[tuple[str, Callable[[Any], Any], bool]]:
        zone = UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
        own: dict[str, Callable[[Any], Any]] = {
            "string": _string,
            "integer": _integer,
            "float": _float,
            "boolean": _boolean,
            "timestamp": lambda value: _instant(value, zone, self.timezone.ambiguous),
            "date": _date,
        }
        own_of = {name: partial(_rectified, function) for name, function in self._rectifiers.items()}
        return [(column.name, own_of.get(column.name, own[column.type]), column.required) for column in self.columns]

    @cached_property
    def _rectifiers(self) -> dict[str, Rectifier]:
        return {name: function for name, function in rectifiers(self.rectify).items() if name in self._types}

    def _expected(self, name: str) -> str:
        meanings = {column.name: column.meaning for column in self.columns}
        return ": ".join(filter(None, (_EXPECTED[self._types[name]], meanings[name])))

    def _absent(self, row: int | None, name: str, there: Mapping[str, Any]) -> Problem:
        strange = (other for other in there if other not in self._types and len(other) <= LONGEST_NAME)
        close = nearest(name, islice(strange, _MOST_STRANGE))
        return problem(row, name, self._expected(name), "nothing", close)

    def _unknown(self, row: int | None, name: str) -> Problem:
        known = [column.name for column in self.columns]
        expected = "no such field: it is what is predicted" if name == self.target else "a column of the model"
        return problem(row, beginning(name), expected, "an unknown field", nearest(name[:LONGEST_NAME], known))


def schema_of(predictor: Predictor, sample: pa.Table) -> RequestSchema:
    """Return what a version asks of rows.

    A column is required if the pipeline reads it, or if ``derive`` fails, or gives other values of what the pipeline reads,
    without it.

    Parameters
    ----------
    sample : pyarrow.Table
        A few rows with every column.
    """
    model = predictor.model
    read = set(predictor.fit.columns) if predictor.derive is None else _read_by_derive(predictor, sample)
    if model.segments is not None:
        read.add(model.segments.column)  # it says which version answers
    return RequestSchema(
        tuple(
            Column(name, kind, name in read, predictor.joined.get(name, "")) for name, kind in predictor.schema.items()
        ),
        model.data.clock,
        model.data.target,
        predictor.origin.declared.quality.rectify,
    )


def _read_by_derive(predictor: Predictor, sample: pa.Table) -> set[str]:
    derive, name, inputs = predictor.derive, str(predictor.model.features.derive), list(predictor.fit.columns)
    assert derive is not None  # noqa: S101
    frame = to_frame(sample)
    whole = predictor.inputs(sample)
    read = set()
    for column in predictor.schema:
        try:
            without = derived(frame.drop(columns=[column]), derive, name, target=None, check=False)[inputs]
        except (RatchetError, LookupError, AttributeError, TypeError, ValueError):
            read.add(column)
            continue
        if not all(equal_values(whole[one], without[one]).all() for one in inputs):
            read.add(column)
    return read


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    if not value.isascii():
        value.encode()  # half of a surrogate pair is no text
    return value


def _rectified(function: Rectifier, value: Any) -> str:
    return function(_string(value))


def _integer(value: Any) -> int:
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise TypeError
    return value


def _float(value: Any) -> float:
    if type(value) is int:
        value = float(value)
    if type(value) is not float or not math.isfinite(value):
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _instant(value: Any, zone: Any, ambiguous: Ambiguous) -> datetime:
    if type(value) is not str:
        raise TypeError
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
        # An hour that a clock change repeats or skips has two offsets.
        if zone is not UTC and instant.utcoffset() != instant.replace(fold=1).utcoffset():
            if ambiguous == "refuse":
                raise ValueError
            readings = sorted(instant.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
            instant = readings[0] if ambiguous == "earlier" else readings[1]
    instant = instant.astimezone(UTC)
    if not 1900 <= instant.year < 2200:
        raise ValueError
    return instant


def _date(value: Any) -> date:
    if type(value) is not str:
        raise TypeError
    return date.fromisoformat(value)


def _within_years(values: Any, kind: ColumnType) -> Any:
    if kind == "timestamp" and len(values) > values.null_count:
        extremes = pa.compute.min_max(values).as_py()
        if extremes["min"].year < 1900 or extremes["max"].year >= 2200:
            raise ValueError("a time beyond the years 1900 to 2199")
    return values
