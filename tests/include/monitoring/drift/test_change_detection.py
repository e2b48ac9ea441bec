"""Detectors: bets that are fair, a rate that is kept whatever the rows, and changes that are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.monitoring.drift.change_detection import _bets, detect, phases, thresholds
from include.monitoring.drift.long_run_variance import long_run_variance, studentised

Array = np.ndarray[Any, Any]
REFERENCE, LOOKS = 84, 120
DAY = timedelta(days=1)
WEEKDAYS = np.arange(REFERENCE + LOOKS) % 7


def lasting(rng: np.random.Generator, count: int, days: int, by: float) -> Array:
    """Return series that go on as they began: autocorrelated by so much from one day to the next."""
    found = rng.standard_normal((count, days))
    for day in range(1, days):
        found[:, day] = by * found[:, day - 1] + np.sqrt(1 - by**2) * found[:, day]
    return found


def crossings(series: Array, threshold: float, *, two_sided: bool = True) -> Array:
    count = len(series)
    limit, sides = np.full(count, threshold), np.full(count, two_sided)
    return detect(series, WEEKDAYS[: series.shape[1]], REFERENCE, limit, sides).crossed


@given(st.integers(2, 600))
@settings(max_examples=30, deadline=None)
def test_a_bet_is_fair_among_all_ranks(size: int) -> None:
    growth, cumulants = _bets(size)
    assert np.allclose(growth[:, -1] / size, 1)
    assert (cumulants >= -1e-12).all()


@pytest.mark.parametrize("by", [0.0, 0.6], ids=["independent days", "days that last"])
def test_detectors_alarm_at_most_as_often_as_is_accepted(by: float) -> None:
    series = lasting(np.random.default_rng(1), 1500, REFERENCE + LOOKS, by)
    alarms = crossings(series, LOOKS / 0.1).sum()  # a tenth of a false alarm a series
    expected = 0.1 * len(series)
    assert alarms <= expected + 3 * np.sqrt(expected)


def test_without_paying_for_memory_days_that_last_would_break_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    series = lasting(np.random.default_rng(1), 300, REFERENCE + LOOKS, 0.6)
    monkeypatch.setattr(
        "include.monitoring.drift.change_detection.long_run_variance", lambda residuals: np.ones(len(residuals))
    )
    expected = 0.1 * len(series)
    assert crossings(series, LOOKS / 0.1).sum() > expected + 3 * np.sqrt(expected)


def test_a_shift_is_found_the_sooner_the_larger_it_is() -> None:
    series = np.random.default_rng(2).standard_normal((60, REFERENCE + 60))
    delays = []
    for shift in (2.0, 4.0):
        moved = series.copy()
        moved[:, REFERENCE + 10 :] += shift
        found = crossings(moved, 365 * 20)
        assert not found[:, :10].any()
        assert found.any(axis=1).mean() > 0.9
        delays.append(np.median(found.argmax(axis=1)) - 9)
    assert delays[1] < delays[0] <= 18 and delays[1] <= 8


def test_a_fall_is_found_only_where_low_values_are_asked_for() -> None:
    series = np.random.default_rng(3).standard_normal((20, REFERENCE + 40))
    series[:, REFERENCE:] -= 4
    assert crossings(series, 1000).any(axis=1).all()
    assert not crossings(series, 1000, two_sided=False).any()


def test_what_counts_is_the_spread_between_periods_and_not_the_unit() -> None:
    series = np.random.default_rng(4).standard_normal((20, REFERENCE + 30))
    series[:, REFERENCE + 5 :] += 2
    limits, sides = np.full(20, 500.0), np.ones(20, dtype=bool)
    plain = detect(series, WEEKDAYS[: REFERENCE + 30], REFERENCE, limits, sides)
    small = detect(7 + 1e-4 * series, WEEKDAYS[: REFERENCE + 30], REFERENCE, limits, sides)
    assert np.allclose(plain.evidence, small.evidence)


def test_weekdays_that_differ_by_nature_are_no_surprise_and_would_hide_a_change_if_they_were_not_told_apart() -> None:
    rng = np.random.default_rng(5)
    series = 10 * np.arange(7)[WEEKDAYS[: REFERENCE + 40]] + rng.standard_normal((40, REFERENCE + 40))
    assert not crossings(series, 1000).any()
    series[:, REFERENCE + 5 :] += 4
    assert crossings(series, 1000).any(axis=1).mean() > 0.9
    together = detect(
        series, np.zeros(REFERENCE + 40, dtype=int), REFERENCE, np.full(40, 1000.0), np.ones(40, dtype=bool)
    )
    assert not together.crossed.any()


def test_a_series_that_never_changes_is_never_surprising() -> None:
    assert not crossings(np.full((1, REFERENCE + LOOKS), 0.1 + 0.2), 2.0).any()


def test_a_period_without_a_value_is_passed_over() -> None:
    series = np.random.default_rng(6).standard_normal((1, REFERENCE + 40))
    series[0, REFERENCE:] += 3
    gaps = series.copy()
    gaps[0, REFERENCE + 3 : REFERENCE + 10] = np.nan
    found = detect(gaps, WEEKDAYS[: REFERENCE + 40], REFERENCE, np.array([50.0]), np.array([True]))
    assert (found.evidence[0, 3:10] == 0).all()
    assert found.crossed.any()


def test_beside_few_periods_nothing_is_surprising() -> None:
    series = np.r_[np.random.default_rng(7).standard_normal(6), np.full(50, 100.0)][None, :]
    found = detect(series, np.zeros(56, dtype=int), 6, np.array([10.0]), np.array([True]))
    assert not found.crossed.any()


def test_where_a_change_began_is_told() -> None:
    series = np.random.default_rng(8).standard_normal((30, REFERENCE + 40))
    series[:, REFERENCE + 20 :] += 5
    found = detect(series, WEEKDAYS[: REFERENCE + 40], REFERENCE, np.full(30, 2000.0), np.ones(30, dtype=bool))
    first = found.crossed.argmax(axis=1)
    assert abs(np.median(found.began[np.arange(30), first]) - 20) <= 2


def test_the_memory_of_a_series_is_its_long_run_variance() -> None:
    rng = np.random.default_rng(9)
    for by in (0.0, 0.5):
        series = lasting(rng, 400, 300, by)
        expected = (1 + by) / (1 - by)
        assert expected <= np.median(long_run_variance(series)) <= 1.5 * expected


def test_a_distance_remembers_at_least_what_a_square_of_its_place_does() -> None:
    rng = np.random.default_rng(11)
    places = lasting(rng, 1, REFERENCE + 5, 0.9)
    series = np.vstack([places, rng.standard_normal((1, REFERENCE + 5))])
    limits, sides = np.full(2, 1e9), np.ones(2, dtype=bool)
    phases_ = WEEKDAYS[: REFERENCE + 5]
    alone = detect(series, phases_, REFERENCE, limits, sides).memory
    found = detect(series, phases_, REFERENCE, limits, sides, np.array([-1, 0])).memory
    assert found[0] == alone[0] > 5 and alone[1] < 3
    assert found[1] == pytest.approx((alone[0] + 1 / alone[0]) / 2)


def test_studentised_values_are_less_the_mean_of_the_others_in_its_standard_errors() -> None:
    values = np.random.default_rng(10).standard_normal(9)
    rest = np.delete(values, 3)
    expected = (values[3] - rest.mean()) / (rest.std(ddof=1) * np.sqrt(1 + 1 / 8))
    assert studentised(values[None, :])[0, 3] == pytest.approx(expected)


def test_thresholds_divide_the_false_alarms_of_a_year() -> None:
    shares = np.array([0.5, 0.25, 0.25])
    looks = 365.25
    assert (looks / thresholds(shares, 2.0, DAY)).sum() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("length", "periods", "found"),
    [
        (DAY, 35, 7),
        (DAY, 20, 1),
        (timedelta(hours=1), 24 * 35, 168),
        (timedelta(hours=1), 24 * 10, 24),
        (7 * DAY, 40, 1),
    ],
)
def test_phases_are_told_apart_as_far_as_the_reference_goes(length: timedelta, periods: int, found: int) -> None:
    starts = [datetime(2026, 1, 5, tzinfo=UTC) + number * length for number in range(periods + 5)]
    assert len(np.unique(phases(starts, length, periods))) == found
