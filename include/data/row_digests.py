"""The identity of rows: a digest over columns, types and values, independent of the file that holds them.

Files of equal rows differ with the library's version, chunks, encodings and compression; this digest does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.data import ROW
from include.storage.content import digest_json


def in_canonical_order(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the table sorted by ``keys`` (texts by their UTF-8 bytes), its columns by name."""
    ordered = table.select(sorted(table.column_names))
    if not keys:
        return ordered
    # In one piece, keys are sorted at once; in many, piece by piece and then merged, which takes up to three times as long.
    whole = ordered.select(list(keys)).combine_chunks()
    return ordered.take(pc.sort_indices(whole, sort_keys=[(key, "ascending") for key in keys]))


def without_duplicates(table: pa.Table) -> tuple[pa.Table, int]:
    """Return the first of rows that are equal in every column but the name that tells copies apart, and how many others there were."""
    names = [name for name in table.column_names if name != ROW]
    if not table.num_rows:
        return table, 0
    place = "(place)"
    numbered = table.select(names).append_column(place, pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(names, use_threads=False).aggregate([(place, "min")])[f"{place}_min"]
    kept = np.sort(first.to_numpy())
    return table.take(pa.array(kept)), table.num_rows - len(kept)


def table_digest(table: pa.Table) -> str:
    """Return the digest of a table in the order of its rows; the order of its columns does not matter.

    Chunks, dictionary encoding and the width of text offsets do not change it; any value, type, name or order of rows does.
    """
    columns = [[name, *_column(table[name])] for name in sorted(table.column_names)]
    return digest_json({"rows": table.num_rows, "columns": columns})


def rows_digest(frame: pd.DataFrame, row_id: Sequence[str]) -> str:
    """Return one digest of the rows' ids, in their order."""
    table = pa.Table.from_pandas(frame[list(row_id)], preserve_index=False)
    return table_digest(table.replace_schema_metadata(None))


def _column(column: pa.ChunkedArray) -> tuple[str, str]:
    """Return a column's type and the digest of its values: validity, then values with zeros where there is none."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if text:
        kind = pa.large_string()
    array = column.cast(kind).combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        array = pa.array([], kind)
    hasher = hashlib.sha256()
    valid = np.ones(len(array), bool) if not array.null_count else array.is_valid().to_numpy(zero_copy_only=False)
    hasher.update(np.packbits(valid).data)
    if text:
        full = pc.fill_null(array, "") if array.null_count else array
        _, places, data = full.buffers()
        offsets = np.frombuffer(places, dtype="<i8")[full.offset : full.offset + len(full) + 1]
        hasher.update(np.diff(offsets).astype("<i4").data)
        if data is not None and len(full):
            hasher.update(memoryview(data)[offsets[0] : offsets[-1]])
        return "string", hasher.hexdigest()
    width = {1: pa.uint8(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width]
    # Of floats the bits as they are: -0.0 is not 0.0, and there is one NaN only because ingestion makes it "no value".
    bits = array.view(width) if kind.bit_width > 1 else array.cast(width)
    values = (pc.fill_null(bits, 0) if bits.null_count else bits).to_numpy(zero_copy_only=False)
    hasher.update(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).data)
    return str(kind), hasher.hexdigest()
