"""scikit-learn's own checks over every transformer and estimator of ours."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from include import training
from include.training.estimators.boosting.boosted_trees import BoostedTrees
from include.training.estimators.clusterers import DensityClusterer, RandomClusterer
from include.training.estimators.keras_mlp import KerasMLP
from include.training.estimators.meta_estimator import InputColumns, MetaEstimator
from include.training.estimators.target_transform import TransformedTargetRegressor
from include.training.preprocessing.category_encoder import CategoryEncoder
from include.training.preprocessing.category_interactions import CategoryInteraction
from include.training.preprocessing.column_filters import ColumnMask, MissingColumnFilter
from include.training.preprocessing.datetime_features import DatetimeFeatures
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper
from include.training.preprocessing.signed_log import SignedLog
from include.training.preprocessing.text_column import TextColumn


def _numbers(matrix: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(matrix, columns=[f"x{place}" for place in range(matrix.shape[1])])


def _levels(matrix: np.ndarray) -> pd.DataFrame:
    return _numbers(matrix).round(1).astype(str).astype("category")


def _text(matrix: np.ndarray) -> pd.DataFrame:
    return _numbers(matrix[:, :1]).astype(str)


def _dates(matrix: np.ndarray) -> pd.DataFrame:
    return _numbers(matrix).apply(lambda column: pd.to_datetime((column * 1e6).round(), unit="s"))


class Framed(TransformerMixin, BaseEstimator):
    """A step that reads a frame's columns by name, given the matrices of scikit-learn's checks.

    Parameters
    ----------
    step : transformer
    frame : function of an array of shape (n_rows, n_columns) to a frame of that shape
    """

    def __init__(self, step: Any, frame: Callable[[np.ndarray], pd.DataFrame] = _numbers) -> None:
        self.step = step
        self.frame = frame

    def fit(self, X: Any, y: Any = None) -> Framed:
        matrix = validate_data(self, X, dtype=np.float64)
        self.step_ = clone(self.step).fit(self.frame(matrix))
        return self

    def transform(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        matrix = validate_data(self, X, dtype=np.float64, reset=False)
        # Texts are compared as the numbers that they were written from.
        return np.asarray(self.step_.transform(self.frame(matrix)), dtype=np.float64)


CHECKED = [
    OutlierClipper(),
    OutlierClipper("z_score", "mark_missing"),
    SignedLog(),
    DensityClusterer(),
    Framed(FloatConverter()),
    Framed(MissingColumnFilter()),
    Framed(CategoryEncoder("ordinal"), _levels),
    Framed(CategoryEncoder("one_hot", "mode", min_frequency=0.05), _levels),
    Framed(make_pipeline(CategoryInteraction(), CategoryEncoder()), _levels),
    Framed(DatetimeFeatures(("hour", "month"), cyclic=True), _dates),
    Framed(TextColumn(), _text),
]
NOT_CHECKED = {
    RandomClusterer: "the trivial baseline: learns nothing, and its answer depends on a row's place",
    ColumnMask: "made with the mask of one matrix, where the checks bring matrices of several widths",
    InputColumns: "hands on named columns and prepares nothing",
    BoostedTrees: "fitted to prepared matrices with classes as numbers only; compared with LightGBM, XGBoost and CatBoost themselves in their own tests",
    KerasMLP: "fitted to prepared matrices, a second each; compared with Keras itself in tests of its own",
    MetaEstimator: "put together of fitted models and never fitted itself, as are its subclasses",
    TransformedTargetRegressor: "put together of fitted parts; compared with scikit-learn's in tests of its own",
}


@pytest.mark.parametrize("estimator", CHECKED, ids=lambda estimator: str(getattr(estimator, "step", estimator)))
def test_a_step_of_ours_behaves_as_scikit_learn_asks(estimator: Any) -> None:
    # All that `parametrize_with_checks` has, in one test a step: as tests of their own they would be 500.
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert [(one["check_name"], str(one["exception"])) for one in results if one["status"] == "failed"] == []
    assert sum(one["status"] == "passed" for one in results) > 30


def _classes(kind: type) -> set[type]:
    return {kind}.union(*(_classes(one) for one in kind.__subclasses__()))


def _checked(estimator: Any) -> set[type]:
    inner = [step for _, step in estimator.steps] if hasattr(estimator, "steps") else [getattr(estimator, "step", None)]
    return {type(estimator)}.union(*(_checked(one) for one in inner if one is not None))


def test_every_transformer_and_estimator_of_ours_is_checked_or_says_why_not() -> None:
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(training.__path__, "include.training.")
    ]
    ours = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseEstimator) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_")
    }
    excused = set().union(*(_classes(kind) for kind in NOT_CHECKED))
    checked = set().union(*(_checked(estimator) for estimator in CHECKED))
    assert ours - excused <= checked


@pytest.mark.parametrize("step", [OutlierClipper(), SignedLog()], ids=str)
def test_a_gap_passes_a_step_over_numbers(step: Any) -> None:
    matrix = np.array([[1.0, np.nan], [2.0, 5.0], [4.0, 7.0]])
    assert np.isnan(step.fit(matrix).transform(matrix)).tolist() == np.isnan(matrix).tolist()
