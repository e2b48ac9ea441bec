"""Trees of other libraries: what they are given, what is kept of them, and what no native parser is ever given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from include.errors import ConfigError, ModelFileRefused
from include.training.declared_recipes import recipe_of
from include.training.estimators import optional_libraries
from include.training.estimators.boosting import boosted_trees, lightgbm_trees
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier, LightGBMRegressor
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter
from tests.include.training.conftest import declare, fit_at_once, frame_of
from tests.include.training.hostile import refuses

NATIVE = {
    "numeric": {"columns": ["size", "weight"], "impute": "none"},
    "categorical": {"columns": ["colour"], "impute": "none", "encode": "native"},
}


def model(
    task: str = "classification", features: dict[str, Any] = NATIVE, training: Any = None, **candidate: Any
) -> Any:
    parts = {"candidates": [{"estimator": "lightgbm", **candidate}], "cv": {"kind": "k_fold", "folds": 2}}
    return declare(task, features=features, training=parts | (training or {}))


def test_levels_and_gaps_reach_the_trees_as_they_are() -> None:
    fitted = fit_at_once(model(), frame_of())
    text = fitted[-1].native_.tobytes().decode()
    assert any(line.startswith("num_cat=") and line != "num_cat=0" for line in text.split("\n"))
    assert np.isnan(fitted[0].transform(frame_of()[["colour", "size", "weight"]])).any()
    unknown = frame_of().assign(colour="never seen", size=np.nan)
    assert np.isfinite(fitted.predict_proba(unknown)).all()


def test_early_stopping_keeps_the_rounds_that_gained_on_a_tenth_of_the_fitted_rows_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts: list[int] = []
    grow = LightGBMClassifier._grow

    def counted(self: Any, given: Any) -> bytes:
        parts.extend(len(y) for _, y, _ in given)
        return grow(self, given)

    monkeypatch.setattr(LightGBMClassifier, "_grow", counted)
    fitted = fit_at_once(model(early_stopping=True, params={"n_estimators": 500}), frame_of())
    assert sum(parts) == 400
    assert parts[1] in (39, 40)
    assert 1 <= fitted[-1].native_.tobytes().count(b"Tree=") < 100


def test_a_monotone_column_never_lowers_the_prediction() -> None:
    free, held = (
        fit_at_once(model("regression", params=params), frame_of("regression"))
        for params in ({}, {"monotone_constraints": {"size": 1}})
    )
    ladder = pd.DataFrame({"size": np.linspace(-3, 3, 200), "weight": 0.0, "colour": "red"})
    assert (np.diff(free.predict(ladder)) < 0).any()
    assert (np.diff(held.predict(ladder)) >= 0).all()


@pytest.mark.parametrize("declared", [{"colour": 1}, {"size": 2}, {"none": 1}, [1, 0, 0]])
def test_a_monotone_constraint_that_can_not_be_held_is_refused_before_a_fit(declared: Any) -> None:
    with pytest.raises(ConfigError, match="monotone_constraints"):
        recipe_of(model(params={"monotone_constraints": declared}), "lightgbm")


@pytest.mark.parametrize("training", [{"imbalance": "class_weight"}, {"weights": {"column": "counts"}}])
def test_class_and_row_weights_give_what_lightgbm_itself_gives_with_them(training: dict[str, Any]) -> None:
    frame = frame_of().assign(counts=np.random.default_rng(1).integers(1, 6, 400).astype(float))
    plain, weighed = (fit_at_once(model(training=given), frame) for given in ({}, training))
    prepared = weighed[0].transform(frame[["colour", "size", "weight"]])
    own = {"force_row_wise": True, "deterministic": True, "random_state": 0, "n_jobs": 1, "verbosity": -1}
    balanced = "class_weight" if "imbalance" in training else None
    oracle = lightgbm.LGBMClassifier(class_weight="balanced" if balanced else None, **own).fit(
        prepared,
        frame.target.astype(int),
        # Declared weights have a mean of one; LightGBM's limits on leaves count weights as they are.
        sample_weight=None if balanced else frame.counts / frame.counts.mean(),
        categorical_feature=weighed[-1].categorical_features,
    )
    expected = oracle.booster_.predict(prepared)
    assert np.allclose(weighed.predict_proba(frame)[:, 1], expected, rtol=0, atol=1e-6)
    assert not np.allclose(plain.predict_proba(frame)[:, 1], expected, atol=1e-2)


def test_more_than_two_classes_get_a_probability_each() -> None:
    known = fit_at_once(model(), frame_of("many")).predict_proba(frame_of("many"))
    assert known.shape == (400, 3)
    assert np.allclose(known.sum(axis=1), 1)


def test_contributions_add_up_to_the_margin() -> None:
    fitted = fit_at_once(model(), frame_of())
    prepared = fitted[0].transform(frame_of()[["colour", "size", "weight"]])
    known = fitted[-1].contributions(prepared)
    assert np.allclose(known.sum(axis=1), fitted[-1].decision_function(prepared))


@pytest.mark.parametrize(("params", "accepted"), [({"num_leaves": 1}, "int"), ({"num_leafs": 9}, "num_leaves")])
def test_a_setting_that_lightgbm_can_not_take_is_refused_before_a_fit(params: dict[str, Any], accepted: str) -> None:
    with pytest.raises(ConfigError, match=accepted):
        recipe_of(model(params=params), "lightgbm")


def test_without_the_library_a_declaration_and_a_stored_model_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", LightGBMRegressor())]).fit(FRAME, FRAME.a))

    def gone(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(optional_libraries, "version", gone)
    for act in (lambda: recipe_of(model(), "lightgbm"), lambda: load(body, hashlib.sha256(body).hexdigest())):
        with pytest.raises(ConfigError, match="requirements-learners.txt"):
            act()


# Hostile files: each would make LightGBM's parser or predictor read what is not its own, never end, or take all memory.

FRAME = pd.DataFrame({"a": np.arange(300.0), "b": np.tile([1.0, 2.0, np.nan], 100), "c": np.tile(np.arange(10.0), 30)})


def replaced(name: str, value: str) -> Callable[[bytes], bytes]:
    """Return a change of the first tree's line of that name, with the sizes of trees made right again."""

    def change(native: bytes) -> bytes:
        text = native.decode()
        start = text.index("\nTree=0")
        at = text.index(f"\n{name}=", start) + 1
        end = text.index("\n", at)
        longer = len(value) + len(name) + 1 - (end - at)
        text = text[:at] + f"{name}={value}" + text[end:]
        at = text.index("tree_sizes=")
        first = text[at + len("tree_sizes=") :].split(" ")[0]
        return text.replace(f"tree_sizes={first}", f"tree_sizes={int(first) + longer}", 1).encode()

    return change


def swapped(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    return lambda native: native.replace(before, after, 1)


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "a child outside": replaced("left_child", "1000000 -1"),
    "a circle": replaced("left_child", "0 -1"),
    "a leaf outside": replaced("right_child", "1 -900"),
    "a column outside": replaced("split_feature", "0 99"),
    "a column below zero": replaced("split_feature", "0 -1"),
    "a set outside": replaced("decision_type", "1 1"),
    "too few thresholds": replaced("threshold", "0.5"),
    "too few leaves": replaced("leaf_value", "0.5"),
    "leaves that are promised": replaced("num_leaves", "2000000000"),
    "a linear tree": replaced("is_linear", "1"),
    "no number": replaced("leaf_value", "x y z"),
    "sets below zero": replaced("num_cat", "-1"),
    "another size": swapped(b"tree_sizes=", b"tree_sizes=9"),
    "more columns": swapped(b"max_feature_idx=2", b"max_feature_idx=9"),
    "more classes": swapped(b"num_class=1", b"num_class=9"),
    "another objective": swapped(b"objective=regression", b"objective=multiclass"),
    "another version": swapped(b"version=v4", b"version=v3"),
    "parameters": lambda native: native + b"\nparameters:\n[forcedsplits_filename: /etc/passwd]\n",
    "cut short": lambda native: native[: len(native) // 2],
    "nothing": lambda native: b"",
    "no text": lambda native: b"tree\n\xff\xfe" + native,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees_are_refused_before_lightgbm_reads_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = LightGBMRegressor(n_estimators=2, num_leaves=3, categorical_features=[2], random_state=0)
    body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, FRAME.a))
    assert load(body, hashlib.sha256(body).hexdigest()).predict(FRAME).shape == (300,)
    monkeypatch.setattr(lightgbm_trees, "import_library", lambda name: pytest.fail("the native library was asked"))
    changed = HOSTILE[name](estimator.native_.tobytes())
    assert changed != estimator.native_.tobytes()
    refuses(body, changed)


def test_trees_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", LightGBMRegressor())]).fit(FRAME, FRAME.a))
    monkeypatch.setattr(boosted_trees, "NATIVE_LIMIT", 1000)
    with pytest.raises(ModelFileRefused, match="too large"):
        load(body, hashlib.sha256(body).hexdigest())
