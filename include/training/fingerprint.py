"""What a fit's inputs looked like: to tell whether today's code still derives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from include.data.content import table_digest

ROWS = 1000


def fingerprint(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return a digest of each column's values in the first `ROWS` rows.

    Numbers count with ten significant digits: the last bits depend on the processor.
    """
    return {name: table_digest(_table(frame[name].head(ROWS)))[:16] for name in columns}


def _table(column: pd.Series) -> pa.Table:
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        column = pd.Series([float(f"{value:.10g}") + 0.0 for value in values])
    return pa.Table.from_pandas(column.to_frame("values"), preserve_index=False).replace_schema_metadata(None)
