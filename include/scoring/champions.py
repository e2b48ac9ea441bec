"""The champion for each row: that of its segment, otherwise that of the model of all rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.config.sections.rows.segments import kept_as, segment_key
from include.data.segment_log import SegmentLog
from include.data.snapshots import Segment, Snapshot
from include.registry.ledger import Ledger
from include.registry.versions import Version
from include.storage.concurrency import at_once
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class SegmentChampion:
    """A segment that its own model predicts.

    Attributes
    ----------
    name : str
        The segment's name.
    model : ModelConfig
        The declaration under the name that the segment's model is kept as.
    """

    name: str
    model: ModelConfig
    segment: Segment
    version: Version

    def positions(self, frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Return where its rows are in a frame that has the segments' column."""
        return np.flatnonzero((frame[self.segment.column] == self.segment.level).fillna(False).to_numpy(dtype=bool))

    def rows_of(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot of its rows."""
        return snapshot.of_segment(self.model.name, self.segment)


class Champions:
    """The versions that were in force as of an instant, of a model and of each of its segments.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        Of all rows.
    instant : datetime
    """

    def __init__(self, store: ObjectStore, model: ModelConfig, instant: datetime) -> None:
        self._model, self._instant = model, instant
        self.pooled = Ledger(store, model.name)
        known = {} if model.segments is None else SegmentLog(store, model.name).ever()
        self._own = {level: (name, Ledger(store, segment_key(model.name, name))) for level, name in known.items()}

    def ids(self) -> tuple[str | None, dict[str, str]]:
        """Return the version in force for all rows, and those of the segments that have one, by their names."""
        ledgers = [(name, ledger) for name, ledger in sorted(self._own.values(), key=lambda one: one[0])]
        read = at_once(self.pooled.store, [self.pooled.timeline, *(ledger.timeline for _, ledger in ledgers)])
        pooled, *own = [timeline.champion_as_of(self._instant) for timeline in read]
        named = zip(ledgers, own, strict=True)
        return pooled, {name: version for (name, _), version in named if version is not None}

    def of_segments(self, ids: dict[str, str]) -> list[SegmentChampion]:
        """Return the segments' versions, by their records; ``ids`` is from `ids`."""
        declared = self._model.segments
        return [
            SegmentChampion(
                name,
                kept_as(self._model, name),
                Segment(declared.column, level),
                ledger.version(ids[name]),
            )
            for level, (name, ledger) in self._own.items()
            if declared is not None and name in ids
        ]
