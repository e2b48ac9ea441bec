"""Columns of declared types as a pandas frame, and a frame from elsewhere with the types on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.data import LOT, ROW
from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.sources import ColumnType
from include.data.columns.conversion import convert
from include.data.columns.rectified_texts import rectifiers, rectify_texts
from include.data.columns.text_parsing import refusal
from include.errors import DataError


def typed_rows(
    frame: pd.DataFrame, schema: Mapping[str, str], timezone: str, model: str, rectify: Rectify = AS_READ
) -> pd.DataFrame:
    """Return rows from anywhere as `read_rows` would return them: the columns of a schema that are there, typed as on record.

    Parameters
    ----------
    frame : pandas.DataFrame of shape (n_rows, n_columns)
    schema : mapping of str to str
        The snapshot's.
    timezone : str
        In which times without a zone are read.
    rectify : Rectify
        What is put right of texts.

    Raises
    ------
    DataError
        When a value would change by it.
    """
    columns = {}
    for name, word in schema.items():
        if name not in frame or name in (LOT, ROW):
            continue
        try:
            values = pa.chunked_array([pa.array(frame[name], from_pandas=True)])
            columns[name] = convert(values, cast(ColumnType, word), timezone, declared=True)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise DataError(
                f"Column `{name}` is not of the type on record.",
                expected=word,
                found=f"{frame[name].dtype}: {refusal(error)}",
                where=f"model {model}",
                remedy=f"read it as the source delivers it, such as `astype` to {word}",
            ) from None
    table = pa.table(columns)
    functions = {name: one for name, one in rectifiers(rectify).items() if name in table.column_names}
    return to_frame(rectify_texts(table, functions, f"model {model}")[0])


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return raw rows as `read_rows` does: texts as categories, every integer and truth value exact."""
    columns: dict[str, Any] = {}
    rows, given = table.num_rows, dict(zip(table.column_names, table.columns, strict=True))
    del table  # if nobody else holds it, each column goes once it is turned
    for name in list(given):
        column = given.pop(name)
        if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            columns[name] = _categories(column)
        elif pa.types.is_integer(column.type):
            columns[name] = whole_numbers(column)
        elif pa.types.is_boolean(column.type) and column.null_count:
            columns[name] = column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
        else:
            columns[name] = column.to_pandas(date_as_object=False)
    return pd.DataFrame(columns, index=pd.RangeIndex(rows), copy=False)


_EXACT = 2**53


def _categories(column: pa.ChunkedArray) -> pd.Categorical:
    """Return texts as categories that depend on the rows alone: sorted levels, none that no row has."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    array = encoded.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    levels = array.dictionary.to_numpy(zero_copy_only=False)
    codes = pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False).astype("int64")
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(levels)))
    order = used[np.argsort(levels[used].astype(str), kind="stable")]
    place = np.full(len(levels) + 1, -1, dtype="int64")
    place[order] = np.arange(len(order))
    dtype = pd.CategoricalDtype(pd.Index(levels[order], dtype="str"))
    return pd.Categorical.from_codes(place[codes], dtype=dtype)


def whole_numbers(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return integers as `read_rows` does: exact, as floats only where there are gaps and no float loses a digit."""
    if not column.null_count:
        return column.to_pandas()  # type: ignore[no-any-return]
    extremes = pc.min_max(column).as_py()
    exact = extremes["min"] is None or (extremes["min"] >= -_EXACT and extremes["max"] <= _EXACT)
    series: pd.Series[Any] = column.to_pandas(types_mapper=None if exact else {pa.int64(): pd.Int64Dtype()}.get)
    return series
