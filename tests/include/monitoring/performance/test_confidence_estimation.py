from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from include.monitoring.performance.confidence_estimation import estimate_classification, learn_calibration

METRICS = ("roc_auc", "average_precision", "f1", "precision", "recall", "accuracy", "brier", "log_loss")


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
