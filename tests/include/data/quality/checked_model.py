"""A small model and a snapshot of its rows, for tests of the checks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.config.model import ModelConfig
from include.data.slots import slot_of
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import split_at
from include.storage.content import digest
from include.storage.store import ObjectStore

AS_OF = datetime(2024, 5, 1, 12, tzinfo=UTC)
SCHEMA = {"at": "timestamp", "id": "integer", "place": "string", "size": "float", "label": "integer"}


def model_with(*expectations: dict[str, Any], derive: str | None = None, **quality: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "name": "parcels",
            "description": "Will this parcel be late?",
            "owner": "post",
            "task": "classification",
            "schedule": {"start": "2024-01-01"},
            "data": {
                "source": {"kind": "python", "reader": "source:read"},
                "event_time": "at",
                "row_id": "id",
                "target": "label",
                "partition": "month",
                "label_delay": "12h",
                "windows": {"train": "2mo", "holdout": "1mo"},
            },
            "quality": {"expectations": list(expectations), **quality},
            "features": {"derive": derive, "numeric": {"columns": ["size"]}, "categorical": {"columns": ["place"]}},
            "training": {"candidates": [{"estimator": "logistic_regression"}]},
            "gate": {"primary": {"metric": "roc_auc"}},
        }
    )


def rows(**changes: Any) -> pd.DataFrame:
    """One row every six hours from January to April, so that windows begin and end inside a partition."""
    at = pd.date_range("2024-01-01", "2024-04-30 18:00", freq="6h", tz="UTC").as_unit("us")
    n = range(len(at))
    frame = pd.DataFrame(
        {
            "at": at,
            "id": list(n),
            "place": [("north", "south", "west")[i % 3] for i in n],
            "size": [float(i % 10) for i in n],
            "label": [i % 2 for i in n],
        }
    )
    return frame.assign(**{name: change(frame) for name, change in changes.items()})


def snapshot_of(store: ObjectStore, frame: pd.DataFrame, model: ModelConfig) -> Snapshot:
    split = split_at(AS_OF, model.data.windows, model.data.label_delay)
    empty = Snapshot(model.name, AS_OF, "5" * 64, split, (), SCHEMA)
    pinned = []
    for slot in split.slots(model.data.partition):
        part = frame[[slot_of(instant, model.data.partition) == slot for instant in frame["at"]]]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), sink, write_page_checksum=True)
        body = sink.getvalue().to_pybytes()
        pinned.append(Pinned(slot, digest(body), digest(body), len(part)))
        store.put_if_absent(empty.partition_key(pinned[-1]), body)
    snapshot = Snapshot(model.name, AS_OF, "5" * 64, split, tuple(pinned), SCHEMA)
    snapshot.save(store)
    return snapshot
