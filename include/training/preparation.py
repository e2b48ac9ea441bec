"""From a model's `features` to the first half of its pipeline; all of it learns from the rows that it is fitted on."""

from __future__ import annotations

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from include.config.training import Categorical, Features, Numeric
from include.training.levels import LevelEncoder
from include.training.numbers import Numbers
from include.training.outliers import OutlierBounds

_STRATEGIES = {"mean": "mean", "median": "median", "mode": "most_frequent", "constant": "constant"}
_SCALERS = {"standard": StandardScaler, "min_max": MinMaxScaler, "robust": RobustScaler}
NATIVE_LEVELS = 255
"""How many levels histogram gradient boosting can tell apart in one column (its `max_bins`)."""


def preparation(features: Features, *, missing: bool, native: bool, sparse: bool) -> ColumnTransformer:
    """Build the transformer of a model's columns, not yet fitted.

    The categorical columns come first, so that their positions are known whatever the numeric ones grow to.

    Parameters
    ----------
    features : Features
        What the model declares.
    missing : bool
        Whether the estimator takes missing numbers. One that does not gets the median where `impute: none` is declared.
    native : bool
        Whether the estimator takes levels as numbers. One that does not gets `one_hot` where `native` is declared.
    sparse : bool
        Whether the estimator takes sparse matrices.
    """
    steps: list[tuple[str, Any, list[str]]] = []
    if features.categorical is not None:
        steps.append(("categorical", _levels(features.categorical, native, sparse), list(features.categorical.columns)))
    if features.numeric is not None:
        steps.append(("numeric", _numbers(features.numeric, missing), list(features.numeric.columns)))
    return ColumnTransformer(steps, sparse_threshold=1.0 if sparse else 0.0)


def native_positions(features: Features) -> list[int]:
    """Return where `preparation` puts the columns that a native estimator treats as levels."""
    if features.categorical is None or features.categorical.encode != "native":
        return []
    return list(range(len(features.categorical.columns)))


def _levels(section: Categorical, native: bool, sparse: bool) -> LevelEncoder:
    encode = "one_hot" if section.encode == "native" and not native else section.encode
    return LevelEncoder(
        encode=encode,
        impute=section.impute,
        min_frequency=section.min_frequency,
        max_levels=NATIVE_LEVELS if encode == "native" else None,
        sparse=sparse,
    )


def _numbers(section: Numeric, missing: bool) -> Pipeline:
    steps: list[tuple[str, Any]] = [("numbers", Numbers())]
    if section.outliers is not None:
        steps.append(("outliers", OutlierBounds(**section.outliers.model_dump())))
    impute = "median" if section.impute == "none" and not missing else section.impute
    if impute != "none":
        # keep_empty_features: a column without any value becomes a constant instead of shifting its neighbours.
        fill = section.fill_value if impute == "constant" else None
        steps.append(
            (
                "impute",
                SimpleImputer(
                    strategy=_STRATEGIES[impute],
                    fill_value=fill,
                    add_indicator=section.indicator,
                    keep_empty_features=True,
                ),
            )
        )
    if section.scale != "none":
        steps.append(("scale", _SCALERS[section.scale]()))
    return Pipeline(steps)
