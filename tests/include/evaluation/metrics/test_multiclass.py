from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from include.config.names import METRICS
from include.evaluation.comparison import compare
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import draw
from include.training.metrics.multiclass import definition, pinball, terms_of, value_of
from include.training.metrics.scoring import score_of

SPACE, TARGET = load_wine(return_X_y=True)
SCORE = LogisticRegression(max_iter=5000).fit(SPACE[::4, :2], TARGET[::4]).predict_proba(SPACE[:, :2])
SAID = SCORE.argmax(axis=1)


def calibration_error_by_hand() -> float:
    confidence, right = SCORE.max(axis=1), SAID == TARGET
    which = np.minimum((confidence * 10).astype(int), 9)
    return sum(
        (which == bin).mean() * abs(confidence[which == bin].mean() - right[which == bin].mean()) for bin in set(which)
    )


def averaged(kind: str, how: str) -> float:
    return {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}[kind](
        TARGET, SAID, average=how
    )


def average_precision(weights: np.ndarray | None = None) -> float:
    each = [sk.average_precision_score(np.equal(TARGET, k), SCORE[:, k], sample_weight=weights) for k in range(3)]
    return float(np.mean(each))


EXPECTED = {
    "roc_auc": sk.roc_auc_score(TARGET, SCORE, multi_class="ovr", average="macro"),
    "average_precision": average_precision(),
    "accuracy": sk.accuracy_score(TARGET, SAID),
    "balanced_accuracy": sk.balanced_accuracy_score(TARGET, SAID),
    "log_loss": sk.log_loss(TARGET, SCORE),
    "brier": sk.brier_score_loss(TARGET, SCORE),
    "calibration_error": calibration_error_by_hand(),
    **{kind: averaged(kind, "macro") for kind in ("f1", "precision", "recall")},
    **{f"{k}_{how}": averaged(k, how) for k in ("f1", "precision", "recall") for how in ("macro", "weighted")},
}


@pytest.mark.parametrize("metric", [name for name, facts in METRICS.items() if facts.task == "classification"])
def test_values_on_wine_equal_scikit_learn(metric: str) -> None:
    assert value_of(metric, TARGET.astype(float), SCORE, None) == pytest.approx(EXPECTED[metric], rel=1e-12)


OF_LABELS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    **{
        f"{kind}_{how}": partial(getattr(sk, f"{kind}_score"), average=how, zero_division=0)
        for kind in ("f1", "precision", "recall")
        for how in ("macro", "weighted")
    },
    **{
        kind: partial(getattr(sk, f"{kind}_score"), average="macro", zero_division=0)
        for kind in ("f1", "precision", "recall")
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", OF_LABELS)
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_whatever_classes_rows_are_of_and_are_said_to_be_of_validation_and_evidence_say_what_scikit_learn_says(
    metric: str, rows: list[tuple[int, int]]
) -> None:
    target, said = np.array(rows).T
    score = np.full((len(rows), 4), 0.1)
    score[np.arange(len(rows)), said] = 0.7
    expected = OF_LABELS[metric](target, said)
    assert value_of(metric, target.astype(float), score, None) == pytest.approx(expected, abs=1e-12)
    assert score_of(metric, target, score) == pytest.approx(expected, abs=1e-12)


def test_a_class_that_no_row_is_of_leaves_ranking_undefined() -> None:
    here = TARGET != 2
    assert np.isnan(value_of("roc_auc", TARGET[here].astype(float), SCORE[here], None))
    assert score_of("roc_auc", TARGET[here], SCORE[here]) is None


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
def test_reweighted_ranking_metrics_are_first_order_exact(metric: str) -> None:
    def exact(weights: np.ndarray) -> float:
        if metric == "average_precision":
            return average_precision(weights)
        each = [sk.roc_auc_score(np.equal(TARGET, k), SCORE[:, k], sample_weight=weights) for k in range(3)]
        return float(np.mean(each))

    def ours(weights: np.ndarray) -> float:
        found = definition(metric, 3)
        terms = terms_of(found.terms, TARGET.astype(float), SCORE, None, 0.0)
        return float(found.combine({name: np.array([weights @ term]) for name, term in terms.items()})[0])

    direction, step = np.random.default_rng(0).normal(size=len(TARGET)), 1e-5
    direction -= direction.mean()
    slopes = [(f(1 + step * direction) - f(1 - step * direction)) / (2 * step) for f in (ours, exact)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-3)


def test_gains_are_paired_and_a_model_gains_nothing_over_itself() -> None:
    worse = np.full_like(SCORE, 1 / 3)
    metrics = tuple(EXPECTED)
    resampling = draw(np.arange(len(TARGET)), resamples=300, seed=0)
    models = {"challenger": Scored(SCORE, None), "incumbent": Scored(SCORE, None), "trivial": Scored(worse, None)}
    levels = SliceLevels(("a", "b"), np.arange(len(TARGET)) % 2)
    found = compare(TARGET.astype(float), models, metrics, {"side": levels}, resampling, positives=False)
    for gain in found.gains:
        if gain.against == "incumbent" and gain.estimate is not None:
            assert gain.bound(0.95) == gain.estimate == gain.upper(0.95) == 0
    (auc,) = [g for g in found.gains if (g.metric, g.against, g.slice) == ("roc_auc", "trivial", None)]
    assert auc.bound(0.95) > 0.2 and auc.delong is None
    assert next(one for one in found.churn if one.slice is None).share.value == 0
    odd = np.arange(len(TARGET)) % 2 == 1
    (level,) = [one for one in found.slice_scores if one.level == "b"]
    assert level.positives is None
    assert level.scores["challenger"]["accuracy"].value == pytest.approx((SAID == TARGET)[odd].mean())


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_pinball_equals_scikit_learn(quantile: float) -> None:
    target, score = np.random.default_rng(0).normal(size=(2, 50))
    assert pinball(target, score, quantile).mean() == pytest.approx(sk.mean_pinball_loss(target, score, alpha=quantile))
