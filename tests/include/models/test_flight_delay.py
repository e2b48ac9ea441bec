"""What was found by looking at the flights, held."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from include.config.code import load_function

FOLDER = Path(__file__).parents[3] / "include" / "models" / "flight_delay"


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    read = load_function(FOLDER, "source:read")
    start, end = datetime(2012, 1, 1, tzinfo=UTC), datetime(2015, 1, 1, tzinfo=UTC)
    return pa.concat_tables(list(read(start, end))).to_pandas()


def test_every_flight_is_there_once(flights) -> None:
    assert len(flights) == 336_776
    assert not flights.duplicated(["carrier", "flight", "origin", "scheduled_departure"]).any()


def test_flights_that_never_arrived_have_no_label(flights) -> None:
    assert flights["late"].isna().sum() == 9_430
    assert flights["late"].mean() == pytest.approx(0.2372, abs=1e-4)


def test_event_times_are_instants_through_both_clock_changes(flights) -> None:
    local = flights["scheduled_departure"].dt.tz_convert("America/New_York")
    assert (local.dt.year == 2013).all()
    hours = flights.assign(hour=local.dt.hour, day=local.dt.date)
    # No clock of 2013 sends off its first regular flights at another hour than five.
    first = hours[hours["hour"] >= 2].groupby("day")["hour"].min()
    assert set(first) == {5}


def test_weather_is_that_of_the_hour_before(flights) -> None:
    row = flights[(flights["origin"] == "EWR") & (flights["scheduled_departure"] == "2013-01-01 10:15Z")].iloc[0]
    assert (row["temp"], row["humid"]) == (39.92, 62.21)
    assert flights["visib"].notna().mean() > 0.995


def test_nothing_is_delivered_that_is_known_only_after_departure(flights) -> None:
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"} & set(flights.columns)


def test_a_reading_is_cut_at_its_bounds(flights) -> None:
    read = load_function(FOLDER, "source:read")
    start, end = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC)
    march = pa.concat_tables(list(read(start, end))).to_pandas()
    inside = (flights["scheduled_departure"] >= start) & (flights["scheduled_departure"] < end)
    assert len(march) == inside.sum()
    assert march["scheduled_departure"].min() >= start
    assert march["scheduled_departure"].max() < end


def test_features_are_local_times_and_wind_by_direction(flights) -> None:
    derived = load_function(FOLDER, "features:derive")(flights[flights["origin"] == "EWR"].head(1))
    row = derived.iloc[0]
    assert row["departure_hour"] == 5.25
    assert row["weekday"] == "Tuesday"
    assert row["arrival_hour"] == pytest.approx(8 + 19 / 60)
    assert row["wind_east"] > 0  # blows from 250 degrees, the west-southwest
