"""Local times as instants, also in the hour that a clock change repeats or skips."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.time_zones import Clock

CHANGE = "say which one counts: `ambiguous: earlier` or `ambiguous: later` under `data`; or deliver times with an offset such as +02:00"
"""What to do about a `ClockChange`."""
_UTC = pa.timestamp("us", "UTC")


class ClockChange(pa.ArrowInvalid):  # type: ignore[misc]  # no types; caught wherever a library's refusal of a value is
    """A time without an offset that a clock change gives two readings; says nothing of the row but the day of the change."""


def local_to_utc(column: Any, timezone: str) -> Any:
    """Return times without a zone as instants.

    Parameters
    ----------
    column : Arrow array of timestamps without a zone
    timezone : str
        The zone that they are of; of a `Clock` also which reading counts where there are two.

    Raises
    ------
    ClockChange
        At a repeated or skipped time, where it is not declared which reading counts.
    """
    if timezone == "UTC":
        return column.cast(_UTC)
    try:
        return pc.assume_timezone(column, timezone, ambiguous="raise", nonexistent="raise").cast(_UTC)
    except pa.ArrowInvalid:
        return _with_two_readings(column, timezone)


def _with_two_readings(column: Any, timezone: str) -> Any:
    local = column.cast(pa.int64())
    before, after = (_offsets(column, timezone, which) for which in ("earliest", "latest"))
    readings = [pc.subtract(local, offset) for offset in (before, after)]
    policy = timezone.ambiguous if isinstance(timezone, Clock) else "refuse"
    if policy == "refuse":
        two = pc.fill_null(pc.not_equal(*readings), False)
        at = pc.index(two, True).as_py()
        first, second = (timedelta(microseconds=offsets[at].as_py()) for offsets in (before, after))
        # Clocks that go forward skip an hour, and have a larger offset afterwards.
        what = "skip an hour that this time lies in" if second > first else "show this time twice"
        raise ClockChange(
            f"on {column[at].as_py():%Y-%m-%d} the clocks of {timezone} {what}; it is {_offset(first)} or {_offset(second)}"
        )
    choose = pc.min_element_wise if policy == "earlier" else pc.max_element_wise
    return choose(*readings, skip_nulls=False).cast(pa.timestamp("us")).cast(_UTC)


def _offsets(column: Any, timezone: str, which: str) -> Any:
    """Return the offset from UTC on one side of a clock change, in microseconds; elsewhere it is the same on both."""
    instants = pc.assume_timezone(column, timezone, ambiguous=which, nonexistent=which)
    return pc.subtract(pc.local_timestamp(instants).cast(pa.int64()), instants.cast(pa.int64()))


def _offset(offset: timedelta) -> str:
    minutes = round(abs(offset) / timedelta(minutes=1))
    return f"UTC{'-' if offset < timedelta(0) else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
