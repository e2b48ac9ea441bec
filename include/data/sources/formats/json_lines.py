"""Rows of JSON Lines files, read as declared: nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from include.config.sections.rows.sources import Column, FilesSource
from include.data.columns.conversion import ARROW
from include.data.columns.epochs import UNITS
from include.data.sources.file_listing import File
from include.data.sources.formats.checked_text import CheckedText
from include.data.sources.formats.declared_columns import typed
from include.data.sources.formats.parse_errors import no_utf8, without_values
from include.errors import SourceError

_BLOCK = 4 * 2**20


def read_json_lines(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    """Yield the declared columns of one file in batches of about 4 MiB of text; raises `SourceError`."""
    absent, valued = set(source.columns), set[str]()
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
                    # A key may be written in escapes, as Python and pandas write é; by its values it is there.
                    valued |= {name for name in source.columns if batch.column(name).null_count < batch.num_rows}
                    yield typed(batch, source.columns, timezone, file.name, rows)
                    rows += batch.num_rows
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                raise no_utf8(file.name) from error
            raise SourceError(
                "A line is not as declared.",
                expected="one JSON object a line, each key once, values of the declared types",
                found=f"{without_values(error)} (counted from zero, after data row {rows})",
                where=file.name,
            ) from error
    if rows and (absent := absent - valued):
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
