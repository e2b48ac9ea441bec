"""Select the slots of a source that a run reads: missing, empty, incomplete, or due for another check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from include.config.durations import Duration
from include.config.sections.data import Data
from include.data.ingestion.readings import Observation
from include.data.slots import bounds
from include.storage.content import from_iso


def due_slots(
    needed: Sequence[str], known: Mapping[str, Observation], data: Data, doubtful: set[str], until: datetime
) -> list[str]:
    """Return the slots that a run has to read, in order.

    Parameters
    ----------
    needed : sequence of str
        The slots that the run's windows touch, oldest first.
    known : mapping of str to Observation
        The newest observation of each slot on record.
    data : Data
        How the source is declared; the newest ``recheck`` slots are read in any case.
    doubtful : set of str
        Slots whose time of reading can't be relied on.
    until : datetime
        Where the newest window ends. The slot that only begins then, at a run on the first of a month, is read beside those of ``recheck``.
    """
    first = min((slot for slot, one in known.items() if one.rows), default="")

    def settled(slot: str) -> bool:
        # An empty slot is a gap that a late file may fill, unless it is before the first data.
        if slot not in known or slot in doubtful or not (known[slot].rows or slot < first):
            return False
        return from_iso(known[slot].complete_to) >= settled_at(slot, data.label_delay)

    if data.timeless:
        return list(needed)  # nothing but reading tells whether a table has changed
    begun = [slot for slot in needed if bounds(slot)[0] < until]
    recheck = set(needed[max(len(begun) - data.recheck, 0) :]) if data.recheck else set()
    return [slot for slot in needed if slot in recheck or not settled(slot)]


def settled_at(slot: str, label_delay: Duration) -> datetime:
    """Return when nothing of a slot is due any more: its newest row has its label."""
    settled: datetime = bounds(slot)[1] + label_delay
    return settled
