"""Golden rows: a few raw rows of a version's holdout and what it predicted for them, kept when it is registered.

A process that loads the version later, on any machine and by any release, first predicts them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.config.model import ModelConfig
from include.config.sections.rows.segments import owner_of
from include.data.columns.conversion import ARROW
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.data.stored_partitions import touching
from include.errors import EvaluationError, ObjectCorrupt, ObjectMissing
from include.registry.statements import golden_folder
from include.registry.versions import Version
from include.scoring.predictor import Array, Predictor, open_predictor
from include.storage.content import get_content, put_content
from include.storage.store import ObjectStore
from include.storage.tombstones import Tombstones
from include.training.out_of_core.workers import together

ROWS = 20
"""How many rows are kept; they are spread evenly over the holdout."""
TOLERANCE = 1e-6
"""By how much a prediction may differ, absolute, or relative to a value above one."""
PREDICTED = "(predicted)"
"""The column of predictions: a list of one number, or of one for each of more than two classes."""


class GoldenRowsDiffer(EvaluationError):
    """A version no longer gives the recorded predictions for its golden rows."""


def keep_golden(store: ObjectStore, model: ModelConfig, folder: Path, version: str | Version) -> str:
    """Keep the golden rows of a version and return their digest; those that are kept are not made again.

    Predictions are made the way that `include.scoring.score` makes them. Kept rows count if their bytes have the digest that
    they are named by: they follow from the version, so that another look at the holdout would give the same.

    Parameters
    ----------
    folder : Path
        The model's folder.
    version : str or Version
        Its id, by which the ledger names its record, or that record.
    """
    place = golden_folder(model.name, version if isinstance(version, str) else version.id)
    for key in store.list(f"{place}/"):
        with suppress(ObjectCorrupt, ObjectMissing, pa.ArrowInvalid):
            kept = key.removeprefix(f"{place}/").removesuffix(".parquet")
            table = pq.read_table(pa.BufferReader(get_content(store, place, ".parquet", kept)))
            if table.num_rows and PREDICTED in table.column_names:
                return kept
    with open_predictor(store, model, folder, version) as predictor:
        table = golden_of(store, predictor)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return put_content(store, place, ".parquet", sink.getvalue().to_pybytes())


def golden_of(store: ObjectStore, predictor: Predictor) -> pa.Table:
    """Make golden rows from the holdout of a version's snapshot, as for a version that is from before they were kept."""
    columns, schema = predictor.fit.columns, _snapshot(store, predictor).schema
    needed = schema if predictor.origin.derives else dict.fromkeys([*predictor.schema, *columns])
    frame = _spread_rows(store, predictor, list(needed), ROWS)
    score = predictor.predict(predictor.origin.make(frame, columns)).score
    predicted = pa.array(score.reshape(len(score), -1).astype(float).tolist(), pa.list_(pa.float64()))
    return _as_requested(predictor, frame).append_column(PREDICTED, predicted)


def holdout_rows(store: ObjectStore, predictor: Predictor, rows: int) -> pa.Table:
    """Return raw rows of a version's holdout, spread evenly over it, as a request would bring them.

    Parameters
    ----------
    rows : int
        How many at most.
    """
    return _as_requested(predictor, _spread_rows(store, predictor, list(predictor.schema), rows))


def _as_requested(predictor: Predictor, rows: pd.DataFrame) -> pa.Table:
    schema = pa.schema([(name, ARROW[kind]) for name, kind in predictor.schema.items()])
    return pa.Table.from_pandas(rows, schema=schema, preserve_index=False).replace_schema_metadata(None)


def _snapshot(store: ObjectStore, predictor: Predictor) -> Snapshot:
    return Snapshot.load(store, predictor.model.name, predictor.fit.snapshot)


def _spread_rows(store: ObjectStore, predictor: Predictor, columns: Sequence[str], rows: int) -> pd.DataFrame:
    """Return columns of the source of rows spread evenly over the holdout; of a fit in partitions, a partition at a time is read."""
    snapshot = _snapshot(store, predictor)
    of_source = partial(read_rows, store, snapshot, predictor.model, Path(), window="holdout", labelled=False)
    if predictor.fit.engine is None:
        frame = of_source(columns=columns)
        return frame.iloc[_spread(len(frame), rows)].reset_index(drop=True)
    parts = touching(snapshot, "holdout")
    sizes = [len(of_source(columns=[predictor.model.data.event_time], among=[pinned])) for pinned in parts]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places, frames = _spread(int(starts[-1]), rows), []
    for number, pinned in enumerate(parts):
        own = places[(places >= starts[number]) & (places < starts[number + 1])] - starts[number]
        if len(own):
            frames.append(of_source(columns=columns, among=[pinned]).iloc[own])
    return together(frames)


def load_golden(store: ObjectStore, model: str, version: str, *, named: Sequence[str] = ()) -> list[pa.Table]:
    """Return what was kept of a version: none, one table, or several if registrations by several releases differ.

    A table without rows is left out: an erasure may have removed all golden rows of a version.

    Parameters
    ----------
    named : sequence of str, optional
        The digests that a signed statement names: these and no others.

    Raises
    ------
    ObjectCorrupt, ObjectMissing
        When a file's bytes are not those that it is named by, or one that is named is gone.
    """
    folder = golden_folder(model, version)
    digests = list(named) or [key.rpartition("/")[2].partition(".")[0] for key in store.list(f"{folder}/")]
    bodies = [_standing(store, model, folder, digest) for digest in digests]
    tables = [pq.read_table(pa.BufferReader(body), page_checksum_verification=True) for body in bodies]
    return [table for table in tables if table.num_rows]


def _standing(store: ObjectStore, model: str, folder: str, digest: str) -> bytes:
    """Return the bytes of golden rows; for golden rows that an erasure rewrote, those of the object that the tombstone names."""
    try:
        return get_content(store, folder, ".parquet", digest)
    except ObjectMissing:
        stone = Tombstones(store, owner_of(model)).read().get(f"{folder}/{digest}.parquet")
        if stone is None or stone.instead is None:
            raise
        return _standing(store, model, folder, stone.instead.rpartition("/")[2].removesuffix(".parquet"))


def check_golden(predictor: Predictor, golden: pa.Table) -> None:
    """Predict golden rows as a request is predicted; raises `GoldenRowsDiffer`."""
    rows = golden.drop_columns([PREDICTED])
    expected = np.asarray(golden[PREDICTED].to_pylist(), dtype=float)
    found = predictor.predict(predictor.inputs(rows.select(list(predictor.schema)))).score.astype(float)
    if not agree(found.reshape(len(found), -1), expected):
        raise GoldenRowsDiffer(
            "A version no longer gives the recorded predictions for its golden rows.",
            expected=f"the same {len(expected)} predictions, to within {TOLERANCE}",
            found=f"differences up to {np.abs(found.reshape(expected.shape) - expected).max():.3g}"
            if found.size == expected.size
            else f"{found.shape[1:]} numbers a row",
            where=f"{predictor.model.name}: {predictor.version.id}",
            remedy="compare libraries and platform with those in the record of its fit; it is not served until they agree",
        )


def agree(found: Array, expected: Array) -> bool:
    """Tell whether predictions are the same to within `TOLERANCE`."""
    if found.shape != expected.shape:
        return False
    return bool((np.abs(found - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all())


def _spread(length: int, rows: int) -> np.ndarray[Any, Any]:
    return np.unique(np.linspace(0, length - 1, num=min(rows, length)).astype(int))
