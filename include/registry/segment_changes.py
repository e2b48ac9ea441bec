"""Announce a new version of a segment in the model's segment log before the ledger is written."""

from __future__ import annotations

from typing import Any

from include.config.sections.rows.segments import owner_of, segment_of
from include.data.segment_log import SegmentLog
from include.registry.timeline import fold
from include.storage.log import Decide, Entry
from include.storage.store import ObjectStore


def announced_first(decide: Decide, store: ObjectStore, model: str, *, at: str) -> Decide:
    """Return what announces the ledger's next event, before it is written, where the champion after it is another one.

    Parameters
    ----------
    decide : callable
        Returns the next event of the ledger, or None.
    store : ObjectStore
    model : str
        The name that a segment's model is kept as; of any other nothing is announced.
    at : str
        The instant that goes on record.
    """
    segment = segment_of(model)
    if segment is None:
        return decide

    def announced(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
        decided = decide(entries)
        if decided is not None:
            number = len(entries)
            previous = entries[-1].digest if entries else None
            next_one = Entry(number, previous, decided[0], at, "", decided[1], "")
            # A version that is withdrawn may answer somewhere though another one is in force, which is refused there.
            if decided[0] == "withdrawn" or fold((*entries, next_one)).champion != fold(entries).champion:
                SegmentLog(store, owner_of(model)).announce(segment, number, at=at)
        return decided

    return announced
