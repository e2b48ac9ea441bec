"""The promises of docs/watching.md, on few models; docs/watch-error.md has them on many.

Seeds are fixed. Tolerances are three Monte-Carlo standard errors of what is promised.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.watch_error import ALLOWED, BINS, NATURES, TRAIN, World, calm, count_of, planted, share_of, simulate


@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("rows", [200, 2_000_000])
def test_the_rate_of_false_alarms_is_kept_whatever_the_rows(nature: str, rows: int) -> None:
    found = [calm(seed, World(rows, 5, nature)) for seed in range(6)]
    assert np.mean([one["surprises"] for one in found]) <= ALLOWED + 3 * np.sqrt(ALLOWED / 6)
    assert all(one["alarms"] <= one["surprises"] and one["faults"] == 0 for one in found)


def test_a_test_of_rows_alarms_every_day_of_a_large_model() -> None:
    assert calm(0, World(2_000_000, 5, "day effects"))["naive"] > 350


@pytest.mark.parametrize("rows", [200, 20_000, 2_000_000])
def test_a_planted_shift_is_found_within_two_weeks_whatever_the_rows(rows: int) -> None:
    delays = [planted(seed, World(rows, 5, "day effects", shift=0.5, days=60))["delay"] for seed in range(4)]
    assert np.median(delays) <= 14


def test_a_second_summer_is_no_alarm_and_a_shift_in_it_is_one() -> None:
    year = World(20_000, 5, "day effects", year=0.5)
    assert sum(calm(seed, year)["alarms"] for seed in range(3)) == 0
    shifted = World(20_000, 5, "day effects", year=0.5, shift=1.0, days=90)
    assert np.median([planted(seed, shifted)["delay"] for seed in range(3)]) <= 14


def test_what_is_simulated_are_the_counts_of_all_rows() -> None:
    reference, observed, _ = simulate(World(500, 2, "weekly seasons", days=7), 1)
    periods = [*reference.periods, *(one.period for one in observed)]
    assert len(reference.periods) == TRAIN
    assert all(sum(one.counts["c0"][: BINS + 1]) == one.rows for one in periods)
    held = sum(one.rows for one in reference.periods)
    assert reference.sketch.columns["c0"].rows == held == reference.sketch.rows


def test_a_line_is_broken_beyond_three_standard_errors_of_the_promise() -> None:
    assert count_of("x", np.array([1, 2, 2, 1]), ALLOWED).kept
    assert not count_of("x", np.array([3, 4, 3, 4]), ALLOWED).kept
    assert share_of("x", np.array([0.0] * 90 + [1.0] * 10), 0.05).kept
    assert not share_of("x", np.array([0.0] * 80 + [1.0] * 20), 0.05).kept
    assert share_of("x", np.array([1.0, 1.0]), None).kept
