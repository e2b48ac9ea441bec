from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from include.config.names import METRICS
from include.training.metrics.definitions import DEFINITIONS, row_terms

THRESHOLD = 0.5
BY_LABEL = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}


def averaged_by_sklearn(kind: str, how: str, y: np.ndarray, s: np.ndarray) -> float:
    return BY_LABEL[kind](y == 1, s >= THRESHOLD, average=how, zero_division=0)


def by_hand_calibration_error(y: np.ndarray, s: np.ndarray) -> float:
    edges, total = np.linspace(0, 1, 11), 0.0
    for low, high in pairwise(edges):
        here = (s >= low) & ((s < high) | (high == 1))
        if here.any():
            total += here.mean() * abs(s[here].mean() - y[here].mean())
    return float(total)


ORACLES: dict[str, Any] = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "f1": lambda y, s: sk.f1_score(y, s >= THRESHOLD),
    "precision": lambda y, s: sk.precision_score(y, s >= THRESHOLD),
    "recall": lambda y, s: sk.recall_score(y, s >= THRESHOLD),
    "accuracy": lambda y, s: sk.accuracy_score(y, s >= THRESHOLD),
    "balanced_accuracy": lambda y, s: sk.balanced_accuracy_score(y, s >= THRESHOLD),
    "brier": sk.brier_score_loss,
    "log_loss": lambda y, s: sk.log_loss(y, s, labels=[0, 1]),
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "mape": sk.mean_absolute_percentage_error,
    "calibration_error": lambda y, s: by_hand_calibration_error(y, s),
    **{
        f"{kind}_{how}": partial(averaged_by_sklearn, kind, how)
        for kind in ("f1", "precision", "recall")
        for how in ("macro", "weighted")
    },
}
CLASSIFICATION = [name for name, facts in METRICS.items() if facts.task == "classification"]
REGRESSION = [name for name, facts in METRICS.items() if facts.task == "regression" and name in ORACLES]


def value(name: str, target: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> float:
    metric = DEFINITIONS[name]
    terms = row_terms(metric.terms, target, score, THRESHOLD, centre=float(target.mean()))
    weights = np.ones(len(target)) if weights is None else weights
    return float(metric.combine({name: np.array([term @ weights]) for name, term in terms.items()})[0])


# Few distinct scores, so that ties within and between classes are the rule.
scores = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])), min_size=1, max_size=40)
values = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40)


def test_every_name_has_a_definition() -> None:
    assert set(DEFINITIONS) == set(METRICS)
    assert set(ORACLES) == {name for name, facts in METRICS.items() if facts.task != "clustering"} - {
        "pinball",
        "interval_coverage",
        "cost",
    }


@pytest.mark.parametrize("name", CLASSIFICATION)
@pytest.mark.filterwarnings("ignore")
@given(rows=scores)
@settings(max_examples=60, deadline=None)
def test_values_equal_scikit_learn_where_defined(name: str, rows: list[tuple[bool, float]]) -> None:
    target = np.array([float(y) for y, _ in rows])
    score = np.array([s for _, s in rows])
    ours = value(name, target, score)
    if np.isnan(ours):
        one_class = target.min() == target.max()
        assert one_class or not (score >= THRESHOLD).any()
    else:
        assert ours == pytest.approx(ORACLES[name](target, score), abs=1e-9)


@pytest.mark.parametrize("name", REGRESSION)
@given(rows=values)
@settings(max_examples=60, deadline=None)
def test_regression_values_equal_scikit_learn(name: str, rows: list[tuple[float, float]]) -> None:
    target, score = np.array(rows).T
    ours = value(name, target, score)
    if np.isnan(ours):
        assert (np.abs(target) < 1e-15).any() if name == "mape" else np.ptp(target) < 1e-3
    else:
        assert ours == pytest.approx(ORACLES[name](target, score), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_reweighted_ranking_metrics_are_first_order_exact(name: str) -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(60) < 0.4).astype(float)
    score = np.round(rng.random(60), 1)
    direction = rng.normal(size=60)
    step = 1e-5

    def slope(metric: Callable[[np.ndarray], float]) -> float:
        return (metric(1 + step * direction) - metric(1 - step * direction)) / (2 * step)

    ours = slope(lambda weights: value(name, target, score, weights))
    assert ours == pytest.approx(slope(lambda weights: ORACLES[name](target, score, sample_weight=weights)), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "target", "score"),
    [
        ("roc_auc", [1, 1], [0.2, 0.9]),
        ("roc_auc", [0, 0], [0.2, 0.9]),
        ("average_precision", [0, 0], [0.2, 0.9]),
        ("precision", [0, 1], [0.2, 0.3]),
        ("recall", [0, 0], [0.2, 0.3]),
        ("f1", [0, 0], [0.2, 0.3]),
        ("balanced_accuracy", [1, 1], [0.2, 0.3]),
        ("r2", [3.3, 3.3], [1.0, 2.0]),
    ],
)
def test_what_has_no_value_is_not_given_one(name: str, target: list[float], score: list[float]) -> None:
    assert np.isnan(value(name, np.array(target, dtype=float), np.array(score)))
    assert DEFINITIONS[name].undefined
