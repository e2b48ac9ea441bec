"""XGBoost's trees: what they are given, that they are XGBoost's own, and what XGBoost is never given to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import Pipeline

from include.errors import ConfigError, ModelFileRefused
from include.training.declared_recipes import recipe_of
from include.training.estimators.boosting import tree_json, xgboost_trees
from include.training.estimators.boosting.xgboost_trees import XGBoostClassifier, XGBoostRegressor
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter
from tests.include.training.conftest import declare, fit_at_once, frame_of
from tests.include.training.hostile import refuses

NATIVE = {
    "numeric": {"columns": ["size", "weight"], "impute": "none"},
    "categorical": {"columns": ["colour"], "impute": "none", "encode": "native"},
}
COLUMNS = ["colour", "size", "weight"]


def model(task: str = "classification", training: Any = None, **candidate: Any) -> Any:
    parts = {"candidates": [{"estimator": "xgboost", **candidate}], "cv": {"kind": "k_fold", "folds": 2}}
    return declare(task, features=NATIVE, training=parts | (training or {}))


def trees_of(fitted: Any) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = json.loads(fitted[-1].native_.tobytes())["learner"]["gradient_booster"]["model"][
        "trees"
    ]
    return trees


def test_levels_and_gaps_reach_the_trees_as_they_are() -> None:
    fitted = fit_at_once(model(params={"max_cat_to_onehot": 1}), frame_of())
    assert any(tree["categories_nodes"] for tree in trees_of(fitted))
    assert np.isnan(fitted[0].transform(frame_of()[COLUMNS])).any()
    unknown = frame_of().assign(colour="never seen", size=np.nan)
    assert np.isfinite(fitted.predict_proba(unknown)).all()


@pytest.mark.parametrize("training", [{}, {"imbalance": "class_weight"}, {"weights": {"column": "counts"}}])
def test_trees_are_those_that_xgboost_itself_grows_with_the_same_weights(training: dict[str, Any]) -> None:
    frame = frame_of().assign(counts=np.random.default_rng(1).integers(1, 6, 400).astype(float))
    fitted = fit_at_once(model(training=training, params={"n_estimators": 20}), frame)
    prepared, target = fitted[0].transform(frame[COLUMNS]), frame.target.astype(int)
    weights = np.where(target == 1, 200 / target.sum(), 200 / (400 - target.sum()))
    given = {"imbalance": weights, "weights": frame.counts / frame.counts.mean()}
    levels = set(fitted[-1].categorical_features)
    oracle = xgboost.XGBClassifier(
        n_estimators=20, feature_types=["c" if place in levels else "q" for place in range(3)], n_jobs=1, random_state=0
    ).fit(prepared, target, sample_weight=next((given[name] for name in training), None))
    assert np.allclose(fitted.predict_proba(frame), oracle.predict_proba(prepared), rtol=0, atol=1e-6)


def test_early_stopping_keeps_the_rounds_that_gained_on_rows_that_trees_did_not_learn_from() -> None:
    fitted = fit_at_once(model(early_stopping=True, params={"n_estimators": 500}), frame_of())
    assert 1 <= len(trees_of(fitted)) < 100
    assert b"best_iteration" not in fitted[-1].native_.tobytes()


def test_a_monotone_column_never_lowers_the_prediction() -> None:
    free, held = (
        fit_at_once(model("regression", params=params), frame_of("regression"))
        for params in ({}, {"monotone_constraints": {"size": 1}})
    )
    ladder = pd.DataFrame({"size": np.linspace(-3, 3, 200), "weight": 0.0, "colour": "red"})
    assert (np.diff(free.predict(ladder)) < 0).any()
    assert (np.diff(held.predict(ladder)) >= 0).all()


def test_more_than_two_classes_get_a_probability_each() -> None:
    known = fit_at_once(model(), frame_of("many")).predict_proba(frame_of("many"))
    assert known.shape == (400, 3)
    assert np.allclose(known.sum(axis=1), 1)


def test_contributions_add_up_to_the_margin() -> None:
    fitted = fit_at_once(model(), frame_of())
    prepared = fitted[0].transform(frame_of()[COLUMNS])
    known = fitted[-1].contributions(prepared)
    assert np.allclose(known.sum(axis=1), fitted[-1].decision_function(prepared), atol=1e-4)


@pytest.mark.parametrize(("params", "accepted"), [({"max_depth": -1}, "int"), ({"max_dept": 9}, "max_depth")])
def test_a_setting_that_xgboost_can_not_take_is_refused_before_a_fit(params: dict[str, Any], accepted: str) -> None:
    with pytest.raises(ConfigError, match=accepted):
        recipe_of(model(params=params), "xgboost")


def test_any_number_of_threads_gives_the_same_trees() -> None:
    settings = {"subsample": 0.7, "colsample_bynode": 0.7, "random_state": 3, "n_estimators": 20}
    one, two = (XGBoostClassifier(n_jobs=count, **settings).fit(FRAME.to_numpy(), FRAME.a > 150) for count in (1, 2))
    assert one.native_.tobytes() == two.native_.tobytes()


# Hostile files: each would make XGBoost's parser or predictor read what is not its own, never end, or take all memory.

FRAME = pd.DataFrame({"a": np.arange(300.0), "b": np.tile([1.0, 2.0, np.nan], 100), "c": np.tile(np.arange(10.0), 30)})
Change = Callable[[bytes], bytes]
MODEL = ("learner", "gradient_booster", "model")


def part(*path: Any, value: Any) -> Change:
    """Return a change of one value, written as a fit writes."""

    def change(native: bytes) -> bytes:
        whole = given = json.loads(native)
        for step in path[:-1]:
            given = given[step]
        given[path[-1]] = value
        return json.dumps(whole, separators=(",", ":")).encode()

    return change


def tree(name: str, value: Any, at: int | None = None) -> Change:
    """Return a change of the first tree: of one part, or of one of its numbers."""
    return part(*MODEL, "trees", 0, name, *([] if at is None else [at]), value=value)


HOSTILE: dict[str, Change] = {
    "a child outside": tree("left_children", 1_000_000, 0),
    "a circle": tree("left_children", 0, 0),
    "a node of two parents": tree("right_children", 1, 0),
    "half a leaf": tree("right_children", -1, 0),
    "another parent": tree("parents", 5, 1),
    "a column outside": tree("split_indices", 99, 0),
    "a column below zero": tree("split_indices", -1, 0),
    "a level beyond all": tree("categories", 2**24, 0),
    "a level below zero": tree("categories", -1, 0),
    "a set that is too long": tree("categories_sizes", 2**40, 0),
    "a set outside": tree("categories_segments", 2**40, 0),
    "a set of no node": tree("categories_nodes", 2**30, 0),
    "a set without its split": tree("split_type", 0, 0),
    "too few weights": tree("base_weights", [0.5]),
    "a weight that is none": tree("base_weights", "x", 0),
    "a truth for a number": tree("left_children", True, 0),
    "a number beyond all": tree("left_children", 2**70, 0),
    "nodes that are promised": tree("tree_param", {"num_nodes": "2000000000"}),
    "no nodes": tree("left_children", []),
    "a part more": tree("surprise", []),
    "another id": tree("id", 7),
    "more trees": part(*MODEL, "gbtree_model_param", "num_trees", value="9"),
    "trees of another class": part(*MODEL, "tree_info", 0, value=5),
    "rounds outside": part(*MODEL, "iteration_indptr", 1, value=99),
    "names of levels": part(*MODEL, "cats", "enc", value=[{"offsets": [0, 2**31], "values": []}]),
    "another booster": part("learner", "gradient_booster", "name", value="dart"),
    "more columns": part("learner", "learner_model_param", "num_feature", value="9"),
    "more classes": part("learner", "learner_model_param", "num_class", value="9"),
    "another base": part("learner", "learner_model_param", "base_score", value="[1e0,2e0]"),
    "another objective": part("learner", "objective", "name", value="multi:softprob"),
    "classes of the objective": part(
        "learner", "objective", "softmax_multiclass_param", value={"num_class": "99999999"}
    ),
    "an attribute": part("learner", "attributes", value={"best_iteration": "9"}),
    "another version": part("version", value=[1, 0, 0]),
    "a name twice": lambda native: native.replace(b'"id":0', b'"id":0,"id":0', 1),
    "another spelling": lambda native: native.replace(b'"id":0', b'"id": 0', 1),
    "no number": lambda native: native.replace(b'"id":0', b'"id":NaN', 1),
    "too deep": lambda native: b"[" * 100_000 + b"]" * 100_000,
    "binary": lambda native: b"{L\x00\x00" + native,
    "cut short": lambda native: native[: len(native) // 2],
    "nothing": lambda native: b"",
}


@pytest.fixture(scope="module")
def grown() -> tuple[bytes, bytes]:
    """A model file, and the trees in it."""
    estimator = XGBoostRegressor(
        n_estimators=2, max_depth=3, categorical_features=[2], max_cat_to_onehot=1, random_state=0
    )
    target = FRAME.c % 3 + FRAME.a / 1000
    body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, target))
    assert load(body, hashlib.sha256(body).hexdigest()).predict(FRAME).shape == (300,)
    return body, estimator.native_.tobytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees_are_refused_before_xgboost_reads_them(
    name: str, grown: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xgboost_trees, "import_library", lambda name: pytest.fail("the native library was asked"))
    body, native = grown
    changed = HOSTILE[name](native)
    assert changed != native
    refuses(body, changed)


def test_trees_beyond_the_limit_are_refused(grown: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_json, "JSON_LIMIT", 1000)
    with pytest.raises(ModelFileRefused, match="too large"):
        load(grown[0], hashlib.sha256(grown[0]).hexdigest())
