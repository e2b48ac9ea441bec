"""Performance: what a champion did, whether a promise was kept, and what can be said before labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored, SliceLevels
from include.monitoring.performance import measured
from include.monitoring.performance.measured import (
    Performance,
    PromiseCheck,
    each_short,
    measure_performance,
    promise_kept,
)

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)


def day(number: int, value: float | None, rows: int = 100) -> Performance:
    scores = {"roc_auc": Measured(value, None, None)}
    return Performance("v", START + number * DAY, START + (number + 1) * DAY, rows, scores)


def test_an_interval_is_measured_by_the_gates_own_bootstrap_overall_and_by_slice() -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(800) < 0.3).astype(float)
    score = np.clip(0.3 * target + 0.7 * rng.random(800), 0, 1)
    levels = SliceLevels(("a", "b"), rng.integers(0, 2, 800))
    found = measure_performance(
        "v", START, START + DAY, target, Scored(score, 0.5), ("roc_auc", "brier"), {"kind": levels}, resamples=200
    )
    auc = found.scores["roc_auc"]
    assert auc.value == pytest.approx(roc_auc_score(target, score)) and auc.low < auc.value < auc.high  # type: ignore[operator]
    assert [one.level for one in found.slices] == ["a", "b"]
    assert Performance.from_json(found.to_json()).scores == found.scores


def test_a_promise_is_broken_when_it_is_sure() -> None:
    rng = np.random.default_rng(1)
    promised = list(0.75 + 0.01 * rng.standard_normal(30))
    kept = [day(number, 0.75 + 0.01 * value) for number, value in enumerate(rng.standard_normal(60))]
    assert not each_short(promised, kept, "roc_auc", 0.05, 7 * DAY)
    worse = [day(number, 0.72 + 0.01 * value) for number, value in enumerate(rng.standard_normal(60))]
    short = each_short(promised, worse, "roc_auc", 0.05, 7 * DAY)
    assert short and short[0].found.values < 25
    assert each_short(promised, worse[::-1], "roc_auc", 0.05, 7 * DAY) == short


def test_a_champion_that_still_falls_short_is_an_alarm_again_after_each_cooldown_whatever_the_order_of_labels() -> None:
    rng = np.random.default_rng(1)
    promised = list(0.75 + 0.01 * rng.standard_normal(30))
    worse = [day(number, 0.70 + 0.01 * value) for number, value in enumerate(rng.standard_normal(40))]
    again = each_short(promised, worse, "roc_auc", 0.05, 7 * DAY)
    assert len(again) >= 3
    assert all(b.until - a.until == 7 * DAY for a, b in pairwise(again))  # type: ignore[operator]
    assert each_short(promised, worse[::-1], "roc_auc", 0.05, 7 * DAY) == again
    recovered = [*worse[:15], *(day(number, 0.80) for number in range(15, 60))]
    assert len(each_short(promised, recovered, "roc_auc", 0.05, 7 * DAY)) < 4, (
        "it ends once the champion no longer does"
    )


def test_a_better_champion_breaks_no_promise_and_few_rows_say_nothing() -> None:
    promised = [0.75, 0.76] * 10
    better = [day(number, 0.9 + 0.001 * (number % 2)) for number in range(40)]
    assert not promise_kept(promised, better, "roc_auc", 0.05).short
    thin = [day(number, 0.5 + 0.001 * (number % 2), rows=5) for number in range(40)]
    assert promise_kept(promised, thin, "roc_auc", 0.05).found.values == 0


def test_days_with_too_few_labels_repeat_no_alarm() -> None:
    rng = np.random.default_rng(1)
    promised = list(0.75 + 0.01 * rng.standard_normal(30))
    worse = [day(number, 0.70 + 0.01 * value) for number, value in enumerate(rng.standard_normal(20))]
    thin = [day(number, 0.70, rows=5) for number in range(20, 60)]
    assert each_short(promised, [*worse, *thin], "roc_auc", 0.05, 2 * DAY) == each_short(
        promised, worse, "roc_auc", 0.05, 2 * DAY
    )


def test_a_champion_that_keeps_its_promise_is_not_computed_anew_for_each_day_of_its_reign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, looked = np.random.default_rng(1), 0
    promised = list(0.75 + 0.01 * rng.standard_normal(30))
    kept = [day(number, 0.75 + 0.01 * value) for number, value in enumerate(rng.standard_normal(300))]

    def counted(*given: object) -> PromiseCheck:
        nonlocal looked
        looked += 1
        return promise_kept(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(measured, "promise_kept", counted)
    assert each_short(promised, kept, "roc_auc", 0.05, DAY) == () and looked < 30


@given(st.lists(st.tuples(st.floats(0.6, 0.8), st.sampled_from([5, 100])), min_size=10, max_size=40), st.integers(0, 9))
def test_which_looks_are_short_does_not_depend_on_how_they_are_found(days: list[tuple[float, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for metric in ("roc_auc", "brier"):
        found = [
            replace(day(number, None, rows), scores={metric: Measured(value, None, None)})
            for number, (value, rows) in enumerate(days)
        ]
        promised = list(0.7 + 0.02 * rng.standard_normal(20))
        told = [one for one in found if one.rows == 100]
        looks = [promise_kept(promised, told[:look], metric, 0.05) for look in range(1, len(told) + 1)]
        assert list(each_short(promised, found, metric, 0.05, timedelta(0))) == [one for one in looks if one.short]
