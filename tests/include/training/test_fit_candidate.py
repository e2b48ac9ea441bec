from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from include.config.names import ESTIMATORS
from include.errors import ConfigError, TrainingError
from include.storage.content import canonical_json, get_content, read_json
from include.storage.local import LocalStore
from include.training.declared_recipes import equivalent_candidates, recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_record import FitRecord
from include.training.model_selection.candidate_selection import select_challenger
from include.training.persistence.model_file import load, predict_scores
from tests.faults import FaultyStore, Killed
from tests.include.training.conftest import AFTER, UNTIL, declare, frame_of, snapshot_of

PAIRS = [(name, task) for name, facts in ESTIMATORS.items() for task in facts.tasks]
QUICK = {
    "mlp": {"max_iter": 100, "hidden_layer_sizes": [8], "learning_rate_init": 0.02},
    "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8},
    "gradient_boosting": {"n_estimators": 20},
    "ada_boost": {"n_estimators": 10},
    "lasso": {"alpha": 0.05},
    "hist_gradient_boosting": {"max_iter": 15},
    "catboost": {"n_estimators": 40},
    "keras_mlp": {"epochs": 20, "layers": [16], "learning_rate": 0.02},
}


def candidate(name: str, **parts: object) -> dict:
    return {"candidates": [{"estimator": name, "params": QUICK.get(name, {})} | parts], "cv": {"folds": 1}}


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_every_estimator_fits_and_its_model_file_predicts_the_same(
    name: str, task: str, store: LocalStore, tmp_path: Path
) -> None:
    model = declare(task, training=candidate(name))
    frame = frame_of(task)
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), name)
    pipeline = load(get_content(store, "toy/models", ".skops", record.model_file), record.model_file)
    scores = predict_scores(pipeline, frame)
    assert scores.shape == (len(frame),)
    if task == "classification":
        assert scores.min() >= 0
        assert scores.max() <= 1
        assert scores[frame.target].mean() > scores[~frame.target].mean() + 0.1
    elif task == "clustering":
        assert {0, 1} <= set(scores) <= {-1, *range(12)}
        assert record.cv is not None and record.cv.mean > 0.2
    else:
        assert np.corrcoef(scores, frame.target)[0, 1] > 0.5


def test_a_fit_on_record_is_found_and_not_made_again(store: LocalStore, tmp_path: Path, caplog) -> None:
    model = declare()
    snapshot = snapshot_of(store, model, frame_of())
    first = fit_candidate(store, model, tmp_path, snapshot, "logistic_regression")
    before = sorted(store.list("toy/"))
    with caplog.at_level(logging.INFO):
        again = fit_candidate(store, model, tmp_path, snapshot, "logistic_regression", threads=2)
    assert again == first
    assert "found by its key" in caplog.text
    assert sorted(store.list("toy/")) == before
    assert FitRecord.from_json(json.loads(json.dumps(first.to_json()))) == first
    assert (first.train.after, first.train.until, first.train.rows) == (AFTER, UNTIL, 400)


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_fit_killed_at_any_call_of_the_store_is_repeated_as_if_nothing_had_happened(
    mode: str, tmp_path: Path
) -> None:
    model, frame = declare(), frame_of(rows=150)

    def run(store) -> FitRecord:
        return fit_candidate(store, model, tmp_path, snapshot, "trivial")

    whole = LocalStore(tmp_path / "whole")
    snapshot = snapshot_of(whole, model, frame)
    counted = FaultyStore(whole)
    expected = run(counted)
    for number in range(1, counted.calls + 1):
        store = LocalStore(tmp_path / f"{mode}{number}")
        snapshot_of(store, model, frame)
        with pytest.raises(Killed):
            run(FaultyStore(store, fail_at=number, mode=mode))
        for key in store.list("toy/fits/"):
            found = FitRecord.from_json(json.loads(store.get(key)))
            assert store.exists(f"toy/models/{found.model_file}.skops")
        assert (run(store).key, run(store).model_file) == (expected.key, expected.model_file)
        assert sorted(store.list("toy/")) == sorted(whole.list("toy/"))


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"candidates": [{"estimator": "logistic_regression", "params": {"C": 2}}]}},
        {"training": {"candidates": [{"estimator": "logistic_regression"}], "seed": 1}},
        {"training": {"candidates": [{"estimator": "logistic_regression"}], "imbalance": "class_weight"}},
        {"features": {"numeric": {"columns": ["size"]}}},
        {"gate": {"primary": {"metric": "brier"}}},
    ],
)
def test_whatever_determines_a_fit_is_in_its_key(change: dict, store: LocalStore, tmp_path: Path) -> None:
    snapshot = snapshot_of(store, declare(), frame_of())
    base = declare(training={"candidates": [{"estimator": "logistic_regression"}]})
    keys = [recipe_of(model, "logistic_regression").key(tmp_path, snapshot) for model in (base, declare(**change))]
    assert keys[0] != keys[1]
    other = snapshot_of(store, base, frame_of(seed=1))
    assert recipe_of(base, "logistic_regression").key(tmp_path, other) != keys[0]


def test_a_search_is_on_record_and_its_best_settings_are_those_fitted(store, tmp_path: Path, caplog) -> None:
    search = {"method": "bayesian", "trials": 4, "cv": {"kind": "stratified", "folds": 2}}
    model = declare(training=candidate("decision_tree", search=search))
    with caplog.at_level(logging.INFO):
        record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame_of()), "decision_tree")
    assert record.trials is not None
    assert record.cv is not None
    assert len(record.trials) == 4
    assert record.params == max(record.trials, key=lambda trial: trial.cv.mean).params
    assert len(record.cv.folds) == 1
    assert [line for line in caplog.messages if "trial 4" in line and " s)" in line]
    assert "model file" in caplog.messages[-1]


def test_logs_hold_nothing_of_the_rows(store: LocalStore, tmp_path: Path, caplog) -> None:
    frame = frame_of().replace({"red": "SECRET"})
    model = declare()
    with caplog.at_level(logging.DEBUG):
        fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
        model = declare(features={"numeric": {"columns": ["size", "colour"]}})
        with pytest.raises(TrainingError, match="not a number") as error:
            fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
    assert "SECRET" not in caplog.text + str(error.value)


def test_a_regression_on_real_patients_beats_both_trivial_answers(store: LocalStore, tmp_path: Path) -> None:
    data = load_diabetes(as_frame=True, scaled=False).frame
    at = pd.to_datetime(AFTER) + pd.to_timedelta(np.arange(1, len(data) + 1), unit="min")
    frame = data.assign(at=at, id=np.arange(len(data)), sex=data.sex.astype(int))
    numeric = [name for name in data if name not in ("sex", "target")]
    model = declare(
        "regression",
        features={
            "numeric": {"columns": numeric, "scale": "standard"},
            "categorical": {"columns": ["sex"]},
        },
        training={"candidates": [{"estimator": "elastic_net"}], "cv": {"kind": "k_fold", "folds": 5}},
        gate={"primary": {"metric": "r2"}},
    )
    snapshot = snapshot_of(store, model, frame)
    record = fit_candidate(store, model, tmp_path, snapshot, "elastic_net")
    assert record.cv is not None
    assert 0.35 < record.cv.mean < 0.6
    assert record.threshold is record.classes is None
    for baseline in ("trivial", "simple"):
        fit = fit_candidate(store, model, tmp_path, snapshot, baseline)
        assert fit.cv is None
        scores = predict_scores(load(get_content(store, "toy/models", ".skops", fit.model_file), fit.model_file), frame)
        assert (np.std(scores) < 1e-9) == (baseline == "trivial")


@pytest.mark.parametrize(
    ("task", "estimator"),
    [("classification", "logistic_regression"), ("regression", "ridge"), ("clustering", "k_means")],
)
def test_a_baseline_that_is_declared_as_a_candidate_takes_its_fit(
    task: str, estimator: str, store: LocalStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parts: dict[str, Any] = {"candidates": [{"estimator": estimator}]}
    if task == "clustering":
        space = {"n_clusters": list(range(2, 9))}
        parts = {"candidates": [{"estimator": estimator, "search": {"method": "grid", "trials": 7, "space": space}}]}
    model = declare(task, training={**parts, "cv": {"kind": "k_fold", "folds": 2}})
    apart = LocalStore(tmp_path / "apart")
    made = fit_candidate(apart, model, tmp_path, snapshot_of(apart, model, frame_of(task)), "simple")
    assert "whose fit it takes" not in caplog.text

    snapshot = snapshot_of(store, model, frame_of(task))
    fit_candidate(store, model, tmp_path, snapshot, estimator)
    caplog.clear()
    taken = fit_candidate(store, model, tmp_path, snapshot, "simple")
    assert f"simple: declared just as {estimator}, whose fit it takes" in caplog.text
    assert taken == made


def test_a_baseline_has_no_twin_in_a_candidate_that_differs(store: LocalStore, tmp_path: Path) -> None:
    for other in ({"params": {"C": 0.5}}, {"calibration": "isotonic"}, {"search": {"method": "random", "trials": 2}}):
        candidates = [{"estimator": "logistic_regression"} | other]
        assert equivalent_candidates(declare(training={"candidates": candidates, "cv": {"folds": 1}})) == {}


def test_unknown_and_missing_levels_are_scored_by_every_encoding(store: LocalStore, tmp_path: Path) -> None:
    for encode in ("one_hot", "ordinal", "native"):
        features = {"numeric": {"columns": ["size"]}, "categorical": {"columns": ["colour"], "encode": encode}}
        model = declare(features=features, training=candidate("hist_gradient_boosting"))
        record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame_of()), "hist_gradient_boosting")
        pipeline = load(get_content(store, "toy/models", ".skops", record.model_file), record.model_file)
        odd = pd.DataFrame({"size": [0.0, np.nan], "colour": pd.Categorical(["never seen", None])})
        assert np.isfinite(predict_scores(pipeline, odd)).all()


def test_one_class_only_and_an_id_as_target_are_said(store: LocalStore, tmp_path: Path) -> None:
    model = declare()
    for target, message in ((False, "two classes"), (np.arange(400), "too many classes")):
        snapshot = snapshot_of(store, model, frame_of().assign(target=target))
        with pytest.raises(TrainingError, match=message):
            fit_candidate(store, model, tmp_path, snapshot, "logistic_regression")


def test_empty_and_constant_columns_are_no_obstacle_and_are_said(store: LocalStore, tmp_path: Path, caplog) -> None:
    frame = frame_of().assign(size=np.nan, weight=1.0)
    model = declare()
    fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
    assert "no training row has a value of size" in caplog.text


def test_text_targets_have_their_first_value_as_the_negative(store: LocalStore, tmp_path: Path) -> None:
    frame = frame_of()
    frame["target"] = np.where(frame.target, "yes", "no")
    model = declare()
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
    assert record.classes == ("no", "yes")


def test_class_weights_make_both_classes_count_the_same(store: LocalStore, tmp_path: Path) -> None:
    frame = frame_of(rows=1200)
    frame["target"] &= frame["size"].fillna(0) > 1
    scores = {}
    for imbalance in ("none", "class_weight"):
        model = declare(training=candidate("logistic_regression") | {"imbalance": imbalance})
        record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
        body = get_content(store, "toy/models", ".skops", record.model_file)
        scores[imbalance] = predict_scores(load(body, record.model_file), frame)
    # The intercept's own equation: on the fitted rows, weighted scores sum to weighted positives.
    assert scores["none"].mean() == pytest.approx(frame.target.mean(), abs=1e-3)
    assert frame.target.mean() < 0.2
    weighted = scores["class_weight"]
    assert (weighted[frame.target].mean() + weighted[~frame.target].mean()) / 2 == pytest.approx(0.5, abs=1e-3)


def test_early_stopping_stops_early(store: LocalStore, tmp_path: Path) -> None:
    sizes = []
    for early in (False, True):
        model = declare(training=candidate("hist_gradient_boosting", early_stopping=early, params={"max_iter": 200}))
        snapshot = snapshot_of(store, model, frame_of())
        sizes.append(fit_candidate(store, model, tmp_path, snapshot, "hist_gradient_boosting").model_bytes)
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"params": {"learning_rte": 1}}, "did you mean `learning_rate`"),
        ({"params": {"random_state": 1}}, "follows from `seed`"),
        ({"search": {"method": "grid", "space": {"depth": [1]}}}, "no setting `depth`"),
    ],
)
def test_a_setting_that_does_not_exist_is_named(part: dict, message: str) -> None:
    model = declare(training={"candidates": [{"estimator": "hist_gradient_boosting", **part}]})
    with pytest.raises(ConfigError, match=message):
        recipe_of(model, "hist_gradient_boosting")


def test_a_setting_of_a_wrong_value_says_which(store: LocalStore, tmp_path: Path) -> None:
    model = declare(training=candidate("hist_gradient_boosting", params={"learning_rate": -1}))
    with pytest.raises(ConfigError, match="learning_rate"):
        fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame_of()), "hist_gradient_boosting")


def test_the_best_candidate_is_selected_in_the_metric_s_direction(store: LocalStore, tmp_path: Path) -> None:
    model = declare("regression", training={"candidates": [{"estimator": "ridge"}, {"estimator": "decision_tree"}]})
    snapshot = snapshot_of(store, model, frame_of("regression"))
    fits = [fit_candidate(store, model, tmp_path, snapshot, name) for name in model.candidate_names]
    assert select_challenger(fits).candidate == "ridge"
    assert select_challenger(reversed(fits)).candidate == "ridge"
    with pytest.raises(TrainingError, match="no candidate"):
        select_challenger([fit_candidate(store, model, tmp_path, snapshot, "trivial")])


def test_a_whole_float_and_a_whole_number_are_two_recipes(store: LocalStore, tmp_path: Path) -> None:
    keys = set()
    for features in (1.0, 1):
        forest = {"estimator": "decision_tree", "params": {"max_features": features}}
        model = declare(training={"candidates": [forest], "cv": {"kind": "time_series", "folds": 1}})
        record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame_of()), "decision_tree")
        found = FitRecord.from_json(read_json(canonical_json(record.to_json())))
        assert type(found.params["max_features"]) is type(features)
        keys.add(record.key)
    assert len(keys) == 2


def test_the_order_in_which_a_space_is_written_makes_no_difference(store: LocalStore, tmp_path: Path) -> None:
    trials = []
    for names in (("min_samples_leaf", "max_depth"), ("max_depth", "min_samples_leaf")):
        space = {name: {"low": 1, "high": 20, "integer": True} for name in names}
        tree = {"estimator": "decision_tree", "search": {"method": "random", "trials": 4, "space": space}}
        model = declare(training={"candidates": [tree], "cv": {"kind": "time_series", "folds": 1}})
        fresh = LocalStore(tmp_path / names[0])
        record = fit_candidate(fresh, model, tmp_path, snapshot_of(fresh, model, frame_of()), "decision_tree")
        trials.append([trial.params for trial in record.trials or ()])
    assert trials[0] == trials[1]
