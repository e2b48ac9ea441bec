"""Rows that a function in the model's folder yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
import pyarrow as pa

from include.config.code import load_function
from include.config.sections.rows.sources import PythonSource
from include.data.columns.text_parsing import refusal
from include.data.sources.protocol import ReadRequest, SourceBatch
from include.errors import SourceError


def read(request: ReadRequest[PythonSource]) -> Iterator[SourceBatch]:
    """Yield the tables of the reader, called once for each range of event time; once without any, for a table without time.

    What the reader itself raises goes through as it is: it may be a passing fault that a retry helps.

    Raises
    ------
    SourceError
        When it yields something that is no table, or a column that mixes types.
    """
    source = request.source
    reader = load_function(request.folder, source.reader)
    ranges = request.ranges
    for bounds in [()] if ranges is None else ranges:
        given = reader(*bounds)
        tables: Iterable[object] = [given] if isinstance(given, pd.DataFrame | pa.Table | pa.RecordBatch) else given
        for table in tables:
            yield SourceBatch(_arrow(table, source.reader), source.reader)


def _arrow(table: object, reader: str) -> pa.Table:
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if isinstance(table, pa.Table):
        return table
    if not isinstance(table, pd.DataFrame):
        raise SourceError(
            "The reader yields something that is no table.",
            expected="pandas DataFrames, Arrow tables or record batches",
            found=type(table).__name__,
            where=reader,
        )
    columns = []
    for place, name in enumerate(table.columns):  # by its place: a name may stand twice, which is said later
        try:
            columns.append(pa.Array.from_pandas(table.iloc[:, place]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
            text = isinstance(error, UnicodeEncodeError)
            raise SourceError(
                f"Column `{name}` holds a text that is none." if text else f"Column `{name}` mixes types.",
                expected="Unicode without halves of characters" if text else "one type in all rows",
                found=refusal(error),
                where=reader,
                remedy="convert the column in the reader",
            ) from error
    return pa.Table.from_arrays(columns, names=[str(name) for name in table.columns])
