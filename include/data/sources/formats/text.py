"""Rows of CSV and JSON Lines files, read as declared: nothing is guessed."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from include.config.sections.rows.sources import Column, FilesSource
from include.data.columns.clock_changes import CHANGE
from include.data.columns.conversion import ARROW, convert, declared_type
from include.data.columns.epochs import UNITS
from include.data.columns.text_parsing import BadTextError, parse, refusal
from include.data.columns.type_inference import columns_block
from include.data.sources.file_listing import File
from include.data.sources.formats.checked_text import CheckedText
from include.errors import SourceError, nearest

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
    yield from _csv(file, source, timezone) if source.format == "csv" else _json_lines(file, source, timezone)


def no_columns(name: str, suggestion: str) -> SourceError:
    """Return the error that a file's columns are not declared, with YAML to paste."""
    return SourceError(
        "The columns of the file are not declared.",
        expected="`columns` with a type each, so that an id 007 stays one and 03/04/2026 is what you mean",
        where=name,
        remedy="look through this suggestion and paste it under `data.source`:\n" + suggestion,
    )


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
            if "Empty CSV file" in str(
                error
            ):  # a header that no line end follows is no row, as one with a line end is none
                return
            if bad:
                expected, actual = bad[0]
                raise SourceError(
                    "A row has not as many fields as the header.",
                    expected=f"{expected} fields",
                    found=f"{actual} fields on line {_line_with(file, source, expected)}",
                    where=file.name,
                    remedy="correct the row; a text that holds the delimiter is written in quotes",
                ) from error
            if "UTF8" in str(error):
                raise _no_utf8(file.name) from error
            raise SourceError(
                "The file can't be read as CSV.",
                expected="a header, and one row a line",
                found=_without_values(error),
                where=file.name,
            ) from error


def _no_utf8(name: str) -> SourceError:
    return SourceError(
        "The file can't be read as it is declared: its text is no UTF-8.",
        expected="text in UTF-8, unless `encoding` says otherwise",
        found="bytes that UTF-8 does not have",
        where=name,
        remedy="declare how it is written under `data.source`, such as `encoding: windows-1252`",
    )


def header_of(file: File, source: FilesSource) -> list[str]:
    """Return the names in the first line of a CSV file; raises `SourceError` where one stands twice."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as text:
        return _names(text.first_line(), file.name, source)


def _names(line: bytes, name: str, source: FilesSource) -> list[str]:
    try:
        header = next(csv.reader([line.decode()], delimiter=source.delimiter), [])
    except UnicodeDecodeError as error:
        raise _no_utf8(name) from error
    except csv.Error as error:
        raise SourceError(
            "The first line can't be read as a header.", expected="the names of the columns", where=f"{name}, line 1"
        ) from error
    check_once(header, source, f"{name}, line 1")
    return header


def check_once(header: Sequence[str], source: FilesSource, where: str) -> None:
    """Raise `SourceError` where a name stands twice in a header."""
    if twice := sorted(column for column, times in Counter(header).items() if column and times > 1):
        raise SourceError(
            "A column stands twice in the header.",
            expected="every name once",
            found=", ".join(repr(column) for column in twice if column in source.columns)
            or "columns " + ", ".join(str(at + 1) for at, column in enumerate(header) if column in twice),
            where=where,
            remedy="name the columns differently where the file is written",
        )


def check_declared(header: Sequence[str], name: str, source: FilesSource, place: str) -> None:
    """Raise `SourceError` for a declared column that a file does not have, without showing what else it has.

    Parameters
    ----------
    header : sequence of str
        The names that the file has.
    name, place : str
        File, and place in it, for the message.
    source : FilesSource
        Gives the declared columns.
    """
    for column in source.columns:
        if column not in header:
            close = nearest(column, header)
            known = [one for one in source.columns if one in header]
            # Names that nobody asked for may be the first line of any file.
            found = f"a first line with {len(header)} fields, and of those declared " + (", ".join(known) or "none")
            raise SourceError(
                f"The file has no column `{column}`.",
                expected=", ".join(source.columns),
                found=found if any(header) else "an empty first line",
                where=f"{name}{place}",
                remedy=f"did you mean `{close}`?" if close else "correct `data.source.columns`, or `delimiter`",
            )


def typed(batch: pa.RecordBatch, columns: Mapping[str, Column], timezone: str, name: str, rows: int) -> pa.Table:
    """Return the columns as declared: texts are parsed, and what has a type of its own is kept exactly.

    Parameters
    ----------
    batch : pa.RecordBatch
        Rows as they were read.
    columns : mapping of str to Column
        The declared columns by name.
    timezone : str
        IANA name of the time zone of timestamps that carry none.
    name : str
        Name of the file, for the message.
    rows : int
        Rows of the file before this batch.

    Raises
    ------
    SourceError
        Naming the first value that is not what was declared.
    """
    arrays = []
    for column, declared in columns.items():
        values = batch.column(column)
        try:
            if declared_type(values.type) == "string":
                values = values.cast(pa.string())
                values = pc.if_else(pc.is_in(values, pa.array(declared.missing, pa.string())), None, values)
                values = parse(values, declared, timezone)
            elif declared.format in UNITS or declared.format == "excel":
                values = parse(values, declared, timezone)
            elif values.type != ARROW[declared.type]:
                values = convert(pa.chunked_array([values]), declared.type, timezone, declared=True).combine_chunks()
        except BadTextError as error:
            raise SourceError(
                f"A value of column `{column}` is not what was declared.",
                expected=" ".join(filter(None, [declared.type, declared.format])),
                found=f"{error} in data row {rows + error.place + 1}",
                where=name,
                remedy=CHANGE if error.ambiguous else _remedy(column, declared, error.mark),
            ) from error
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"Column `{column}` is not what was declared.",
                expected=declared.type,
                found=f"{declared_type(values.type) or values.type} ({refusal(error)})",
                where=name,
                remedy=f"declare it as `{declared_type(values.type)}`"
                if declared_type(values.type)
                else "leave the column out",
            ) from error
        arrays.append(values)
    return pa.table(arrays, schema=pa.schema([(column, ARROW[declared.type]) for column, declared in columns.items()]))


def _remedy(column: str, declared: Column, mark: str | None) -> str:
    if mark:
        texts = ", ".join(f'"{text}"' for text in (*declared.missing, mark))
        return f"if `{mark}` means no value, say so: `{column}: {{type: {declared.type}, missing: [{texts}]}}`"
    if declared.format in UNITS:
        other = "epoch_ms" if declared.format == "epoch_s" else "epoch_s"
        return f"if the unit is another one, say so: `{column}: {{type: {declared.type}, format: {other}}}`"
    if declared.type in ("integer", "float") and (not declared.marked):
        return (
            "correct the row, or the declared type; numbers such as `1.234,56` or `12 %` are declared with their marks: "
            f'`{column}: {{type: {declared.type}, decimal: ",", thousands: ".", unit: "%"}}`'
        )
    if declared.format and "%S" in declared.format:
        return "correct the row or the `format`; without a `format`, ISO 8601 is read with and without fractions of seconds"
    if declared.type in ("timestamp", "date") and declared.format is None:
        return f'declare how it is written: `{column}: {{type: {declared.type}, format: "%d/%m/%Y"}}`'
    return "correct the row, or the declared type"


def _line_with(file: File, source: FilesSource, expected: int) -> int | str:
    """Return the line of the first row that has another number of fields; a second pass, taken only to say so."""
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=source.encoding) as text:
        lines = io.TextIOWrapper(io.BufferedReader(text), encoding="utf-8", errors="replace", newline="")
        rows = csv.reader(lines, delimiter=source.delimiter)
        return next((rows.line_num for row in rows if row and len(row) != expected), "unknown")


def _json_lines(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    absent = set(source.columns)
    schema = pa.schema([(name, _in_json(column)) for name, column in source.columns.items()])
    rows = 0
    with file.open() as raw, CheckedText(raw, file.name, quotes="line", names=absent, encoding=source.encoding) as text:
        if not text.first_line() and not text.read(1):
            return
        try:
            reader = pa_json.open_json(
                text,
                read_options=pa_json.ReadOptions(block_size=_BLOCK),
                parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
            with reader:
                for batch in reader:
                    batch.validate(full=True)  # or bytes that are no text would be kept as one
                    for name in (name for name, column in source.columns.items() if column.type == "string"):
                        if pc.any(pc.match_substring(batch.column(name), "\0")).as_py():
                            raise SourceError(f"A text of column `{name}` holds a NUL character.", where=file.name)
                    yield typed(batch, source.columns, timezone, file.name, rows)
                    rows += batch.num_rows
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise _no_utf8(file.name) from error
            raise SourceError(
                "A line is not as declared.",
                expected="one JSON object a line, each key once, values of the declared types",
                found=f"{_without_values(error)} (counted from zero, after data row {rows})",
                where=file.name,
            ) from error
    if absent and rows:
        raise SourceError(
            f"The file has no key `{min(absent)}` on any line.",
            expected=", ".join(source.columns),
            where=file.name,
            remedy="correct `data.source.columns`, or write the key with null",
        )


def _in_json(column: Column) -> pa.DataType:
    """Return the type that JSON itself has for a declared column: times are texts there, or numbers since the epoch."""
    if column.marked:
        return pa.string()
    if column.type in ("timestamp", "date"):
        return pa.float64() if column.format == "excel" else pa.int64() if column.format in UNITS else pa.string()
    return ARROW[column.type]


def _without_values(error: Exception) -> str:
    text = re.sub(r"^(CSV|JSON) parse error: ", "", str(error))
    return re.sub(r"(parse|got \d+):.*", r"\1 a value", text, flags=re.DOTALL)
