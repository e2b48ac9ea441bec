"""Folds, searches, thresholds, ensembles, fairness and many classes, as whole fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from include.config.sections.training import Search
from include.errors import TrainingError
from include.storage.local import LocalStore
from include.training import fit_pipeline
from include.training.declared_recipes import recipe_of
from include.training.estimators.predictions import class_probabilities, positive_probability
from include.training.fit_candidate import fit_candidate
from include.training.fit_estimator import fit_estimator
from include.training.fit_pipeline import fit_model, fit_with_threshold
from include.training.fit_record import CrossValidated, FitRecord, Trial
from include.training.metrics.scoring import score_of
from include.training.model_selection.out_of_fold import divide
from include.training.model_selection.search import search
from include.training.preprocessing import column_transformer
from include.training.preprocessing.float_converter import FloatConverter
from tests.include.training.conftest import declare, fit_at_once, frame_of, rows_of, snapshot_of

FOLDS = {"kind": "stratified", "folds": 3}


def fit(store: LocalStore, tmp_path: Path, name: str, frame: pd.DataFrame | None = None, **parts: Any) -> FitRecord:
    model = declare(**parts)
    task = parts.get("task", "classification")
    snapshot = snapshot_of(store, model, frame_of(task) if frame is None else frame)
    return fit_candidate(store, model, tmp_path, snapshot, name)


# Folds

EVERYTHING = {
    "imbalance": "smote",
    "cross_fitting": {"kind": "stratified", "folds": 2},
    "threshold": {"objective": "f1"},
    "candidates": [
        {"estimator": "logistic_regression"},
        {"estimator": "naive_bayes", "calibration": "isotonic"},
        {"estimator": "stacking"},
    ],
}


@settings(max_examples=2, deadline=None)
@given(kind=st.sampled_from(["time_series", "k_fold", "stratified"]), seed=st.integers(0, 99))
@example(kind="time_series", seed=82)
def test_nothing_that_learns_sees_a_row_that_its_fold_holds_out(kind: str, seed: int):
    model = declare(
        features={
            "numeric": {"columns": ["size", "weight"], "impute": "drop_row", "outliers": {"method": "z_score"}},
            "categorical": {"columns": ["colour"], "encode": "target"},
            "select": {"method": "k_best", "k": 2},
        },
        training=EVERYTHING | {"cv": {"kind": kind, "folds": 2}, "seed": seed},
    )
    # The value of `weight` is the row's own number, by which a spy knows it again.
    frame = frame_of(rows=800).assign(weight=np.arange(800.0))
    seen: set[float] = set()

    class Spy(FloatConverter):
        def fit(self, X, y=None):
            seen.update(X.get("weight", ()))
            return super().fit(X, y)

    recipe = recipe_of(model, "stacking")
    rows = rows_of(model, frame)
    by_member = {member.name: member.settings for member in recipe.members}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_transformer, "FloatConverter", Spy)
        for fitted, held in divide(recipe, recipe.cv, rows):
            seen.clear()
            fit_with_threshold(recipe, by_member, rows.at(fitted))
            assert seen <= set(fitted.tolist())
            assert not seen & set(held.tolist())
            assert len(seen) > 50


TWO_TRIALS = {"method": "grid", "space": {"var_smoothing": [1e-9, 1e-6]}}


@pytest.mark.parametrize(
    ("metric", "training", "expected"),
    [
        ("roc_auc", {}, 4),  # three folds, and the fit to all rows
        ("f1", {"threshold": {"objective": "f1"}}, 16),  # each with a fit a fold
        ("f1", {"calibration": "sigmoid"}, 16),
        ("f1", {"calibration": "sigmoid", "threshold": {"objective": "f1"}}, 16),  # and not each of those once more
        # Of a search each trial takes the three folds with their fits, and the fit to all rows comes once.
        ("f1", {"calibration": "sigmoid", "threshold": {"objective": "f1"}, "search": TWO_TRIALS}, 28),
    ],
)
def test_calibration_and_threshold_learn_from_the_same_fits(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, training: dict, expected: int
):
    fits = []

    def counted(*arguments: Any) -> Any:
        fits.append(arguments)
        return fit_estimator(*arguments)

    monkeypatch.setattr(fit_pipeline, "fit_estimator", counted)
    own = {name: training[name] for name in ("calibration", "search") if name in training}
    shared = {name: value for name, value in training.items() if name not in own}
    declared = {"candidates": [{"estimator": "naive_bayes", **own}], "cv": FOLDS, **shared}
    gate = {"primary": {"metric": metric, "rule": "better"}}
    fit(store, tmp_path, "naive_bayes", training=declared, gate=gate)
    assert len(fits) == expected


def test_the_threshold_of_a_calibrated_model_is_chosen_on_its_probabilities():
    candidate = {"estimator": "naive_bayes", "calibration": "sigmoid"}
    model = declare(training={"candidates": [candidate], "cv": FOLDS, "threshold": {"objective": "accuracy"}})
    recipe, rows = recipe_of(model, "naive_bayes"), rows_of(model, frame_of())
    bare = replace(recipe, calibration="none")
    pipeline, threshold = fit_with_threshold(recipe, recipe.settings, rows)
    scores = np.empty(len(rows))
    for fitted, held in divide(recipe, recipe.cv, rows):
        scores[held] = positive_probability(
            class_probabilities(fit_model(bare, recipe.settings, rows.at(fitted)), rows.at(held).frame)
        )
    calibrated = pipeline[-1].curves[0].predict(scores)
    accuracies = {cut: np.mean((calibrated >= cut) == rows.target) for cut in np.unique(calibrated)}
    assert accuracies[threshold] == max(accuracies.values())
    assert threshold != fit_with_threshold(bare, recipe.settings, rows)[1]


# Searches

SPACE = {"x": {"low": 0.0, "high": 1.0}}


def tried(method: str, seconds: float = 0.0, **parts: Any) -> tuple[Trial, ...]:
    now = 0.0

    def evaluate(those: list[dict], share: float) -> list[Trial]:
        nonlocal now
        now += seconds * len(those)
        scores = [one.get("x", 0.0) for one in those]
        return [
            Trial(one, CrossValidated("roc_auc", score, 0.0, (score,)), share)
            for one, score in zip(those, scores, strict=True)
        ]

    declared = Search(method=method, space=SPACE, **parts)
    return search(declared, declared.space, {}, evaluate, greater_is_better=True, seed=0, clock=lambda: now)


def test_halving_gives_all_rows_to_the_best_of_many_and_to_what_is_declared():
    trials = tried("halving", trials=9)
    by_share = {share: [t for t in trials if t.share == share] for share in (1 / 9, 1 / 3, 1.0)}
    assert [len(one) for one in by_share.values()] == [9, 4, 2]
    best = max(trials, key=lambda trial: trial.cv.mean)
    assert [trial.params for trial in by_share[1.0]] == [best.params, {}]


@pytest.mark.parametrize("method", ["grid", "random", "bayesian", "halving"])
def test_no_trial_begins_after_the_minutes_are_over(method: str):
    trials = tried(method, seconds=40, trials=9, minutes=1)
    assert len(trials) == {"halving": 3}.get(method, 2)
    assert trials[-1].share == 1
    assert len(tried(method, seconds=40, trials=9)) > len(trials)


def test_a_halving_search_is_on_record_with_its_shares(store: LocalStore, tmp_path: Path):
    candidate = {"estimator": "decision_tree", "search": {"method": "halving", "trials": 9}}
    record = fit(store, tmp_path, "decision_tree", training={"candidates": [candidate], "cv": FOLDS})
    assert {round(trial.share, 3) for trial in record.trials} == {0.111, 0.333, 1.0}
    whole = [trial for trial in record.trials if trial.share == 1]
    assert record.params == max(whole, key=lambda trial: trial.cv.mean).params


# Thresholds, calibration, ensembles


def test_the_threshold_on_record_is_that_of_rows_not_learned_from(store: LocalStore, tmp_path: Path):
    candidates = [{"estimator": "decision_tree", "params": {"min_samples_leaf": 1}}]
    cost = {"cost": {"false_positive": 1, "false_negative": 20}}
    training = {"candidates": candidates, "cross_fitting": FOLDS, "threshold": cost}
    record = fit(store, tmp_path, "decision_tree", training=training)
    # On the rows it was fitted to this tree is never wrong: any threshold would do, and the nearest to a half be kept.
    assert record.threshold < 0.4
    assert fit(store, tmp_path, "simple", training=training).threshold < 0.4
    assert fit(store, tmp_path, "decision_tree", training={"candidates": candidates}).threshold == 0.5


def test_a_metric_of_labels_is_measured_at_the_threshold_of_its_fold(store: LocalStore, tmp_path: Path):
    frame = frame_of()
    frame["target"] &= np.arange(len(frame)) % 3 == 0
    means = []
    for threshold in (None, {"objective": "f1"}):
        training = {"candidates": [{"estimator": "logistic_regression"}], "cv": FOLDS, "threshold": threshold}
        gate = {"primary": {"metric": "f1"}}
        means.append(fit(store, tmp_path, "logistic_regression", frame, training=training, gate=gate).cv.mean)
    assert means[1] > means[0]


def test_calibrated_scores_hold_after_resampling():
    frame = frame_of()
    frame["target"] &= np.arange(len(frame)) % 3 == 0
    means = []
    for calibration in ("none", "sigmoid", "isotonic"):
        candidates = [{"estimator": "logistic_regression", "calibration": calibration}]
        training = {"candidates": candidates, "cross_fitting": FOLDS, "imbalance": "random_over"}
        means.append(fit_at_once(declare(training=training), frame).predict_proba(frame)[:, 1].mean())
    share = frame["target"].mean()
    assert means[0] > share + 0.1
    assert means[1:] == pytest.approx([share, share], abs=0.03)


@pytest.mark.parametrize("kind", ["voting", "stacking"])
def test_the_best_candidates_are_joined_as_one_more(kind: str, store: LocalStore, tmp_path: Path):
    singles = [{"estimator": name} for name in ("bernoulli_naive_bayes", "logistic_regression", "naive_bayes")]
    training = {"candidates": [{"estimator": kind, "best": 2}, *singles], "cv": FOLDS}
    joined = fit(store, tmp_path, kind, training=training)
    fits = [fit(store, tmp_path, one["estimator"], training=training) for one in singles]
    best = sorted(fits, key=lambda one: -one.cv.mean)[:2]
    assert joined.members == tuple(one.key for one in best)
    assert set(joined.params) == {one.candidate for one in best}
    assert joined.cv.mean > fits[0].cv.mean
    assert FitRecord.from_json(joined.to_json()) == joined


# Fairness


def people(rows: int = 600) -> pd.DataFrame:
    frame = frame_of(rows=rows)
    rng = np.random.default_rng(3)
    group = np.where(rng.random(rows) < 0.5, "f", "m")
    signal = frame["size"].fillna(0) + 1.5 * (group == "m") + rng.normal(size=rows)
    return frame.assign(sex=group, size=frame["size"].fillna(0) + (group == "m"), target=signal > 1)


def unequal(mitigation: dict | None, estimator: str = "logistic_regression") -> float:
    frame = people()
    candidate = {"estimator": estimator} | ({"fairness": {"column": "sex"} | mitigation} if mitigation else {})
    model = declare(
        features={"numeric": {"columns": ["size", "weight"], "scale": "standard"}, "categorical": {"columns": ["sex"]}},
        training={"candidates": [candidate], "cross_fitting": FOLDS},
    )
    labels = fit_at_once(model, frame).predict_proba(frame)[:, 1] >= 0.5
    return float(demographic_parity_difference(frame["target"], labels, sensitive_features=frame["sex"]))


def test_every_mitigation_makes_groups_more_equal():
    before = unequal(None)
    assert before > 0.3
    assert unequal({"method": "reweighing"}) < before - 0.05
    assert unequal({"method": "exponentiated_gradient", "rounds": 20}) < before / 2
    assert unequal({"method": "group_thresholds"}) < before / 2


@pytest.mark.parametrize("method", ["reweighing", "group_thresholds"])
def test_a_mitigation_is_measured_before_and_after_on_rows_not_learned_from(
    method: str, store: LocalStore, tmp_path: Path
) -> None:
    plain = {"name": "plain", "estimator": "logistic_regression"}
    candidates = [plain, plain | {"name": "mended", "fairness": {"method": method, "column": "sex"}}]
    training = {"candidates": candidates, "cv": FOLDS}
    features = {"numeric": {"columns": ["size", "weight"], "scale": "standard"}, "categorical": {"columns": ["sex"]}}
    without, record = (
        fit(store, tmp_path, name, people(), features=features, training=training) for name in ("plain", "mended")
    )
    assert without.mitigated is None and record.mitigated is not None
    before, after = record.mitigated["before"], record.mitigated["after"]
    assert before["demographic_parity_difference"] > 0.3
    assert after["demographic_parity_difference"] < before["demographic_parity_difference"] - 0.05
    assert set(before) == {"roc_auc", "demographic_parity_difference", "equalized_odds_difference"}
    assert before["roc_auc"] == pytest.approx(without.cv.mean, abs=0.02)


def test_what_is_kept_of_fairlearn_says_what_fairlearn_says():
    from fairlearn.postprocessing import ThresholdOptimizer
    from fairlearn.reductions import DemographicParity, ExponentiatedGradient
    from sklearn.linear_model import LogisticRegression

    from include.config.sections.training import Mitigation
    from include.training.fairness.group_thresholds import GroupThresholdClassifier, _AsGiven, fit_group_thresholds
    from include.training.fairness.randomized_classifier import fit_exponentiated_gradient

    frame = people()
    matrix, target, groups = (
        frame[["size", "weight"]].to_numpy(),
        frame["target"].to_numpy(int),
        frame["sex"].to_numpy(str),
    )
    for constraint in ("demographic_parity", "equalized_odds"):
        declared = Mitigation(method="group_thresholds", column="sex", constraint=constraint)
        scores = np.random.default_rng(0).random(len(frame)).round(2)
        theirs = ThresholdOptimizer(estimator=_AsGiven(), constraints=constraint, prefit=True, predict_method="predict")
        theirs.fit(scores.reshape(-1, 1), target, sensitive_features=groups)

        class Given:
            feature_names_in_ = ("score",)

            def predict_proba(self, X):
                return np.column_stack([1 - X["score"], X["score"]])

        ours = GroupThresholdClassifier(Given(), "sex", *fit_group_thresholds(scores, target, groups, declared))
        expected = theirs._pmf_predict(scores.reshape(-1, 1), sensitive_features=groups)
        np.testing.assert_allclose(ours.predict_proba(frame.assign(score=scores)), expected, atol=1e-12)
    declared = Mitigation(method="exponentiated_gradient", column="sex", rounds=10)
    ours = fit_exponentiated_gradient(LogisticRegression(), matrix, target, groups, declared)
    theirs = ExponentiatedGradient(
        LogisticRegression(), DemographicParity(difference_bound=0.01), eps=0.01, max_iter=10
    )
    theirs.fit(matrix, target, sensitive_features=groups)
    np.testing.assert_allclose(ours.predict_proba(matrix), theirs._pmf_predict(matrix), atol=1e-9)


def test_the_group_need_not_be_a_feature_and_is_read_at_scoring_only_where_it_must(store: LocalStore, tmp_path: Path):
    def columns(method: str) -> tuple[str, ...]:
        candidate = {"estimator": "naive_bayes", "fairness": {"method": method, "column": "sex"}}
        training = {"candidates": [candidate], "cv": FOLDS}
        features = {"numeric": {"columns": ["size"]}}
        return fit(store, tmp_path, "naive_bayes", people(), features=features, training=training).columns

    assert columns("reweighing") == ("size",)
    assert columns("group_thresholds") == ("size", "sex")


# Many classes


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc", "average_precision", "f1", "accuracy"])
def test_more_than_two_classes_are_compared_by_every_metric(metric: str):
    target = np.array([0, 1, 2, 0, 1, 2])
    good, bad = np.full((6, 3), 0.1), np.full((6, 3), 0.3)
    good[np.arange(6), target], bad[np.arange(6), (target + 1) % 3] = 0.8, 0.4
    better, worse = score_of(metric, target, good), score_of(metric, target, bad)
    assert (better < worse) if metric in ("log_loss", "brier") else (better > worse)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("logistic_regression", {}),
        ("hist_gradient_boosting", {"params": {"max_iter": 15}}),
        ("linear_svm", {}),
        ("linear_discriminant", {"calibration": "isotonic"}),
        ("stacking", {}),
    ],
)
def test_a_target_of_three_classes_is_learned(name: str, parts: dict, store: LocalStore, tmp_path: Path):
    singles = [{"estimator": "logistic_regression"}, {"estimator": "naive_bayes"}]
    wanted = [{"estimator": name} | parts, *(one for one in singles if one["estimator"] != name)]
    frame = frame_of("many")
    gate = {"primary": {"metric": "accuracy"}}
    record = fit(store, tmp_path, name, frame, training={"candidates": wanted, "cv": FOLDS}, gate=gate)
    assert record.classes == ("high", "low", "middle")
    assert record.threshold is None
    assert record.cv.mean > frame["target"].value_counts(normalize=True).max() + 0.03


def test_what_is_for_two_classes_says_so():
    for training in (
        {"candidates": [{"estimator": "naive_bayes", "fairness": {"method": "group_thresholds", "column": "colour"}}]},
        {
            "candidates": [
                {
                    "estimator": "logistic_regression",
                    "fairness": {"method": "exponentiated_gradient", "column": "colour"},
                }
            ]
        },
    ):
        with pytest.raises(TrainingError, match="two classes"):
            fit_at_once(declare(training=training | {"cv": FOLDS}), frame_of("many"))


# Declarations that can't be meant


@pytest.mark.parametrize(
    ("task", "training", "message"),
    [
        (
            "classification",
            {"candidates": [{"estimator": "k_neighbors"}], "weights": {"half_life": "9d"}},
            "weigh rows",
        ),
        ("classification", {"candidates": [{"estimator": "voting"}]}, "joins 2 candidates, found 0"),
        ("classification", {"candidates": [{"estimator": "svm"}, {"estimator": "voting", "best": 3}]}, "joins 3"),
        ("classification", {"candidates": [{"estimator": "loggistic_regression"}]}, "did you mean"),
        ("classification", {"candidates": [{"estimator": "svm"}], "threshold": {}}, "`objective` or `cost`"),
        (
            "regression",
            {"candidates": [{"estimator": "ridge"}], "threshold": {"objective": "f1"}},
            "for classification",
        ),
        ("regression", {"candidates": [{"estimator": "ridge", "calibration": "sigmoid"}]}, "for classification"),
        ("regression", {"candidates": [{"estimator": "ridge"}], "imbalance": "smote"}, "for classification"),
        ("regression", {"candidates": [{"estimator": "ridge"}], "weights": {"column": "target"}}, "by the target"),
    ],
)
def test_a_declaration_that_can_not_be_meant_is_answered(task: str, training: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        declare(task, training=training)
