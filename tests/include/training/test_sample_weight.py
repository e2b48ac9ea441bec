"""Declared weights count wherever something is learned from rows: as in scikit-learn, which is handed the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from include.config.sections.training import Threshold
from include.training.declared_recipes import recipe_of
from include.training.fit_pipeline import fit_model, fit_with_threshold
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.persistence.model_file import predict_scores
from tests.include.training.conftest import declare, fit_at_once, frame_of, rows_of

NUMBERS = ["size", "weight"]
LINE, TREE = (
    {"estimator": "logistic_regression"},
    {"estimator": "decision_tree", "params": {"max_depth": 3, "min_samples_leaf": 5}},
)


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def weighed(task: str = "classification", seed: int = 0) -> pd.DataFrame:
    """Return rows of which the positive ones, or the larger, count twelve times as much."""
    frame = frame_of(task, seed=seed).fillna({"size": 0.0})  # no gaps, so that preparation learns nothing from a fold
    heavy = frame["target"] if task == "classification" else frame["target"] > frame["target"].median()
    return frame.assign(worth=np.where(heavy, 12.0, 1.0))


def weights_of(frame: pd.DataFrame) -> np.ndarray:
    return (frame["worth"] / frame["worth"].mean()).to_numpy()


def model_of(task: str, candidates: list[dict[str, Any]], folds: str, **more: Any) -> Any:
    training = {
        "candidates": candidates,
        "weights": {"column": "worth"},
        "cross_fitting": {"kind": folds, "folds": 3},
        **more,
    }
    return declare(task, features={"numeric": {"columns": NUMBERS}}, training=training)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_counts_rows_by_their_weights(method: str) -> None:
    frame, later = weighed(), weighed(seed=1)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    theirs = CalibratedClassifierCV(tree, method=method, ensemble=False, cv=cv)
    theirs.fit(frame[NUMBERS], frame["target"], sample_weight=weights_of(frame))
    model = model_of("classification", [TREE | {"calibration": method}], "stratified")
    ours = predict_scores(fit_at_once(model, frame), later)
    np.testing.assert_allclose(ours, theirs.predict_proba(later[NUMBERS])[:, 1], rtol=1e-9)
    assert ours.mean() > 0.75 > 0.5 > frame["target"].mean()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_stacking_learns_whom_to_trust_from_weighed_rows(task: str) -> None:
    frame, later = weighed(task), weighed(task, seed=1)
    # Members that penalise nothing: how large weights are does not matter to them, and a fold's have a mean of one.
    if task == "classification":
        members = [
            ("a", GaussianNB()),
            ("b", DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)),
        ]
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
        theirs: Any = StackingClassifier(members, LogisticRegression(max_iter=1000), cv=cv)
        singles, folds = [{"estimator": "naive_bayes"}, TREE], "stratified"
    else:
        members = [
            ("a", DecisionTreeRegressor(max_depth=2, min_samples_leaf=9, random_state=0)),
            ("b", DecisionTreeRegressor(max_depth=3, min_samples_leaf=5, random_state=0)),
        ]
        theirs = StackingRegressor(members, Ridge(), cv=KFold(3, shuffle=True, random_state=0))
        singles, folds = [TREE | {"name": "stump", "params": {"max_depth": 2, "min_samples_leaf": 9}}, TREE], "k_fold"
    theirs.fit(frame[NUMBERS], frame["target"], sample_weight=weights_of(frame))
    model = model_of(task, [{"estimator": "stacking"}, *singles], folds)
    ours = predict_scores(fit_at_once(model, frame, "stacking"), later)
    wanted = theirs.predict_proba(later[NUMBERS])[:, 1] if task == "classification" else theirs.predict(later[NUMBERS])
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)


@pytest.mark.parametrize("objective", ["f1", "accuracy", "balanced_accuracy"])
def test_no_other_threshold_serves_weighed_rows_better(objective: str) -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(200).round(2)
    target = (rng.random(200) < scores * 0.6).astype(int)
    weights = rng.gamma(0.1, 9, 200) * np.where(target == 1, 5, 1)
    score = getattr(metrics, f"{objective}_score")

    def served(cut: float) -> float:
        return score(target, scores >= cut, sample_weight=weights)

    chosen = choose_threshold(Threshold(objective=objective), target, scores, weights)
    assert served(chosen) == pytest.approx(max(served(cut) for cut in np.unique(scores)))
    assert served(chosen) > served(choose_threshold(Threshold(objective=objective), target, scores))


def test_a_threshold_is_chosen_on_weighed_rows() -> None:
    frame = weighed()
    heavy = model_of("classification", [LINE], "stratified", threshold={"objective": "accuracy"})
    recipe = recipe_of(heavy, "logistic_regression")
    rows = rows_of(heavy, frame)
    _, cut = fit_with_threshold(recipe, recipe.settings, rows)
    scores = np.empty(len(frame))
    for fitted, held in StratifiedKFold(3, shuffle=True, random_state=0).split(rows.target, rows.target):
        scores[held] = predict_scores(fit_model(recipe, recipe.settings, rows.at(fitted)), frame.iloc[held])
    weights = weights_of(frame)

    def served(at: float) -> float:
        return metrics.accuracy_score(rows.target, scores >= at, sample_weight=weights)

    assert served(cut) == max(served(at) for at in [*np.unique(scores), 2.0])
    assert served(cut) > served(choose_threshold(Threshold(objective="accuracy"), rows.target, scores))


def test_only_recipes_that_this_concerns_have_another_key() -> None:
    plain = recipe_of(declare(), "logistic_regression")
    weighed_only = recipe_of(model_of("classification", [LINE], "stratified"), "logistic_regression")
    calibrated = recipe_of(
        model_of("classification", [LINE | {"calibration": "sigmoid"}], "stratified"), "logistic_regression"
    )
    assert plain.meaning == weighed_only.meaning < calibrated.meaning
