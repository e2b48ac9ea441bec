"""Profile the rows of a file: types, levels, missing values, classes, event times, and candidate row ids."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column, FilesSource
from include.data.columns.epochs import plausible
from include.data.columns.text_parsing import masked_text
from include.data.columns.type_inference import InferredColumn, TypeInference
from include.data.sources.file_listing import File
from include.data.sources.files import rows_of
from include.data.sources.formats.excel import excel_header
from include.data.sources.formats.text import header_of
from include.drafting.periods import Instants
from include.drafting.row_names import Names
from include.drafting.typed_columns import json_guesses, parquet_guesses
from include.errors import ConfigError

_MOST_LEVELS = 10_000
_LIKE_A_NUMBER = r"^\s*[-+]?[$€£¥]?\s*[-+]?\d[\d.,' ]*([eE][-+]?\d+)?\s*[%$€£¥]?\s*$"
_ID = re.compile(r"(^|_)(id|key|no|nr|num|number|code|uuid|guid|index|instant)$", re.IGNORECASE)


@dataclass(frozen=True)
class ColumnFacts:
    """What was seen of one column."""

    guess: InferredColumn
    levels: Counter[Any] | None
    """The count of each value; None for more than 10,000 values, and for floats."""
    missing: int
    low: Any = None
    high: Any = None
    """The extremes of an integer column."""
    numbers: int = 0
    """How many texts of a text column look like numbers with any decimal or thousands mark."""
    odd: str | None = None
    """What the first other text looks like: letters as `a`, digits as `9`."""

    @property
    def type(self) -> str:
        """The name of its type."""
        return self.guess.column.type


@dataclass(frozen=True)
class Profile:
    """What was seen of a file."""

    rows: int
    columns: dict[str, ColumnFacts]
    nameless: int
    """Columns without a name, which are left alone."""
    names: Names
    times: Instants | None


def profile(
    files: Sequence[File],
    source: FilesSource,
    *,
    event_time: str | None,
    day_first: bool | None,
    decimal: str | None = None,
) -> Profile:
    """Read files twice: as texts, to tell the types of their columns, and then with these types, as a run will read them.

    Parameters
    ----------
    files : sequence of File
        One or more that are written alike; a column that one of them does not have is left out.
    event_time : str, optional
        A column to be read as timestamps.
    day_first : bool, optional
        Which of day and month comes first where the values allow both.
    decimal : str, optional
        The decimal mark where the values allow both.

    Raises
    ------
    SourceError
        When a file can't be read.
    ConfigError
        When a date may mean two things, or the event time is none.
    """
    nameless = 0
    if source.format == "parquet":
        guesses = parquet_guesses(files, event_time)
    elif source.format == "json_lines":
        guesses = json_guesses(files, source, event_time)
    else:
        guesses, nameless = _text_guesses(files, source, event_time)
    found = {name: _settled(name, guess, event_time, day_first) for name, guess in guesses.found(decimal).items()}
    if not found:
        raise ConfigError(
            "The file names no columns.", expected="a header, the names of the columns", where=files[0].name
        )
    typed = _declared(source, {name: guess.column for name, guess in found.items()})
    tables = itertools.chain.from_iterable(rows_of(file, typed, "UTC") for file in files)
    return _facts(tables, found, nameless, event_time, files[0].name)


def _text_guesses(files: Sequence[File], source: FilesSource, event_time: str | None) -> tuple[TypeInference, int]:
    """Look at files whose values are texts, or can be taken for them; return also how many columns have no name."""
    header_of_one = excel_header if source.format == "excel" else header_of
    first, *others = (header_of_one(file, source) for file in files)
    names = [name for name in first if name and all(name in header for header in others)]
    guesses = TypeInference(names, event_time)
    texts = _declared(source, {name: Column(type="string", missing=()) for name in names})
    for file in files if names else ():
        for table in rows_of(file, texts, "UTC"):
            for name in names:
                guesses.add(name, table[name])
    return guesses, first.count("")


def _declared(source: FilesSource, columns: dict[str, Column]) -> FilesSource:
    return source.model_copy(update={"columns": columns})


def _settled(name: str, guess: InferredColumn, event_time: str | None, day_first: bool | None) -> InferredColumn:
    """Return the only possible meaning of a column; for the event time, as timestamps."""
    column = guess.column
    if guess.others and day_first is not None and column.format is not None:
        wanted = "%d" if day_first else "%m"
        options = (column, *guess.others)
        column = next((one for one in options if (one.format or "").startswith(wanted)), column)
    elif guess.others and name == event_time and guess.column.format is not None:
        raise ConfigError(
            f"Which comes first in `{name}`, the day or the month?",
            expected="dates that mean one day",
            found=f"values that both {column.format} and {guess.others[0].format} can read",
            remedy="say `--day-first` or `--month-first`",
        )
    else:
        return _as_event_time(guess) if name == event_time else guess
    settled = InferredColumn(column)
    return _as_event_time(settled) if name == event_time else settled


def _as_event_time(guess: InferredColumn) -> InferredColumn:
    column = guess.column
    return InferredColumn(column.model_copy(update={"type": "timestamp"})) if column.type == "date" else guess


def _facts(
    tables: Iterator[pa.Table], guesses: dict[str, InferredColumn], nameless: int, event_time: str | None, where: str
) -> Profile:
    rows = 0
    levels: dict[str, Counter[Any] | None] = {
        name: None if guess.column.type == "float" else Counter() for name, guess in guesses.items()
    }
    missing: Counter[str] = Counter()
    extremes: dict[str, tuple[Any, Any]] = {}
    numbers: Counter[str] = Counter()
    odd: dict[str, str | None] = {}
    names, times = Names(), []
    for table in tables:
        rows += table.num_rows
        names.add(table)
        for name in guesses:
            missing[name] += table[name].null_count
            levels[name] = _counted(levels[name], table[name])
            if guesses[name].column.type == "string":
                odd[name] = _numbers(table[name], numbers, name) or odd.get(name)
            if guesses[name].column.type == "integer":
                extremes[name] = _wider(extremes.get(name), table[name])
        if event_time is not None:
            times.append(_instants(table[event_time], event_time, missing[event_time], where))
    columns = {
        name: ColumnFacts(
            guess, levels[name], missing[name], *extremes.get(name, (None, None)), numbers[name], odd.get(name)
        )
        for name, guess in guesses.items()
    }
    ascending = np.sort(np.concatenate(times)) if times else None
    return Profile(rows, columns, nameless, names, ascending)


def _counted(so_far: Counter[Any] | None, values: pa.ChunkedArray) -> Counter[Any] | None:
    if so_far is None:
        return None
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())  # Python knows no year beyond 9999, a file does
    for count in pc.value_counts(values):
        if count["values"].is_valid:
            so_far[count["values"].as_py()] += count["counts"].as_py()
            if len(so_far) > _MOST_LEVELS:
                return None
    return so_far


def _numbers(texts: pa.ChunkedArray, numbers: Counter[str], name: str) -> str | None:
    """Count the texts that look like numbers, and return what the first other one looks like."""
    like = pc.match_substring_regex(texts, _LIKE_A_NUMBER)
    numbers[name] += pc.sum(like).as_py() or 0
    others = pc.drop_null(texts).filter(pc.invert(pc.drop_null(like)))
    return masked_text(others[0].as_py()) if len(others) else None


def _wider(known: tuple[Any, Any] | None, values: pa.ChunkedArray) -> tuple[Any, Any]:
    found = pc.min_max(values).as_py()
    ends = [end for end in (*(known or ()), *found.values()) if end is not None]
    return (min(ends), max(ends)) if ends else (None, None)


def _instants(column: pa.ChunkedArray, name: str, missing: int, where: str) -> np.ndarray[Any, Any]:
    if not pa.types.is_timestamp(column.type):
        raise ConfigError(
            f"The values of `{name}` can't be read as times.",
            expected="dates or times, all written alike, such as 2026-04-03 or 2026-04-03 10:00",
            found=f"a column of type {column.type}",
            where=where,
            remedy="name another column as `--event-time`, or leave it out for a table without time",
        )
    if missing:
        raise ConfigError(
            f"Rows have no value of `{name}`, which says when a row happened.",
            found=f"{missing} rows without one",
            where=where,
            remedy="leave such rows out, or leave out `--event-time`",
        )
    if not plausible(column):
        raise ConfigError(f"Times of `{name}` lie beyond the years 1900 to 2200.", where=where, remedy="correct them")
    instants: np.ndarray[Any, Any] = column.cast(pa.int64()).to_numpy()
    return instants


def looks_like_an_id(name: str, facts: ColumnFacts, rows: int) -> bool:
    """Tell whether a column whose values are all different is an id, and no quantity that has no value twice by chance."""
    if facts.type == "string":
        return True
    if facts.type != "integer":
        return False
    return bool(_ID.search(name)) or (facts.low is not None and facts.high - facts.low < 2 * rows)
