"""Rows of Parquet files, which bring types of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from include.config.sections.rows.sources import FilesSource
from include.data.columns.conversion import declared_type
from include.data.sources.file_listing import File
from include.data.sources.file_signatures import file_signature
from include.data.sources.formats.declared_columns import check_declared, typed
from include.errors import SourceError

_ROWS = 131_072


def read_parquet(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    """Yield the declared columns of one file, or all that have a type model.yaml has a word for.

    A column of another type, such as a list, is left alone, and so is one without any value in a file that declares none.

    Raises
    ------
    SourceError
        When the file is damaged or no Parquet, or a declared column is not there or not as declared.
    """
    with file.on_disk() as path:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
                schema = parquet.schema_arrow
                check_declared(schema.names, file.name, source, "")
                names = list(source.columns) or [field.name for field in schema if _has_a_word(field.type)]
                rows = 0
                # `columns` means the path of a leaf: a dot in a name would be taken for a level.
                for batch in parquet.iter_batches(_ROWS, columns=None if any("." in name for name in names) else names):
                    table = batch.select(names)
                    table.validate(full=True)  # the format promises texts in UTF-8 and checks none
                    yield typed(table, source.columns, timezone, file.name, rows) if source.columns else _table(table)
                    rows += batch.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            with path.open("rb") as raw:
                kind = file_signature(raw.read(4096))
            raise SourceError(
                "The file can't be read as Parquet.",
                expected="a whole Parquet file",
                found=kind if kind not in (None, "Parquet") else "damaged bytes, or other ones",
                where=file.name,
            ) from error


def _has_a_word(kind: pa.DataType) -> bool:
    return declared_type(kind) is not None or pa.types.is_null(kind)


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])
