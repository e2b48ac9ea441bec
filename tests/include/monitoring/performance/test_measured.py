"""Performance: what a champion did, whether a promise was kept, and what can be said before labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored, SliceLevels
from include.monitoring.performance.estimated import (
    ErrorModel,
    estimate_classification,
    estimate_regression,
    judge_estimator,
    learn_calibration,
    learn_error_model,
    reservations,
)
from include.monitoring.performance.measured import (
    Performance,
    each_short,
    first_short,
    measure_performance,
    promise_kept,
)

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
METRICS = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "brier", "log_loss")


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
    assert first_short(promised, kept, "roc_auc", 0.05) is None
    worse = [day(number, 0.72 + 0.01 * value) for number, value in enumerate(rng.standard_normal(60))]
    short = first_short(promised, worse, "roc_auc", 0.05)
    assert short is not None and short.found.values < 25
    assert first_short(promised, worse[::-1], "roc_auc", 0.05) == short


def test_a_champion_that_still_falls_short_is_an_alarm_again_after_each_cooldown_whatever_the_order_of_labels() -> None:
    rng = np.random.default_rng(1)
    promised = list(0.75 + 0.01 * rng.standard_normal(30))
    worse = [day(number, 0.70 + 0.01 * value) for number, value in enumerate(rng.standard_normal(40))]
    first = first_short(promised, worse, "roc_auc", 0.05)
    again = each_short(promised, worse, "roc_auc", 0.05, 7 * DAY)
    assert first is not None and again[0] == first and len(again) >= 3
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


def test_of_calibrated_scores_the_estimate_holds_what_labels_then_say() -> None:
    rng = np.random.default_rng(2)
    score = rng.beta(1, 2, 20_000)
    estimated = estimate_classification(score, 0.4, METRICS)
    truths: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for _ in range(20):
        label = rng.random(20_000) < score
        truths["roc_auc"].append(roc_auc_score(label, score))
        truths["average_precision"].append(average_precision_score(label, score))
        truths["f1"].append(f1_score(label, score >= 0.4))
        truths["brier"].append(((label - score) ** 2).mean())
    for metric, values in truths.items():
        found = estimated[metric]
        assert found.value is not None and found.low is not None and found.high is not None
        if values:
            assert found.value == pytest.approx(np.mean(values), abs=3 * np.std(values) / np.sqrt(20) + 2e-3)
            assert np.mean([found.low - 1e-3 <= value <= found.high + 1e-3 for value in values]) >= 0.75


def test_scores_that_say_too_much_are_calibrated_first() -> None:
    rng = np.random.default_rng(3)
    chance = rng.beta(2, 2, 20_000)
    score = np.where(chance > 0.5, 1 - (1 - chance) / 3, chance / 3)  # too sure
    label = rng.random(20_000) < chance
    truth = ((label - score) ** 2).mean()
    plain = estimate_classification(score, 0.5, ("brier",))["brier"].value
    mended = estimate_classification(score, 0.5, ("brier",), calibration=learn_calibration(score, label))["brier"].value
    assert abs(mended - truth) < 0.01 < abs(plain - truth)  # type: ignore[operator]


def test_what_scores_alone_cannot_tell_has_a_reason() -> None:
    found = estimate_classification(np.array([0.1, 0.9]), 0.5, ("cost", "roc_auc"))
    assert found["cost"].value is None and found["cost"].undefined is not None


def test_an_error_model_sees_that_rows_became_harder() -> None:
    rng = np.random.default_rng(4)

    def rows(hard: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = np.column_stack([rng.random(count) < hard, rng.standard_normal(count)])
        predicted = rng.standard_normal(count)
        return inputs, predicted, np.where(inputs[:, 0] > 0, 5.0, 1.0) * rng.standard_normal(count)

    inputs, predicted, residuals = rows(0.1)
    model = learn_error_model(residuals, predicted, inputs, ("hard", "other"))
    for hard in (0.1, 0.6):
        inputs, predicted, residuals = rows(hard)
        found = estimate_regression(model, predicted, inputs, ("mae", "rmse", "r2"))
        assert found["mae"].value == pytest.approx(np.abs(residuals).mean(), rel=0.08)
        assert found["rmse"].low <= np.sqrt((residuals**2).mean()) * 1.03 and found["r2"].value is None  # type: ignore[operator]
    assert ErrorModel(**vars(model)) == model


def test_an_estimator_is_judged_by_the_labels_that_came() -> None:
    wrong = [(Measured(0.8, 0.78, 0.82), Measured(0.7 + 0.001 * (n % 3), None, None)) for n in range(12)]
    judged = judge_estimator(wrong)
    assert (judged.intervals, judged.covered) == (12, 0)
    said = reservations(0.2, judged)
    assert len(said) == 4 and "too high" in said[-1] and "20%" in said[1]
    right = [(Measured(0.8, 0.78, 0.82), Measured(0.8 + 0.005 * (-1) ** n, None, None)) for n in range(12)]
    assert len(reservations(0.0, judge_estimator(right))) == 1
