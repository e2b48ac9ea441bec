"""Base classes of models that combine fitted pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from include.training.estimators.target_transform import TransformedTargetRegressor


class InputColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Pass rows on as a frame: each inner model prepares them itself.

    Parameters
    ----------
    columns : list of str

    Examples
    --------
    >>> import pandas as pd
    >>> InputColumns(["spend"]).transform(pd.DataFrame({"spend": [1.0], "plan": ["free"]})).columns.tolist()
    ['spend']
    """

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    @property
    def feature_names_in_(self) -> np.ndarray[Any, Any]:
        """The columns to read."""
        return np.asarray(self.columns, dtype=object)

    def fit(self, X: pd.DataFrame, y: Any = None) -> InputColumns:
        """Learn nothing."""
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return those columns."""
        return X[list(self.columns)]

    def __sklearn_is_fitted__(self) -> bool:
        return True


class MetaEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What is put together of models that were fitted before."""

    @property
    def models(self) -> list[Any]:
        """The inner models, each a pipeline for whole rows."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> MetaEstimator:
        """Not to be called: `include.training.fit_pipeline` puts it together."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return True


def as_pipeline(model: MetaEstimator, columns: tuple[str, ...]) -> Pipeline:
    """Return a pipeline that reads columns and hands whole rows to a model of models."""
    return Pipeline([("rows", InputColumns(list(columns))), ("estimator", model)])


def estimators_in(model: Any) -> Iterator[Any]:
    """Yield the estimators at the end of every pipeline inside a model: those that are given prepared columns."""
    if isinstance(model, Pipeline):
        yield from estimators_in(model[-1])
    elif isinstance(model, MetaEstimator):
        for one in model.models:
            yield from estimators_in(one)
    elif isinstance(model, TransformedTargetRegressor):
        yield from estimators_in(model.regressor)
    elif isinstance(model, CalibratedClassifierCV):
        for calibrated in model.calibrated_classifiers_:
            yield from estimators_in(calibrated.estimator)
    else:
        yield model
