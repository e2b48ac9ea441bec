from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from include.evaluation.metrics.curves import MAX_CURVE_POINTS, curves_of
from include.evaluation.scored_rows import Scored


@pytest.fixture(scope="module", params=[500, 20_000])
def rows(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = (rng.random(request.param) < 0.3).astype(float)
    return target, np.round(1 / (1 + np.exp(-(target + rng.normal(size=request.param) - 0.5))), 3)


def test_thinned_curves_keep_their_ends_and_their_area(rows) -> None:
    target, score = rows
    curves = curves_of("classification", target, Scored(score, 0.5))
    assert len(curves.roc) <= MAX_CURVE_POINTS + 2 and len(curves.precision_recall) <= MAX_CURVE_POINTS + 2
    assert curves.roc[0] == (0, 0) and curves.roc[-1] == (1, 1)
    x, y = np.array(curves.roc).T
    assert np.trapezoid(y, x) == pytest.approx(roc_auc_score(target, score), abs=2e-3)


def test_calibration_groups_hold_every_row_once(rows) -> None:
    target, score = rows
    groups = curves_of("classification", target, Scored(score, 0.5)).calibration
    assert sum(group[4] for group in groups) == len(target)
    assert all(low <= observed <= high for _, observed, low, high, _ in groups)


def test_the_confusion_matrix_is_scikit_learns(rows) -> None:
    target, score = rows
    found = curves_of("classification", target, Scored(score, 0.6)).confusion
    assert found == tuple(confusion_matrix(target, score >= 0.6).ravel())


def test_a_constant_score_is_one_group() -> None:
    curves = curves_of("classification", np.array([0.0, 1.0, 0.0]), Scored(np.full(3, 0.3), 0.5))
    assert len(curves.calibration) == 1 and curves.roc == ((0, 0), (1, 1))


def test_one_class_has_no_curves_but_counts() -> None:
    curves = curves_of("classification", np.zeros(3), Scored(np.array([0.1, 0.6, 0.3]), 0.5))
    assert curves.roc == () and curves.confusion == (2, 1, 0, 0)
