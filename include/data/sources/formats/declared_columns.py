"""The declared columns of a file: its header is checked against them, and its values are converted to their types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.sources import Column, FilesSource
from include.data.columns.clock_changes import CHANGE
from include.data.columns.conversion import ARROW, convert, declared_type
from include.data.columns.epochs import UNITS
from include.data.columns.text_parsing import BadTextError, parse, refusal
from include.errors import SourceError, did_you_mean

_SHOWN = 20
"""Places of a header that an error names."""


def no_columns(name: str, suggestion: str) -> SourceError:
    """Return the error that a file's columns are not declared, with YAML to paste."""
    return SourceError(
        "The columns of the file are not declared.",
        expected="`columns` with a type each, so that an id such as 007 stays a text and 03/04/2026 is the date that you mean",
        where=name,
        remedy="check this suggestion and paste it under `data.source`:\n" + suggestion,
    )


def check_once(header: Sequence[str], source: FilesSource, where: str) -> None:
    """Raise `SourceError` if a header names a column twice."""
    if twice := {column for column, times in Counter(header).items() if column and times > 1}:
        places = [at + 1 for at, column in enumerate(header) if column in twice]
        more = f" and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
        raise SourceError(
            "The header names a column twice.",
            expected="every name once",
            found=", ".join(repr(column) for column in sorted(twice) if column in source.columns)
            or f"columns {', '.join(map(str, places[:_SHOWN]))}{more}",
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
    there = set(header)
    for column in source.columns:
        if column not in there:
            known = [one for one in source.columns if one in there]
            # Undeclared names may be the first line of any file, so they are not shown.
            found = f"a first line with {len(header)} fields, and of those declared " + (", ".join(known) or "none")
            raise SourceError(
                f"The file has no column `{column}`.",
                expected=", ".join(source.columns),
                found=found if any(header) else "an empty first line",
                where=f"{name}{place}",
                remedy=did_you_mean(column, header, "correct `data.source.columns`, or `delimiter`"),
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
