"""`derive` for a single row in plain Python, for the server; it is used only where it agrees with `features.derive`."""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import ZoneInfo

_NEW_YORK = ZoneInfo("America/New_York")
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def derive(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that `features.derive` adds, None where it gives no value."""
    departure, arrival = row["scheduled_departure"], row["sched_arr_time"]
    local = None if departure is None else departure.astimezone(_NEW_YORK)
    speed, direction = row["wind_speed"], row["wind_dir"]
    windy = speed is not None and direction is not None
    return {
        "departure_hour": None if local is None else local.hour + local.minute / 60,
        "arrival_hour": None if arrival is None else arrival // 100 + arrival % 100 / 60,
        "weekday": None if local is None else _DAYS[local.weekday()],
        "wind_east": -speed * math.sin(math.radians(direction)) if windy else None,
        "wind_north": -speed * math.cos(math.radians(direction)) if windy else None,
    }
