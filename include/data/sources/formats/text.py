"""Rows of CSV and JSON Lines files, read as declared: nothing is guessed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pa_csv

from include.config.sections.rows.sources import FilesSource
from include.data.columns.type_inference import columns_block
from include.data.sources.file_listing import File
from include.data.sources.formats.checked_text import CheckedText
from include.data.sources.formats.declared_columns import check_declared, check_once, no_columns, typed
from include.data.sources.formats.json_lines import read_json_lines
from include.data.sources.formats.parse_errors import no_utf8, without_values
from include.errors import SourceError

_BLOCK = 4 * 2**20


def read_text(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    """Yield the declared columns of one file in batches of about 4 MiB of text.

    Raises
    ------
    SourceError
        Naming file, row and column of what is not as declared.
    """
    if not source.columns:
        raise no_columns(file.name, columns_block(file, source))
    yield from _csv(file, source, timezone) if source.format == "csv" else read_json_lines(file, source, timezone)


def _csv(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    quotes = "file" if source.quoted_newlines else "line"
    with (
        file.open() as raw,
        CheckedText(raw, file.name, quotes=quotes, delimiter=source.delimiter, encoding=source.encoding) as text,
    ):
        check_declared(_names(text.first_line(), file.name, source), file.name, source, ", line 1")
        bad: list[tuple[int, int]] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            bad.append((row.expected_columns, row.actual_columns))
            return "error"

        try:
            reader = pa_csv.open_csv(
                text,
                read_options=pa_csv.ReadOptions(block_size=_BLOCK),
                parse_options=pa_csv.ParseOptions(
                    delimiter=source.delimiter,
                    newlines_in_values=source.quoted_newlines,
                    invalid_row_handler=refuse,
                ),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=list(source.columns),
                    column_types=dict.fromkeys(source.columns, pa.string()),
                    strings_can_be_null=False,
                ),
            )
            rows = 0
            with (
                reader
            ):  # or it is freed whenever its last name goes, and waits for its own threads at the end of a process
                for batch in reader:
                    yield typed(batch, source.columns, timezone, file.name, rows)
                    rows += batch.num_rows
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):  # a header alone has no rows, with or without a line end
                return
            if bad:
                expected, actual = bad[0]
                raise SourceError(
                    "A row does not have as many fields as the header.",
                    expected=f"{expected} fields",
                    found=f"{actual} fields on line {_line_with(file, source, expected)}",
                    where=file.name,
                    remedy="correct the row; a text that holds the delimiter is written in quotes",
                ) from error
            if "UTF8" in str(error):
                raise no_utf8(file.name) from error
            raise SourceError(
                "The file can't be read as CSV.",
                expected="a header, and one row a line",
                found=without_values(error),
                where=file.name,
            ) from error


def header_of(file: File, source: FilesSource) -> list[str]:
    """Return the names in the first line of a CSV file; raises `SourceError` where one stands twice."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as text:
        return _names(text.first_line(), file.name, source)


def _names(line: bytes, name: str, source: FilesSource) -> list[str]:
    try:
        header = next(csv.reader([line.decode()], delimiter=source.delimiter), [])
    except UnicodeDecodeError as error:
        raise no_utf8(name) from error
    except csv.Error as error:
        raise SourceError(
            "The first line can't be read as a header.", expected="the names of the columns", where=f"{name}, line 1"
        ) from error
    check_once(header, source, f"{name}, line 1")
    return header


def _line_with(file: File, source: FilesSource, expected: int) -> int | str:
    """Return the line of the first row that has another number of fields; a second pass, taken only to say so."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as text:
        lines = io.TextIOWrapper(io.BufferedReader(text), encoding="utf-8", errors="replace", newline="")
        rows = csv.reader(lines, delimiter=source.delimiter)
        return next((rows.line_num for row in rows if row and len(row) != expected), "unknown")
