"""A time means one instant: its unit is declared, and a zone in its text counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.config.sections.rows.sources import Column
from include.data.columns.text_parsing import BadTextError, parse

NEW_YORK = "America/New_York"
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def read(text: object, format: str | None = None, zone: str = "UTC", **marks: str) -> datetime:
    values = pa.array([text, None])
    return parse(values, Column(type="timestamp", format=format, **marks), zone)[0].as_py()


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("2024-01-01 12:00:00 UTC", None),
        ("2024-01-01 12:00:00.000 UTC", None),
        ("2024-01-01 12:00:00GMT", None),
        ("2024-01-01T12:00:00Z", None),
        ("2024-01-01T07:00:00-05:00", None),
        ("2024-01-01 12:00:00 UTC", "%Y-%m-%d %H:%M:%S %Z"),
        ("2024-01-01 12:00:00.000000 UTC", "%Y-%m-%d %H:%M:%S.%f %Z"),
        ("Mon Jan 01 12:00:00 GMT 2024", "%a %b %d %H:%M:%S %Z %Y"),
        ("2024-01-01 12:00:00 UTC", "%Y-%m-%d %H:%M:%S UTC"),
        ("01.01.2024 12:00Z", "%d.%m.%Y %H:%MZ"),
        ("01.01.2024 13:00 +0100", "%d.%m.%Y %H:%M %z"),
    ],
)
def test_a_zone_in_the_text_counts_whatever_the_declared_one(text, format) -> None:
    assert read(text, format, NEW_YORK) == NOON
    assert read(text, format) == NOON


def test_bigquery_s_times_are_read_with_and_without_fractions() -> None:
    texts = pa.array(["2024-01-01 12:00:00 UTC", "2024-01-01 12:00:00.5 UTC", None])
    read_ = parse(texts, Column(type="timestamp"), NEW_YORK).to_pylist()
    assert read_ == [NOON, NOON + timedelta(seconds=0.5), None]


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("2024-01-01 12:00:00 EST", "%Y-%m-%d %H:%M:%S %Z"),
        ("2024-01-01 12:00:00 CET", "%Y-%m-%d %H:%M:%S %Z"),
        ("2024-01-01 12:00:00", "%Y-%m-%d %H:%M:%S %Z"),
        ("2024-01-01 12:00:00 EST", None),
        ("2024-01-01 12:00:00.5 UTC", "%Y-%m-%d %H:%M:%S %Z"),
    ],
)
def test_a_name_that_is_no_one_zone_is_refused(text, format) -> None:
    with pytest.raises(BadTextError):
        read(text, format)


def test_times_with_and_without_a_zone_are_not_mixed() -> None:
    for texts in (
        ["2024-01-01 12:00:00 UTC", "2024-01-01 12:00:00"],
        ["2024-01-01 12:00:00", "2024-01-01 12:00:00 UTC"],
    ):
        with pytest.raises(BadTextError):
            parse(pa.array(texts), Column(type="timestamp"), NEW_YORK)


def test_an_offset_among_the_letters_of_a_format_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected `%z`"):
        Column(type="timestamp", format="%Y-%m-%d %H:%M:%S+01:00")


@pytest.mark.parametrize(
    ("format", "number"),
    [
        ("epoch_s", 1704110400),
        ("epoch_ms", 1704110400_000),
        ("epoch_us", 1704110400_000_000),
        ("epoch_ns", 1704110400_000_000_000),
    ],
)
def test_the_unit_of_an_epoch_is_the_declared_one(format, number) -> None:
    assert read(str(number), format, NEW_YORK) == NOON
    assert read(number, format) == NOON
    for other in {"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"} - {format}:
        with pytest.raises(BadTextError, match=f"is the unit {format}"):
            read(str(number), other)


def test_fractions_of_an_epoch_count() -> None:
    assert read("1704110400.25", "epoch_s") == NOON + timedelta(seconds=0.25)
    assert read("1704110400.0", "epoch_s") == NOON


@pytest.mark.parametrize(
    ("text", "marks", "when"),
    [
        ("45292.5", {}, NOON),
        ("45292,5", {"decimal": ","}, NOON),
        ("45292", {}, datetime(2024, 1, 1, tzinfo=UTC)),
        ("45292.333333333336", {}, datetime(2024, 1, 1, 8, tzinfo=UTC)),
        ("61", {}, datetime(1900, 3, 1, tzinfo=UTC)),
    ],
)
def test_excel_s_days_are_read_as_excel_shows_them(text, marks, when) -> None:
    assert read(text, "excel", **marks) == when


def test_excel_s_days_are_local_times() -> None:
    assert read("45292.5", "excel", NEW_YORK) == NOON + timedelta(hours=5)


@pytest.mark.parametrize("text", ["0", "60", "-1", "1704110400", "nan", "inf", "1/1/2024"])
def test_a_number_that_is_no_day_of_excel_is_refused(text) -> None:
    with pytest.raises(BadTextError):
        read(text, "excel")


@given(st.datetimes(datetime(1900, 3, 1), datetime(2199, 12, 31)))
def test_a_day_of_excel_is_exact_to_the_millisecond(when) -> None:
    when = when.replace(microsecond=when.microsecond // 1000 * 1000)
    days = (when - datetime(1899, 12, 30)) / timedelta(days=1)
    assert read(repr(days), "excel") == when.replace(tzinfo=UTC)
