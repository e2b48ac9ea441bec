"""Slots of event time: the hours, days or months, in UTC, that partitions hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from dateutil.relativedelta import relativedelta

from include.config.sections.rows.sources import Slot

_FORMATS = {Slot.MONTH: "%Y-%m", Slot.DAY: "%Y-%m-%d", Slot.HOUR: "%Y-%m-%dT%H"}
_STEPS = {
    Slot.MONTH: relativedelta(months=1),
    Slot.DAY: relativedelta(days=1),
    Slot.HOUR: relativedelta(hours=1),
}


def slot_of(instant: datetime, length: Slot) -> str:
    """Return the name of the slot that holds ``instant``: ``2013-05``, ``2013-05-01`` or ``2013-05-01T07``."""
    return instant.astimezone(UTC).strftime(_FORMATS[length])


def length_of(slot: str) -> Slot:
    """Return the length that a slot's name tells."""
    return {7: Slot.MONTH, 10: Slot.DAY, 13: Slot.HOUR}[len(slot)]


@lru_cache(maxsize=65_536)  # seven years of hours: a run asks for the bounds of each of its slots again and again
def bounds(slot: str) -> tuple[datetime, datetime]:
    """Return the first instant of a slot and the first one after it."""
    length = length_of(slot)
    start = datetime.strptime(slot, _FORMATS[length]).replace(tzinfo=UTC)
    return start, start + _STEPS[length]


def slots_between(first: datetime, last: datetime, length: Slot) -> Iterator[str]:
    """Yield the slots that hold any instant from ``first`` to ``last``, both included, ascending."""
    if first > last:
        return
    start, _ = bounds(slot_of(first, length))
    while start <= last:
        yield slot_of(start, length)
        start += _STEPS[length]
