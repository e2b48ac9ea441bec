"""The row schema of a version: its raw columns, and which of them a request must have."""

from __future__ import annotations

import pyarrow as pa

from include.data.columns.equal_values import equal_values
from include.data.columns.pandas_frames import to_frame
from include.data.derived_columns import derived
from include.errors import RatchetError
from include.scoring.predictor import Predictor
from include.serving.protocol.row_schema import Column, RequestSchema


def schema_of(predictor: Predictor, sample: pa.Table) -> RequestSchema:
    """Return what a version asks of rows.

    A column is required if the pipeline reads it, or if ``derive`` fails, or gives other values of what the pipeline reads,
    without it.

    Parameters
    ----------
    sample : pyarrow.Table
        A few rows with every column.
    """
    model = predictor.model
    read = set(predictor.fit.columns) if predictor.derive is None else _read_by_derive(predictor, sample)
    if model.segments is not None:
        read.add(model.segments.column)  # it says which version answers
    return RequestSchema(
        tuple(
            Column(name, kind, name in read, predictor.joined.get(name, "")) for name, kind in predictor.schema.items()
        ),
        model.data.clock,
        model.data.target,
        predictor.origin.declared.quality.rectify,
    )


def _read_by_derive(predictor: Predictor, sample: pa.Table) -> set[str]:
    derive, name, inputs = predictor.derive, str(predictor.model.features.derive), list(predictor.fit.columns)
    assert derive is not None  # noqa: S101
    frame = to_frame(sample)
    whole = predictor.inputs(sample)
    read = set()
    for column in predictor.schema:
        try:
            without = derived(frame.drop(columns=[column]), derive, name, target=None, check=False)[inputs]
        except (RatchetError, LookupError, AttributeError, TypeError, ValueError):
            read.add(column)
            continue
        if not all(equal_values(whole[one], without[one]).all() for one in inputs):
            read.add(column)
    return read
