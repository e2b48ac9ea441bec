"""Parquet bodies of requests, and how large they may grow."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import RequestError

_INFLATED = 8
"""By how much a Parquet file may say that it grows when it is unpacked, beyond the limit of bodies."""


def too_many(rows: int, limit: int) -> RequestError:
    """Return the error that a request has too many rows."""
    return RequestError("The request has too many rows.", status=413, expected=f"at most {limit:,}", found=f"{rows:,}")


def require_width(columns: int, most: int) -> None:
    """Raise `RequestError` if a body has more columns than are read."""
    if columns > most:
        raise RequestError("The body has too many columns.", status=413, expected=f"at most {most:,}")


def read_parquet_body(body: bytes, *, max_rows: int, max_bytes: int, max_columns: int) -> pa.Table:
    """Return the rows of a Parquet body.

    Parameters
    ----------
    max_rows : int
        Most rows that a request may have.
    max_bytes : int
        Most bytes of a body; its columns, unpacked, may have a fixed multiple of it.
    max_columns : int
        Most columns that are read.

    Raises
    ------
    RequestError
        413 for too many rows or columns, or for columns that grow beyond that.
    pa.ArrowException, OSError
        When it is no Parquet.
    """
    file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True)
    facts = file.metadata
    if facts.num_rows > max_rows:
        raise too_many(facts.num_rows, max_rows)
    require_width(facts.num_columns, max_columns)
    # Of whole row groups: of a damaged file pyarrow ends the process where it is asked for one column's facts.
    _check_inflated(sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups)), max_bytes)
    for field in file.schema_arrow:
        if pa.types.is_nested(field.type):
            raise RequestError("A column holds lists or structures.", expected="one value in each row")
    texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
    # A dictionary of one long text can stand for it in every row: how long all rows are is known before they are written out.
    file = pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True, read_dictionary=texts)
    table = file.read(use_threads=False)
    coded = [
        place
        for place, field in enumerate(table.schema)
        if pa.types.is_dictionary(field.type) and _is_text(field.type.value_type)
    ]
    _check_inflated(sum(_written_out(chunk) for place in coded for chunk in table.column(place).chunks), max_bytes)
    for place in coded:
        field = table.schema.field(place)
        table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _written_out(texts: pa.DictionaryArray) -> int:
    """Return how many bytes of text an array has when each row holds its own."""
    lengths = pc.take(pc.cast(pc.binary_length(texts.dictionary), pa.int64()), texts.indices)
    return int(pc.sum(lengths).as_py() or 0)


def _check_inflated(size: int, max_bytes: int) -> None:
    if size > _INFLATED * max_bytes:
        raise RequestError(
            "The file grows too large when it is unpacked.",
            status=413,
            expected=f"at most {_INFLATED * max_bytes:,} bytes",
            found=f"{size:,} bytes",
        )
