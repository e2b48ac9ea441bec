"""CatBoost's trees: what they are given, that they are CatBoost's own without CatBoost, and what is never read."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from include.errors import ConfigError, ModelFileRefused, TrainingError
from include.training.declared_recipes import recipe_of
from include.training.estimators import optional_libraries
from include.training.estimators.boosting import catboost_trees, tree_json
from include.training.estimators.boosting.catboost_trees import CatBoostClassifier, CatBoostRegressor
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter
from tests.include.training.conftest import declare, fit_at_once, frame_of
from tests.include.training.hostile import refuses

NATIVE = {
    "numeric": {"columns": ["size", "weight"], "impute": "none"},
    "categorical": {"columns": ["colour"], "impute": "none", "encode": "native"},
}
COLUMNS = ["colour", "size", "weight"]


def model(task: str = "classification", training: Any = None, params: Any = None, **candidate: Any) -> Any:
    candidate |= {"estimator": "catboost", "params": {"n_estimators": 30} | (params or {})}
    return declare(
        task,
        features=NATIVE,
        training={"candidates": [candidate], "cv": {"kind": "k_fold", "folds": 2}} | (training or {}),
    )


def trees_of(fitted: Any) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = json.loads(fitted[-1].native_.tobytes())["trees"]
    return trees


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The library's own objects, as they are grown."""
    seen: list[Any] = []
    kept = catboost_trees._kept

    def watched(booster: Any, *rest: Any) -> Any:
        seen.append(booster)
        return kept(booster, *rest)

    monkeypatch.setattr(catboost_trees, "_kept", watched)
    return seen


def test_levels_and_gaps_reach_the_trees_as_they_are() -> None:
    fitted = fit_at_once(model(), frame_of())
    levels = fitted[-1].categorical_features
    assert any(column in levels and len(right) > 0 for tree in trees_of(fitted) for column, right in tree["splits"])
    assert np.isnan(fitted[0].transform(frame_of()[COLUMNS])).any()
    unknown = frame_of().assign(colour="never seen", size=np.nan)
    assert np.isfinite(fitted.predict_proba(unknown)).all()


ROWS = np.random.default_rng(5).normal(size=(1500, 5))
ROWS[:, 3:] = np.random.default_rng(6).integers(0, (40, 3), size=(1500, 2))
VALUE = ROWS[:, 0] + (ROWS[:, 3] % 3 == 0) - (ROWS[:, 4] == 1) + np.random.default_rng(7).normal(size=1500) / 2
ROWS[::7, 0], ROWS[::11, 3] = np.nan, np.nan
OTHER = np.vstack([ROWS, np.where(np.random.default_rng(8).random(ROWS.shape) < 0.3, np.nan, ROWS[::-1])])
TARGETS = {
    "two classes": (CatBoostClassifier(), VALUE > 0),
    "ordered": (CatBoostClassifier(boosting_type="Ordered"), VALUE > 0),
    "one-hot": (CatBoostClassifier(one_hot_max_size=255), VALUE > 0),
    "three classes": (CatBoostClassifier(), np.digitize(VALUE, [0, 1])),
    "squares": (CatBoostRegressor(), VALUE),
    "a quantile": (CatBoostRegressor(objective="Quantile", alpha=0.9), VALUE),
    "counts": (CatBoostRegressor(objective="Poisson"), np.round(np.exp(VALUE))),
    "amounts": (CatBoostRegressor(objective="Tweedie"), np.maximum(VALUE, 0)),
    "robust": (CatBoostRegressor(objective="Huber", delta=0.5), VALUE),
}


@pytest.mark.parametrize("name", TARGETS)
def test_arrays_predict_exactly_what_catboost_itself_predicts(name: str, grown: list[Any]) -> None:
    estimator, target = TARGETS[name]
    estimator.set_params(n_estimators=60, categorical_features=[3, 4], random_state=1).fit(ROWS, target)
    table = catboost_trees._table(OTHER, [3, 4])
    kind = {"Poisson": "Exponent", "Tweedie": "Exponent"}.get(estimator.get_params().get("objective"), "RawFormulaVal")
    if hasattr(estimator, "classes_"):
        known = estimator.predict_proba(OTHER)
        expected = grown[0].predict(table, prediction_type="Probability")
    else:
        known, expected = estimator.predict(OTHER), grown[0].predict(table, prediction_type=kind)
    assert np.allclose(known, expected, rtol=1e-12, atol=1e-12)
    assert len(np.unique(known)) > 100


@pytest.mark.parametrize("name", ["two classes", "one-hot", "squares", "a quantile"])
def test_contributions_are_catboosts_own_and_add_up_to_the_margin(name: str, grown: list[Any]) -> None:
    estimator, target = TARGETS[name]
    estimator.set_params(n_estimators=60, categorical_features=[3, 4], random_state=1).fit(ROWS, target)
    known = estimator.contributions(ROWS)
    pool = catboost.Pool(catboost_trees._table(ROWS, [3, 4]), VALUE, cat_features=[3, 4])
    assert np.allclose(known, grown[0].get_feature_importance(pool, type="ShapValues"), atol=1e-9)
    margin = estimator.decision_function if hasattr(estimator, "classes_") else estimator.predict
    assert np.allclose(estimator.contributions(OTHER).sum(axis=1), margin(OTHER))


@pytest.mark.parametrize("training", [{}, {"imbalance": "class_weight"}, {"weights": {"column": "counts"}}])
def test_trees_are_those_that_catboost_itself_grows_with_the_same_weights(training: dict[str, Any]) -> None:
    frame = frame_of().assign(counts=np.random.default_rng(1).integers(1, 6, 400).astype(float))
    fitted = fit_at_once(model(training=training), frame)
    prepared, target = fitted[0].transform(frame[COLUMNS]), frame.target.astype(int)
    levels = fitted[-1].categorical_features
    balanced = [len(target) / 2 / (target == one).sum() for one in (0, 1)]
    oracle = catboost.CatBoostClassifier(
        iterations=30,
        random_seed=0,
        thread_count=1,
        max_ctr_complexity=1,
        allow_writing_files=False,
        class_weights=balanced if "imbalance" in training else None,
    ).fit(
        catboost_trees._table(prepared, levels),
        target,
        cat_features=levels,
        sample_weight=frame.counts / frame.counts.mean() if "weights" in training else None,
        verbose=False,
    )
    expected = oracle.predict_proba(catboost_trees._table(prepared, levels))
    assert np.allclose(fitted.predict_proba(frame), expected, rtol=0, atol=1e-6)


def test_early_stopping_keeps_the_rounds_that_gained_on_rows_that_trees_did_not_learn_from() -> None:
    fitted = fit_at_once(model(early_stopping=True, params={"n_estimators": 500}), frame_of())
    assert 1 <= len(trees_of(fitted)) < 400


def test_a_monotone_column_never_lowers_the_prediction() -> None:
    free, held = (
        fit_at_once(model("regression", params=params), frame_of("regression"))
        for params in ({}, {"monotone_constraints": {"size": 1}})
    )
    ladder = pd.DataFrame({"size": np.linspace(-3, 3, 200), "weight": 0.0, "colour": "red"})
    assert (np.diff(free.predict(ladder)) < 0).any()
    assert (np.diff(held.predict(ladder)) >= 0).all()


def test_a_monotone_column_of_more_than_two_classes_is_refused_with_catboosts_reason() -> None:
    with pytest.raises(TrainingError, match="[Mm]onotone"):
        fit_at_once(model(params={"monotone_constraints": {"size": 1}}), frame_of("many"))


def test_more_than_two_classes_get_a_probability_each() -> None:
    known = fit_at_once(model(), frame_of("many")).predict_proba(frame_of("many"))
    assert known.shape == (400, 3)
    assert np.allclose(known.sum(axis=1), 1)


@pytest.mark.parametrize(("params", "accepted"), [({"depth": 16}, "int"), ({"max_depth": 9}, "depth")])
def test_a_setting_that_catboost_can_not_take_is_refused_before_a_fit(params: dict[str, Any], accepted: str) -> None:
    with pytest.raises(ConfigError, match=accepted):
        recipe_of(model(params=params), "catboost")


def test_any_number_of_threads_gives_the_same_bytes_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"subsample": 0.7, "rsm": 0.7, "random_state": 3, "n_estimators": 40, "categorical_features": [3, 4]}
    bodies = {
        CatBoostClassifier(n_jobs=count, **settings).fit(ROWS, VALUE > 0).native_.tobytes() for count in (1, 2, 3)
    }
    assert len(bodies) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_stored_model_predicts_without_catboost_and_a_declaration_says_what_to_install(
    file: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "catboost"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "catboost", None)
    monkeypatch.setitem(optional_libraries.DISTRIBUTIONS, "catboost", ("not-installed",))
    body, _ = file
    assert load(body, hashlib.sha256(body).hexdigest()).predict(FRAME).shape == (300,)
    with pytest.raises(ConfigError, match=r"requirements-learners.txt"):
        recipe_of(model(), "catboost")


# Hostile files: each would make prediction read what is not there, take all memory, or never end.

FRAME = pd.DataFrame({"a": np.arange(300.0), "b": np.tile([1.0, 2.0, np.nan], 100), "c": np.tile(np.arange(10.0), 30)})
Change = Callable[[bytes], bytes]


def part(*path: Any, value: Any) -> Change:
    """Return a change of one value, written as a fit writes."""

    def change(native: bytes) -> bytes:
        whole = given = json.loads(native)
        for step in path[:-1]:
            given = given[step]
        given[path[-1]] = value
        return json.dumps(whole, separators=(",", ":")).encode()

    return change


HOSTILE: dict[str, Change] = {
    "a column outside": part("trees", 0, "splits", 0, value=[99, 0.5]),
    "a column below zero": part("trees", 0, "splits", 0, value=[-1, 0.5]),
    "a column that is a truth": part("trees", 0, "splits", 0, value=[True, 0.5]),
    "a threshold that is none": part("trees", 0, "splits", 0, value=[0, "x"]),
    "a set for a threshold": part("trees", 0, "splits", 0, value=[0, [1]]),
    "a threshold for a set": part("trees", 0, "splits", 0, value=[2, 0.5]),
    "a level beyond all": part("trees", 0, "splits", 0, value=[2, [255]]),
    "a level below the gap": part("trees", 0, "splits", 0, value=[2, [-2]]),
    "a level twice": part("trees", 0, "splits", 0, value=[2, [3, 3]]),
    "a level beyond numbers": part("trees", 0, "splits", 0, value=[2, [2**70]]),
    "half a question": part("trees", 0, "splits", 0, value=[0]),
    "more questions than leaves": part("trees", 0, "splits", value=[[0, 0.5]] * 9),
    "too many questions": part("trees", 0, value={"splits": [[0, 0.5]] * 40, "values": [1.0], "weights": [1]}),
    "too few leaves": part("trees", 0, "values", value=[0.5]),
    "a leaf that is none": part("trees", 0, "values", 0, value=None),
    "a weight below zero": part("trees", 0, "weights", 0, value=-1),
    "too few weights": part("trees", 0, "weights", value=[1]),
    "a part more": part("trees", 0, "surprise", value=[]),
    "another part": part("surprise", value=[]),
    "no trees": part("trees", value=[]),
    "trees of another kind": part("trees", value={"0": []}),
    "more outputs": part("bias", value=[0.5, 0.5]),
    "a name twice": lambda native: native.replace(b'"bias":', b'"bias":[0.0],"bias":', 1),
    "another spelling": lambda native: native.replace(b'"bias":', b'"bias": ', 1),
    "no number": lambda native: native.replace(b'"bias":[', b'"bias":[NaN,', 1),
    "too deep": lambda native: b"[" * 100_000 + b"]" * 100_000,
    "cut short": lambda native: native[: len(native) // 2],
    "nothing": lambda native: b"",
}


@pytest.fixture(scope="module")
def file() -> tuple[bytes, bytes]:
    """A model file, and the trees in it."""
    estimator = CatBoostRegressor(n_estimators=3, depth=3, categorical_features=[2], random_state=0)
    target = FRAME.c % 3 + FRAME.a / 1000
    body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, target))
    assert load(body, hashlib.sha256(body).hexdigest()).predict(FRAME).shape == (300,)
    return body, estimator.native_.tobytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees_are_refused(name: str, file: tuple[bytes, bytes]) -> None:
    body, native = file
    changed = HOSTILE[name](native)
    assert changed != native
    refuses(body, changed)


def test_trees_beyond_the_limit_are_refused(file: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_json, "JSON_LIMIT", 100)
    with pytest.raises(ModelFileRefused, match="too large"):
        load(file[0], hashlib.sha256(file[0]).hexdigest())
