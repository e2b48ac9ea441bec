"""Networks that Keras fits: that numpy predicts what Keras does, what is kept of them, and what is refused."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import random
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from include.errors import ConfigError, ModelFileRefused, TrainingError
from include.training.declared_recipes import recipe_of
from include.training.estimators import keras_training, optional_libraries
from include.training.estimators.keras_mlp import ACTIVATIONS, KerasMLPClassifier, KerasMLPRegressor
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter
from tests.include.training.conftest import declare, fit_at_once, frame_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4))
SIGNAL = X[:, 0] * X[:, 1] + X[:, 2] + RNG.normal(size=600) / 5
QUICK: dict[str, Any] = {"layers": [8, 4], "epochs": 3, "learning_rate": 0.01}


def model(task: str = "classification", training: Any = None, params: Any = None, **candidate: Any) -> Any:
    candidate |= {"estimator": "keras_mlp", "params": QUICK | (params or {})}
    return declare(task, training={"candidates": [candidate], "cv": {"kind": "k_fold", "folds": 2}} | (training or {}))


@pytest.fixture(scope="module", autouse=True)
def keras() -> Any:
    """Keras, imported by the process that runs these tests and not by each that collects them: it takes seconds."""
    return importlib.import_module("keras")


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keras's own networks, as they are made."""
    made: list[Any] = []
    network = keras_training._network

    def watched(*given: Any) -> Any:
        made.append(network(*given))
        return made[-1]

    monkeypatch.setattr(keras_training, "_network", watched)
    return made


TARGETS = {
    "two classes": (KerasMLPClassifier(), SIGNAL > 0),
    "three classes": (KerasMLPClassifier(), np.digitize(SIGNAL, [-0.5, 0.5])),
    "values": (KerasMLPRegressor(), 1000 + 50 * SIGNAL),
    "robust": (KerasMLPRegressor(loss="huber"), SIGNAL),
}


@pytest.mark.parametrize("name", TARGETS)
def test_numpy_predicts_what_keras_predicts(name: str, networks: list[Any], keras: Any) -> None:
    estimator, target = TARGETS[name]
    estimator.set_params(**QUICK, dropout=0.2, l2=1e-4).fit(X, target)
    raw = networks[0].predict(X.astype(np.float32), verbose=0)
    if name == "two classes":
        assert np.allclose(estimator.predict_proba(X)[:, 1], keras.ops.sigmoid(raw)[:, 0], rtol=0, atol=1e-6)
    elif name == "three classes":
        assert np.allclose(estimator.predict_proba(X), keras.ops.softmax(raw), rtol=0, atol=1e-6)
    else:
        known = (estimator.predict(X) - np.mean(target)) / np.std(target)
        assert np.allclose(known, raw[:, 0], rtol=0, atol=2e-6)
        assert np.corrcoef(estimator.predict(X), target)[0, 1] > 0.3
    assert len(np.unique(raw)) > 500


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_is_kerass_own(activation: str, keras: Any) -> None:
    x = np.linspace(-8, 8, 500)
    expected = keras.ops.convert_to_numpy(keras.activations.get(activation)(x.astype(np.float32)))
    assert np.allclose(ACTIVATIONS[activation](x), expected, rtol=0, atol=1e-6)


def test_whole_numbers_as_weights_are_rows_that_are_there_as_often() -> None:
    # All rows in one step, so that no chance of batches is between the two.
    counts = RNG.integers(1, 4, 600)
    settings = {"layers": [8], "epochs": 10, "learning_rate": 0.05, "batch_size": 10**6, "random_state": 1}
    repeated = np.repeat(np.arange(600), counts)
    plain = KerasMLPClassifier(**settings).fit(X, SIGNAL > 0).predict_proba(X)
    weighed = KerasMLPClassifier(**settings).fit(X, SIGNAL > 0, sample_weight=7.0 * counts).predict_proba(X)
    often = KerasMLPClassifier(**settings).fit(X[repeated], SIGNAL[repeated] > 0).predict_proba(X)
    assert np.allclose(weighed, often, rtol=0, atol=1e-5)
    assert abs(plain - often).max() > 1e-2


@pytest.mark.parametrize("training", [{"imbalance": "class_weight"}, {"weights": {"column": "counts"}}])
def test_class_and_row_weights_reach_the_network(training: dict[str, Any]) -> None:
    frame = frame_of().assign(counts=np.random.default_rng(1).integers(1, 6, 400).astype(float))
    fitted = fit_at_once(model(training=training), frame)
    prepared, target = fitted[0].transform(frame[list(fitted.feature_names_in_)]), frame.target.to_numpy()
    balanced = np.where(target, 1 / target.sum(), 1 / (~target).sum())
    weight = balanced if "imbalance" in training else frame.counts.to_numpy()
    oracle = KerasMLPClassifier(**QUICK, random_state=0).fit(prepared, target, sample_weight=weight)
    assert np.allclose(fitted.predict_proba(frame), oracle.predict_proba(prepared), atol=1e-5)
    assert not np.allclose(fit_at_once(model(), frame).predict_proba(frame), fitted.predict_proba(frame), atol=1e-3)


def test_early_stopping_ends_at_its_best_weights_on_rows_that_were_not_learned_from(
    networks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"epochs": 300, "patience": 4, "learning_rate": 0.05, "layers": [32]}
    fitted = fit_at_once(model(early_stopping=True, params=params), frame_of())
    history = networks[-1].history.history
    best = int(np.argmin(history["val_loss"]))
    assert len(history["val_loss"]) == best + 1 + 4 < 300
    estimator = KerasMLPClassifier(**{**QUICK, **params, "epochs": best + 1, "early_stopping": True}, random_state=0)
    frame = frame_of()
    prepared = fitted[0].transform(frame[list(fitted.feature_names_in_)])
    assert np.allclose(
        estimator.fit(prepared, frame.target.to_numpy()).predict_proba(prepared), fitted.predict_proba(frame)
    )


def test_the_same_fit_gives_the_same_bytes_and_leaves_the_state_of_others_alone() -> None:
    bodies = set()
    for start in (1, 2):
        random.seed(start)
        np.random.seed(start)
        before = random.getstate(), np.random.get_state()[1].tolist()
        estimator = KerasMLPClassifier(**QUICK, dropout=0.3, random_state=5)
        bodies.add(dump(Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, FRAME.a > 0)))
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert len(bodies) == 1
    assert "KERAS_HOME" not in os.environ


def test_a_regression_goes_through_the_ordinary_preparation_and_learns() -> None:
    frame = frame_of("regression")
    params = {"layers": [32], "epochs": 40}
    fitted = fit_at_once(model("regression", params=params), frame)
    assert np.corrcoef(fitted.predict(frame), frame.target)[0, 1] > 0.7
    unknown = frame.assign(colour="never seen", size=np.nan, weight=1e300)
    assert np.isfinite(fitted.predict(unknown)).all()


@pytest.mark.parametrize(
    ("params", "accepted"),
    [
        ({"layers": []}, "whole numbers of units"),
        ({"layers": [16, 0]}, "whole numbers of units"),
        ({"layers": ["wide"]}, "whole numbers of units"),
        ({"activation": "relo"}, "relu"),
        ({"dropout": 1.0}, "float"),
        ({"layer": [8]}, "layers"),
    ],
)
def test_a_setting_that_a_network_can_not_take_is_refused_before_a_fit(params: dict[str, Any], accepted: str) -> None:
    with pytest.raises(ConfigError, match=accepted):
        recipe_of(model(params=params), "keras_mlp")


def test_weights_that_leave_all_bounds_are_an_error_with_a_remedy() -> None:
    with pytest.raises(TrainingError, match="learning_rate"):
        fit_at_once(model(params={"learning_rate": 1e38}), frame_of())


def test_a_stored_network_predicts_without_keras_and_a_declaration_says_what_to_install(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(optional_libraries.DISTRIBUTIONS, name, ("not-installed",))
    assert load(body, hashlib.sha256(body).hexdigest()).predict(FRAME).shape == (600,)
    with pytest.raises(ConfigError, match=r"requirements-keras.txt"):
        recipe_of(model(), "keras_mlp")


def test_keras_on_another_backend_is_named(monkeypatch: pytest.MonkeyPatch, keras: Any) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="jax"):
        keras_training._keras.__wrapped__()


# Hostile files: settings and arrays that no fit writes.

FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.fixture(scope="module")
def fitted() -> Pipeline:
    estimator = KerasMLPRegressor(**QUICK, random_state=0)
    return Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, SIGNAL)


@pytest.fixture(scope="module")
def body(fitted: Pipeline) -> bytes:
    return dump(fitted)


HOSTILE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "another width": lambda one: {"coefs_": [one.coefs_[0][:, :5], *one.coefs_[1:]]},
    "more columns": lambda one: {"n_features_in_": 9},
    "no columns": lambda one: {"n_features_in_": 0},
    "a truth for a number": lambda one: {"n_features_in_": True},
    "a layer less": lambda one: {"coefs_": one.coefs_[:-1]},
    "a layer more": lambda one: {"layers": [8, 4, 4]},
    "biases of another layer": lambda one: {"intercepts_": one.intercepts_[::-1]},
    "numbers of another type": lambda one: {"coefs_": [each.astype(np.float64) for each in one.coefs_]},
    "a cube": lambda one: {"coefs_": [one.coefs_[0][None], *one.coefs_[1:]]},
    "no number": lambda one: {"coefs_": [one.coefs_[0] * np.nan, *one.coefs_[1:]]},
    "no arrays": lambda one: {"coefs_": 7},
    "an unknown activation": lambda one: {"activation": "__import__"},
    "a list for an activation": lambda one: {"activation": ["relu"]},
    "a layer beyond all": lambda one: {"layers": [2**40, 4]},
    "text for layers": lambda one: {"layers": "84"},
    "layers without end": lambda one: {"layers": [8] * 10_000},
    "a scale that is none": lambda one: {"scale_": "x"},
    "a scale beyond all": lambda one: {"scale_": float("inf")},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_networks_are_refused(name: str, fitted: Pipeline) -> None:
    estimator = KerasMLPRegressor()
    vars(estimator).update(vars(fitted[-1]) | HOSTILE[name](fitted[-1]))
    body = dump(Pipeline([fitted.steps[0], ("estimator", estimator)]))
    with pytest.raises(ModelFileRefused):
        load(body, hashlib.sha256(body).hexdigest())


def test_an_object_of_keras_in_a_file_is_refused(body: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as archive, zipfile.ZipFile(out, "w") as hostile:
        for member in archive.namelist():
            kept = archive.read(member).replace(b'"KerasMLPRegressor"', b'"models.Sequential"')
            hostile.writestr(member, kept.replace(b'"ratchet"', b'"keras"') if b"models.Sequential" in kept else kept)
    with pytest.raises(ModelFileRefused, match="not permitted") as refused:
        load(out.getvalue(), hashlib.sha256(out.getvalue()).hexdigest())
    assert "keras." in str(refused.value.found)
