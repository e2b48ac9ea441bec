"""Date and time features: numbers, or sine and cosine of a cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

PERIODS = {"hour": 24.0, "weekday": 7.0, "day": 31.0, "day_of_year": 366.0, "week": 53.0, "month": 12.0}
"""How long each part takes to return; the others go on."""
_FROM_ONE = frozenset({"day", "day_of_year", "week", "month"})


class DatetimeFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Take dates apart; nothing is learned, and a missing date has NaN for each part.

    Parameters
    ----------
    parts : sequence of str
        Of `PERIODS`, ``year`` and ``days_since_1970``. An hour has its minutes as a fraction.
    cyclic : bool
        Give a part that returns as sine and cosine.
    timezone : str
        Where the clock hangs, for columns that have a zone.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"sold_at": pd.to_datetime(["2026-01-31 12:30", "2026-12-01 08:00"])})
    >>> DatetimeFeatures(("month", "hour")).fit_transform(rows).tolist()
    [[1.0, 12.5], [12.0, 8.0]]
    """

    def __init__(self, parts: tuple[str, ...] = ("month",), cyclic: bool = False, timezone: str = "UTC") -> None:
        self.parts = parts
        self.cyclic = cyclic
        self.timezone = timezone

    def fit(self, X: pd.DataFrame, y: Any = None) -> DatetimeFeatures:
        """Learn the columns' names and nothing else."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Return an array of shape (n_rows, n_parts)."""
        made: list[np.ndarray[Any, Any]] = []
        for name in X.columns:
            times = X[name].dt
            if times.tz is not None:
                times = times.tz_convert(self.timezone).dt
            for part in self.parts:
                values = _part(times, part)
                if self.cyclic and part in PERIODS:
                    angle = (values - (part in _FROM_ONE)) * (2 * np.pi / PERIODS[part])
                    made += [np.sin(angle), np.cos(angle)]
                else:
                    made.append(values)
        return np.column_stack(made)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray[Any, Any]:
        """Return a name for each number, such as ``at hour`` or ``at hour (sine)``."""
        names = []
        for column in self.feature_names_in_:
            for part in self.parts:
                circle = self.cyclic and part in PERIODS
                names += (
                    [f"{column} {part} ({axis})" for axis in ("sine", "cosine")] if circle else [f"{column} {part}"]
                )
        return np.asarray(names, dtype=object)


def _part(times: Any, part: str) -> np.ndarray[Any, Any]:
    if part == "hour":
        values = times.hour + times.minute / 60
    elif part == "days_since_1970":
        zoneless = times.tz_localize(None) if times.tz is not None else times._parent
        values = (zoneless - pd.Timestamp(0)) / pd.Timedelta(days=1)
    elif part == "week":
        values = times.isocalendar().week
    else:
        values = getattr(times, {"weekday": "day_of_week"}.get(part, part))
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
