"""Regression of a transformed target."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.preprocessing import PowerTransformer, QuantileTransformer

from include.errors import TrainingError

Array = np.ndarray[Any, Any]

_LOWEST = {"log1p": -1.0, "box_cox": 0.0}
"""The exclusive lower bound of the target."""
_MOST_QUANTILES = 1000


class TransformedTargetRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted regressor of a transformed target, whose predictions are turned back.

    They stay between the smallest and the largest training target: outside of this range the inverse transformation is
    undefined or unbounded.

    Parameters
    ----------
    regressor : estimator
        Fitted to the transformed target.
    transformer : PowerTransformer, QuantileTransformer or None
        Fitted to the target; None is log(1 + target).
    low, high : float
        Of the transformed target.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> X, y = np.arange(5.0).reshape(-1, 1), np.expm1(np.arange(5.0))
    >>> regressor = LinearRegression().fit(X, np.log1p(y))
    >>> fitted = TransformedTargetRegressor(regressor, None, low=0.0, high=4.0)
    >>> bool(np.allclose(fitted.predict(X), y))
    True
    """

    def __init__(self, regressor: Any, transformer: Any, low: float, high: float) -> None:
        self.regressor = regressor
        self.transformer = transformer
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> TransformedTargetRegressor:
        """Not to be called: `fit_transformed` puts it together."""
        raise NotImplementedError

    def predict(self, X: Any) -> Array:
        """Return the value of each row, in the target's unit."""
        values = np.asarray(self.regressor.predict(X), dtype=np.float64).reshape(-1, 1)
        values = np.clip(values, self.low, self.high)
        if self.transformer is None:
            return np.asarray(np.expm1(values)[:, 0])
        return np.asarray(self.transformer.inverse_transform(values)[:, 0])

    def __sklearn_is_fitted__(self) -> bool:
        return True


def fit_transformed(
    regressor: Any, method: str, X: Any, y: Array, *, seed: int, sample_weight: Array | None = None
) -> TransformedTargetRegressor:
    """Fit a regressor to a transformed target.

    Parameters
    ----------
    method : {"log1p", "box_cox", "yeo_johnson", "quantile"}
    y : array of shape (n_rows,)
    sample_weight : array of shape (n_rows,), optional
        For the regressor; the transformation takes every row alike.

    Raises
    ------
    TrainingError
        When the target has values that the transformation is not defined for.
    """
    lowest = _LOWEST.get(method, -np.inf)
    if (outside := int((y <= lowest).sum())) or len(np.unique(y)) < 2:
        raise TrainingError(
            f"the target can't be transformed by `{method}`",
            expected=f"values above {lowest:g}" if outside else "two different values at least",
            found=f"{outside:,} of {len(y):,} rows at {lowest:g} or below" if outside else f"one, in {len(y):,} rows",
            where="training.target",
            remedy="`yeo_johnson` and `quantile` take any values"
            if outside
            else "check how the source makes the target",
        )
    column, transformer = y.reshape(-1, 1), _transformer(method, len(y), seed)
    values = np.log1p(y) if transformer is None else transformer.fit_transform(column)[:, 0]
    regressor.fit(X, values, **({} if sample_weight is None else {"sample_weight": sample_weight}))
    return TransformedTargetRegressor(regressor, transformer, float(values.min()), float(values.max()))


def _transformer(method: str, rows: int, seed: int) -> Any:
    if method == "log1p":
        return None
    if method == "quantile":
        return QuantileTransformer(
            n_quantiles=min(_MOST_QUANTILES, rows), output_distribution="normal", subsample=None, random_state=seed
        )
    return PowerTransformer(method.replace("_", "-"))
