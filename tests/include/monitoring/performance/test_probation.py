"""Probation: a test that may look at every interval, and answers the same in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.sections.watch import Probation
from include.monitoring.performance.confidence_sequences import confidence_sequence
from include.monitoring.performance.probation import Paired, ProbationVerdict, probation_of

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
DECLARED = Probation.model_validate({"rows": 100_000, "within": "60d"})


def pairs(gains: np.ndarray, rows: int = 100) -> list[Paired]:
    return [
        Paired("new", "old", START + day * DAY, START + (day + 1) * DAY, rows, float(gain))
        for day, gain in enumerate(gains)
    ]


def verdicts(mean: float, repeats: int, declared: Probation = DECLARED, spread: float = 1.0) -> list[ProbationVerdict]:
    rng = np.random.default_rng(round(100 * mean) + 500)
    return [
        probation_of(pairs(mean + spread * rng.standard_normal(60)), START, declared, 0.05).verdict
        for _ in range(repeats)
    ]


def test_a_champion_that_is_as_good_is_called_worse_or_better_no_more_often_than_declared() -> None:
    found = verdicts(0.0, 150)
    assert found.count(ProbationVerdict.WORSE) / 150 <= 0.05 and found.count(ProbationVerdict.BETTER) / 150 <= 0.05


@pytest.mark.parametrize(("mean", "verdict"), [(-1.5, ProbationVerdict.WORSE), (1.5, ProbationVerdict.BETTER)])
def test_a_clear_difference_is_found(mean: float, verdict: ProbationVerdict) -> None:
    assert verdicts(mean, 20).count(verdict) >= 19


def test_not_worse_is_the_certainty_that_no_more_than_the_margin_is_lost() -> None:
    declared = Probation.model_validate({"margin": 3.0, "within": "60d"})
    assert set(verdicts(-0.5, 10, declared)) == {ProbationVerdict.NOT_WORSE}
    assert set(verdicts(-5.0, 10, declared)) == {ProbationVerdict.WORSE}


def test_it_ends_undecided_when_rows_or_time_are_over() -> None:
    calm = np.random.default_rng(1).standard_normal(59)
    assert probation_of(pairs(calm), START, DECLARED, 0.05).verdict is ProbationVerdict.RUNNING
    after = probation_of(pairs(np.r_[calm, 0, 0]), START, DECLARED, 0.05)
    assert (after.verdict, after.intervals) == (ProbationVerdict.UNDECIDED, 60)
    few = Probation.model_validate({"rows": 1_500, "within": "60d"})
    ended = probation_of(pairs(calm), START, few, 0.05)
    assert (ended.verdict, ended.rows) == (ProbationVerdict.UNDECIDED, 1_500)


@given(st.permutations(range(40)), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_intervals_in_any_order_give_the_same_verdict(order: list[int], seed: int) -> None:
    listed = pairs(np.random.default_rng(seed).standard_normal(40) - 0.8)
    expected = probation_of(listed, START, DECLARED, 0.05)
    assert probation_of([listed[place] for place in order], START, DECLARED, 0.05) == expected


def test_what_came_before_the_promotion_does_not_count() -> None:
    before = [Paired("new", "old", START - DAY, START, 100, -9.0)]
    assert probation_of(before, START, DECLARED, 0.05).intervals == 0


def test_pairs_are_read_back_as_they_were_stored() -> None:
    (one,) = pairs(np.array([0.25]))
    assert Paired.from_json(one.to_json()) == one


@pytest.mark.parametrize("n", [10, 30, 200])
def test_a_confidence_sequence_is_wider_than_an_interval_of_one_look(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    found = confidence_sequence(values, 0.05)
    assert found.low is not None and found.high is not None
    assert found.high - found.low > 2 * 1.96 * values.std(ddof=1) / np.sqrt(n)


def test_a_confidence_sequence_holds_at_every_look_at_once() -> None:
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(100):
        values = rng.standard_normal(60)
        bounds = [confidence_sequence(values[:n], 0.1) for n in range(10, 61, 2)]
        missed += any(one.low is not None and one.high is not None and not one.low <= 0 <= one.high for one in bounds)
    assert missed / 100 <= 0.1


def test_of_few_values_no_interval_is_given() -> None:
    assert confidence_sequence([1.0] * 9, 0.05).low is None
    assert confidence_sequence([], 0.05).mean is None
