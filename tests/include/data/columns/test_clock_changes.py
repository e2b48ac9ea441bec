"""A local time that a clock change shows twice or never is refused with both readings, or means what is declared."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.config.sections.data import Data
from include.config.sections.rows.sources import Column
from include.config.time_zones import Clock
from include.data.columns.clock_changes import ClockChange, local_to_utc
from include.data.columns.text_parsing import parse
from include.data.sources.registry import read, source_digest
from include.errors import SourceError

BERLIN = "Europe/Berlin"
SKIPPED, REPEATED = datetime(2025, 3, 30, 2, 15), datetime(2025, 10, 26, 2, 30)
UTC_OF = {
    (SKIPPED, "earlier"): datetime(2025, 3, 30, 0, 15, tzinfo=UTC),
    (SKIPPED, "later"): datetime(2025, 3, 30, 1, 15, tzinfo=UTC),
    (REPEATED, "earlier"): datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
    (REPEATED, "later"): datetime(2025, 10, 26, 1, 30, tzinfo=UTC),
}


def instants(*times: datetime | None, clock: str) -> list[Any]:
    return local_to_utc(pa.array(times, pa.timestamp("us")), clock).to_pylist()


@pytest.mark.parametrize(("time", "policy"), UTC_OF)
def test_the_declared_reading_counts_beside_times_that_have_one(time: datetime, policy: Any) -> None:
    plain = datetime(2025, 7, 1, 12)
    found = instants(plain, None, time, clock=Clock(BERLIN, policy))
    assert found == [datetime(2025, 7, 1, 10, tzinfo=UTC), None, UTC_OF[time, policy]]


@pytest.mark.parametrize(
    ("time", "zone", "said"),
    [
        (SKIPPED, BERLIN, "on 2025-03-30 the clocks of Europe/Berlin skip an hour .*UTC.01:00 or UTC.02:00"),
        (REPEATED, BERLIN, "on 2025-10-26 the clocks of Europe/Berlin show this time twice.*UTC.02:00 or UTC.01:00"),
        (datetime(2025, 11, 2, 1, 5), "America/New_York", "twice.*UTC-04:00 or UTC-05:00"),
        (datetime(2025, 10, 5, 2, 10), "Australia/Lord_Howe", r"skip.*UTC.10:30 or UTC.11:00"),
        (datetime(2011, 12, 30, 12), "Pacific/Apia", "skip.*UTC-10:00 or UTC.14:00"),
    ],
)
def test_undeclared_it_is_refused_with_the_zone_and_both_readings(time: datetime, zone: str, said: str) -> None:
    with pytest.raises(ClockChange, match=said):
        instants(datetime(2025, 7, 1), time, clock=zone)


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2037, 1, 1)),
    st.sampled_from([BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
@example(SKIPPED, BERLIN)
@example(REPEATED, BERLIN)
@example(datetime(2025, 10, 26, 3), BERLIN)
@example(datetime(2025, 10, 26, 2), BERLIN)
def test_readings_are_those_of_pythons_own_zones(time: datetime, zone: str) -> None:
    readings = sorted(time.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    assert instants(time, clock=Clock(zone, "earlier")) == readings[:1]
    assert instants(time, clock=Clock(zone, "later")) == readings[1:]
    if readings[0] == readings[1]:
        assert instants(time, clock=zone) == readings[:1]
    else:
        with pytest.raises(ClockChange):
            instants(time, clock=zone)


@pytest.mark.parametrize("column", [Column(type="timestamp"), Column(type="timestamp", format="%d.%m.%Y %H:%M:%S")])
def test_it_is_so_for_texts_of_any_format(column: Column) -> None:
    texts = pa.array([time.strftime(column.format or "%Y-%m-%d %H:%M:%S") for time in (datetime(2025, 1, 1), SKIPPED)])
    found = parse(texts, column, Clock(BERLIN, "later")).to_pylist()
    assert found == [datetime(2024, 12, 31, 23, tzinfo=UTC), UTC_OF[SKIPPED, "later"]]


def declared(path: Path, **more: Any) -> Data:
    columns = {"id": {"type": "string"}, "at": {"type": "timestamp"}}
    source = {"kind": "files", "path": path.name, "format": "csv", "columns": columns}
    windows = {"train": "2mo", "holdout": "1mo"}
    return Data.model_validate(
        {"source": source, "event_time": "at", "row_id": ["id"], "windows": windows, "timezone": BERLIN, **more}
    )


def test_a_run_stops_with_the_row_the_zone_and_the_way_out_and_goes_on_once_it_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,at\n1,2025-03-29 10:00:00\n2,2025-03-30 02:15:00\n")

    def rows(data: Data) -> list[Any]:
        tables = read(data, tmp_path, slots=["2025-03"], recorded={}, connections=None)  # type: ignore[arg-type]
        return [row for table in tables for row in table["at"].to_pylist()]

    with pytest.raises(SourceError) as caught:
        rows(declared(path))
    said = str(caught.value)
    assert "data row 2" in said and "Europe/Berlin" in said and "UTC+01:00 or UTC+02:00" in said
    assert "`ambiguous: earlier`" in said and "format" not in said and "02:15" not in said
    assert rows(declared(path, ambiguous="later"))[1] == UTC_OF[SKIPPED, "later"]


def test_what_is_declared_is_part_of_how_rows_are_read_and_silence_changes_no_digest(tmp_path: Path) -> None:
    data = declared(tmp_path / "rows.csv")
    assert "ambiguous" not in data.model_dump(mode="json")
    digests = {source_digest(one, tmp_path) for one in (data, declared(tmp_path / "rows.csv", ambiguous="earlier"))}
    assert len(digests) == 2


def test_a_clock_stays_one_when_it_is_copied_or_sent_to_another_process() -> None:
    clock = Clock(BERLIN, "later")
    for again in (copy.deepcopy(clock), pickle.loads(pickle.dumps(clock))):
        assert (again, again.ambiguous) == (BERLIN, "later")
