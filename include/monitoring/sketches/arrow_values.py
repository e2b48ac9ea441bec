"""Values of Arrow columns as the numbers that a sketch counts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.errors import DataError

Array = NDArray[Any]
Kind = Literal["number", "level", "text", "time"]


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.chunk(0) if joined.num_chunks else pa.array([], column.type)
    return joined


def column_of(batch: pa.Table | pa.RecordBatch, name: str | None) -> pa.ChunkedArray | pa.Array:
    """Return a column of a table; raises `DataError` if there is none of that name."""
    if name not in batch.schema.names:
        raise DataError(
            f"There is no column `{name}` to watch.",
            expected="every column that the champion was fitted on",
            found=", ".join(batch.schema.names),
            remedy="give the column again, or retrain without it",
        )
    return batch.column(name)


def values_of(array: pa.Array, name: str, kind: Kind, times: pa.Array | None) -> Array:
    """Return the numbers that are counted of a column: an array of floats or integers, with NaN for missing.

    Parameters
    ----------
    array : pyarrow.Array
    name : str
        The column's name, for errors.
    kind : Kind
    times : pyarrow.Array or None
        The rows' event times, which a column of times is measured from.

    Raises
    ------
    DataError
        When the column is not of that kind.
    """
    found = array.type
    try:
        if kind == "text":
            if pa.types.is_dictionary(found):
                array = array.cast(array.type.value_type)
            array = pc.utf8_length(array)
        elif kind == "time":
            array = pc.divide(pc.subtract(_microseconds(times), _microseconds(array)).cast(pa.float64()), 1e6)
        elif pa.types.is_boolean(found):
            array = array.cast(pa.uint8())
        elif not (pa.types.is_integer(found) or pa.types.is_floating(found)):
            array = array.cast(pa.float64())
    except pa.ArrowException:
        raise DataError(
            f"The column `{name}` can't be watched.",
            expected={"text": "texts", "time": "times"}.get(kind, "numbers"),
            found=str(found),
            remedy="declare the column under the kind of `features` that it is of",
        ) from None
    if array.null_count:
        array = pc.fill_null(array.cast(pa.float64()), np.nan)
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def _microseconds(array: pa.Array) -> pa.Array:
    """Return times as microseconds since 1970."""
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    return array.cast(pa.timestamp("us", zone)).cast(pa.int64())
