"""The schema of a request's rows, and rows of JSON, text or Arrow that are converted to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any

import pyarrow as pa

from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.sources import Column as TextColumn
from include.config.sections.rows.sources import ColumnType
from include.config.time_zones import Clock
from include.data.columns.conversion import ARROW, convert, declared_type
from include.data.columns.rectified_texts import Rectifier, rectifiers, rectify_texts
from include.data.columns.text_parsing import BadTextError, parse, refusal
from include.errors import nearest
from include.serving.protocol.problems import LONGEST_NAME, Problem, Problems, beginning, problem
from include.serving.protocol.row_values import EXPECTED, converters, kind_of, rectified, within_years

Row = dict[str, Any]
"""One row: a text, int, float, bool, aware datetime, date or None for every column of the schema."""

_MOST_STRANGE = 100
"""The number of unknown names of a request that are searched for one like the model's."""


@dataclass(frozen=True)
class Column:
    """One column of a request's rows."""

    name: str
    type: ColumnType
    required: bool
    """Whether the prediction depends on it; its value may be null."""
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
            problems.add(problem, number, None, "an object of columns", kind_of(value))
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
                    problems.add(problem, number, name, self._expected(name), kind_of(found))
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
            return within_years(convert(values, column.type, self.timezone, declared=True), column.type)
        array = values.combine_chunks()
        parsed = parse(array, TextColumn(type=column.type), self.timezone)
        return within_years(parsed, column.type)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The schema of tables."""
        return pa.schema([(column.name, ARROW[column.type]) for column in self.columns])

    @cached_property
    def _types(self) -> dict[str, ColumnType]:
        return {column.name: column.type for column in self.columns}

    @cached_property
    def _converters(self) -> list[tuple[str, Callable[[Any], Any], bool]]:
        own = converters(self.timezone)
        own_of = {name: partial(rectified, function) for name, function in self._rectifiers.items()}
        return [(column.name, own_of.get(column.name, own[column.type]), column.required) for column in self.columns]

    @cached_property
    def _rectifiers(self) -> dict[str, Rectifier]:
        return {name: function for name, function in rectifiers(self.rectify).items() if name in self._types}

    def _expected(self, name: str) -> str:
        meanings = {column.name: column.meaning for column in self.columns}
        return ": ".join(filter(None, (EXPECTED[self._types[name]], meanings[name])))

    def _absent(self, row: int | None, name: str, there: Mapping[str, Any]) -> Problem:
        strange = (other for other in there if other not in self._types and len(other) <= LONGEST_NAME)
        close = nearest(name, islice(strange, _MOST_STRANGE))
        return problem(row, name, self._expected(name), "nothing", close)

    def _unknown(self, row: int | None, name: str) -> Problem:
        known = [column.name for column in self.columns]
        expected = "no such field: it is what is predicted" if name == self.target else "a column of the model"
        return problem(row, beginning(name), expected, "an unknown field", nearest(name[:LONGEST_NAME], known))
