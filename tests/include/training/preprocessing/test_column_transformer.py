from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.config.sections.features import Features
from include.training.preprocessing.column_transformer import build_column_transformer
from include.training.preprocessing.outliers import OutlierClipper

FRAME = pd.DataFrame(
    {
        "n": pd.array([1, 2, None, 3, 100], dtype="Int64"),
        "f": [0.0, np.inf, 1.0, np.nan, 2.0],
        "b": [True, False, True, True, False],
        "c": pd.Categorical(["x", "y", None, "x", "x"]),
    }
)


def prepared(numeric: dict, categorical: dict | None = None, frame: pd.DataFrame = FRAME, **takes: bool) -> np.ndarray:
    features = Features(
        numeric={"columns": ["n", "f", "b"], **numeric},
        categorical=None if categorical is None else {"columns": ["c"], **categorical},
    )
    transformer = build_column_transformer(features, **{"missing": False, "native": False, "sparse": False} | takes)
    return np.asarray(transformer.fit(FRAME).transform(frame))


@pytest.mark.parametrize(
    ("numeric", "expected"),
    [
        ({"impute": "mean"}, [26.5, 1.0]),
        ({"impute": "median"}, [2.5, 1.0]),
        ({"impute": "mode"}, [1, 0]),
        ({"impute": "constant", "fill_value": -5}, [-5, -5]),
    ],
)
def test_missing_and_infinite_numbers_are_imputed(numeric: dict, expected: list[float]) -> None:
    out = prepared(numeric)
    assert [out[2, 0], out[1, 1]] == expected
    assert out[:, 2].tolist() == [1, 0, 1, 1, 0]


def test_none_leaves_gaps_to_an_estimator_that_takes_them_and_gives_others_the_median() -> None:
    assert np.isnan(prepared({"impute": "none"}, missing=True)[2, 0])
    assert prepared({"impute": "none"}, missing=False)[2, 0] == 2.5


def test_the_indicator_says_where_a_value_was_missing() -> None:
    assert prepared({"indicator": True})[:, 3].tolist() == [0, 0, 1, 0, 0]


def test_outliers_are_clipped_or_marked_by_bounds_of_the_training_rows() -> None:
    later = FRAME.assign(n=pd.array([-1000, 2, 3, 4, 1000], dtype="Int64"))
    clipped = prepared({"outliers": {"method": "iqr", "factor": 1}}, frame=later)[:, 0]
    assert clipped.min() > -100
    assert clipped.max() < 100
    marked = prepared({"outliers": {"method": "z_score", "action": "mark_missing"}, "impute": "constant"}, frame=later)
    assert marked[[0, 4], 0].tolist() == [0, 0]


def test_bounds_are_those_of_their_method() -> None:
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(5, 2, 500), rng.exponential(3, 500)])
    values[::7, 0] = np.nan
    for factor in (None, 2.0):
        z, iqr = (OutlierClipper(method, factor=factor).fit(values) for method in ("z_score", "iqr"))
        for place, column in enumerate((values[~np.isnan(values[:, 0]), 0], values[:, 1])):
            spread, (low, high) = (factor or 3.0) * column.std(), np.quantile(column, [0.25, 0.75])
            fence = (factor or 1.5) * (high - low)
            assert [z.lower_[place], z.upper_[place]] == pytest.approx([column.mean() - spread, column.mean() + spread])
            assert [iqr.lower_[place], iqr.upper_[place]] == pytest.approx([low - fence, high + fence])


def test_a_column_that_is_mostly_one_value_keeps_its_others() -> None:
    rain = np.array([[0.0]] * 9 + [[7.0]])
    assert OutlierClipper("iqr").fit(rain).transform(rain).max() == 7


@pytest.mark.parametrize("scale", ["standard", "min_max", "robust"])
def test_scales_are_learned_from_training_rows_only(scale: str) -> None:
    alone = prepared({"scale": scale}, frame=FRAME.iloc[:1])
    assert alone.tolist() == prepared({"scale": scale})[:1].tolist()


def test_native_levels_are_one_hot_for_an_estimator_that_does_not_take_them() -> None:
    assert prepared({}, {"encode": "native"}, native=True)[:, 0].tolist() == [0, 1, 2, 0, 0]
    assert prepared({}, {"encode": "native"}, native=False)[:, :3].tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
        [1, 0, 0],
    ]


def test_a_column_without_any_value_keeps_its_place() -> None:
    empty = FRAME.assign(f=np.nan)
    features = Features(numeric={"columns": ["n", "f"], "scale": "standard", "outliers": {"method": "iqr"}})
    out = build_column_transformer(features, missing=False, native=False, sparse=False).fit(empty).transform(FRAME)
    assert out.shape == (5, 2)
    assert np.isfinite(out).all()
