"""Profile the columns of JSON Lines and Parquet files, whose values are already typed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from include.config.sections.rows.sources import Column, FilesSource
from include.data.columns.conversion import declared_type
from include.data.columns.type_inference import InferredColumn, TypeInference
from include.data.sources.file_listing import File
from include.data.sources.formats.checked_text import CheckedText
from include.errors import SourceError

_LINES = 50_000
_LONGEST_LINE = 2**24
_NUMBERS = frozenset({int, float})


class Columns(Protocol):
    """Tells what columns look like."""

    def found(self, decimal: str | None = None) -> dict[str, InferredColumn]:
        """Return what each column looks like."""


class TypedColumns:
    """Columns with types, of which texts may be times, and numbers of an event time instants."""

    def __init__(self, types: dict[str, str], guesses: TypeInference) -> None:
        self._types = types
        self._guesses = guesses

    def found(self, decimal: str | None = None) -> dict[str, InferredColumn]:
        """Return what each column looks like."""
        guessed = self._guesses.found()
        return {name: self._of(kind, guessed.get(name)) for name, kind in self._types.items()}

    def _of(self, kind: str, guess: InferredColumn | None) -> InferredColumn:
        if guess is not None and (guess.column.type in ("date", "timestamp")):
            return guess
        return InferredColumn(Column.model_validate({"type": kind}))


def parquet_guesses(files: Sequence[File], event_time: str | None) -> Columns:
    """Look at the own types of Parquet files, and at the texts that may be times; columns of other types are left out.

    Raises
    ------
    SourceError
        When a file is damaged.
    """
    types = _parquet_types(files)
    texts = [name for name, word in types.items() if word == "string" or name == event_time]
    guesses = TypeInference(texts, event_time)
    for file in files:
        with _parquet(file) as parquet:
            named = [name for name in texts if parquet.schema_arrow.field(name).type != pa.null()]
            for batch in parquet.iter_batches():
                for name in named:
                    values = batch.column(name)
                    if declared_type(values.type) in ("string", "integer", "float"):
                        guesses.add(name, values.cast(pa.string()))
    return TypedColumns(types, guesses)


def _parquet_types(files: Sequence[File]) -> dict[str, str]:
    """Return the types of the columns that all files have; where some have whole numbers and others not, floats."""
    seen: dict[str, list[str | None]] = {}
    for file in files:
        with _parquet(file) as parquet:
            for field in parquet.schema_arrow:
                seen.setdefault(field.name, []).append(
                    "none" if pa.types.is_null(field.type) else declared_type(field.type)
                )
    return {
        name: kind
        for name, words in seen.items()
        if len(words) == len(files) and (kind := _one_word(set(words) - {"none"})) is not None
    }


def _one_word(words: set[str | None]) -> str | None:
    if words == {"integer", "float"}:
        return "float"
    return words.pop() if len(words) == 1 else None


@contextlib.contextmanager
def _parquet(file: File) -> Iterator[pq.ParquetFile]:
    with file.on_disk() as path:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
                yield parquet
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise SourceError(
                "The file can't be read as Parquet.", expected="a whole Parquet file", where=file.name
            ) from error


def json_guesses(files: Sequence[File], source: FilesSource, event_time: str | None) -> Columns:
    """Look at the first 50,000 lines of each file of JSON Lines; keys whose values are lists or objects are left out.

    Raises
    ------
    SourceError
        When a line is no JSON object, or the values of a key have several types.
    """
    seen: dict[str, set[type]] = {}
    texts: dict[str, list[str]] = {}
    for file in files:
        _look(file, source, seen, texts)
    types = {key: kind for key, found in seen.items() if (kind := _kind(key, found, files[0].name)) is not None}
    guesses = TypeInference([key for key, kind in types.items() if kind == "string" or key == event_time], event_time)
    for key in types:
        if types[key] == "string" or key == event_time:
            guesses.add(key, pa.array(texts.get(key, []), pa.string()))
    return TypedColumns(types, guesses)


def _look(file: File, source: FilesSource, seen: dict[str, set[type]], texts: dict[str, list[str]]) -> None:
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as checked:
        lines = io.TextIOWrapper(io.BufferedReader(checked), encoding="utf-8", errors="replace", newline="\n")
        for number in range(1, _LINES + 1):
            line = lines.readline(_LONGEST_LINE)
            if not line:
                break
            if line.strip():
                for key, value in _object(line, file.name, number).items():
                    _note(seen, texts, key, value)


def _note(seen: dict[str, set[type]], texts: dict[str, list[str]], key: str, value: Any) -> None:
    seen.setdefault(key, set()).add(type(value))
    if isinstance(value, str | int | float):
        texts.setdefault(key, []).append(value if isinstance(value, str) else json.dumps(value))


def _object(line: str, name: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise SourceError(
            "A line is not a JSON object.", expected="one JSON object a line", found=f"line {number}", where=name
        )
    return row


def _kind(key: str, found: set[type], name: str) -> str | None:
    kinds = found - {type(None)}
    if not kinds or kinds & {list, dict}:
        return None
    if kinds == {str}:
        return "string"
    if kinds == {bool}:
        return "boolean"
    if kinds <= _NUMBERS:
        return "float" if float in kinds else "integer"
    raise SourceError(
        f"The values of `{key}` have several types.",
        expected="texts, numbers or true and false on all lines",
        found=", ".join(sorted(kind.__name__ for kind in kinds)),
        where=name,
        remedy="write them with one type where the file is made",
    )
