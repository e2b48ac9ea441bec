"""Rows of files, on disk or in S3, in the format that is declared."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import File, find_files
from include.data.sources.formats.excel import read_excel
from include.data.sources.formats.parquet import read_parquet
from include.data.sources.formats.text import read_text
from include.data.sources.protocol import ReadRequest, SourceBatch


def read(request: ReadRequest[FilesSource]) -> Iterator[SourceBatch]:
    """Yield the rows of the declared files, one file after the other.

    Raises
    ------
    SourceError
        When a file is missing or not as declared.
    StoreUnavailable
        When what holds the files does not answer.
    """
    data, source = request.data, request.source
    for file in find_files(source, request.slots, data.timezone, request.folder, request.connections):
        period = None if file.start is None or file.end is None else (file.start, file.end)
        for table in rows_of(file, source, data.clock):
            yield SourceBatch(table, file.name, period)


def rows_of(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    """Yield the rows of one file, in its declared format."""
    return _READERS[source.format](file, source, timezone)


_READERS = {"csv": read_text, "json_lines": read_text, "parquet": read_parquet, "excel": read_excel}
