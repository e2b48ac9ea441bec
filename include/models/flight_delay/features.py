"""What a dispatcher sees in a timetable, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the parts of the local departure and arrival times, and the wind as two components."""
    local = frame["scheduled_departure"].dt.tz_convert("America/New_York")
    direction = np.deg2rad(frame["wind_dir"])
    return frame.assign(
        departure_hour=local.dt.hour + local.dt.minute / 60,
        arrival_hour=frame["sched_arr_time"] // 100 + frame["sched_arr_time"] % 100 / 60,
        weekday=pd.Categorical(local.dt.day_name(), categories=_DAYS),
        day_of_year=local.dt.day_of_year,
        wind_east=-frame["wind_speed"] * np.sin(direction),
        wind_north=-frame["wind_speed"] * np.cos(direction),
    )


_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
