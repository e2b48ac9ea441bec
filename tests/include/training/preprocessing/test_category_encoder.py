from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from include.training.preprocessing.category_encoder import CategoryEncoder, category_name, category_names

TRAIN = pd.DataFrame({"c": ["b", "a", "b", None, "c", "b"]})
LATER = pd.DataFrame({"c": ["a", "never seen", None]})


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
@pytest.mark.parametrize("sparse", [True, False])
def test_one_hot_is_that_of_scikit_learn_whatever_the_column_s_type(dtype: str, sparse: bool) -> None:
    known = TRAIN.dropna().astype(dtype)
    encoded = CategoryEncoder(sparse=sparse).fit(known).transform(LATER.iloc[:2].astype(dtype))
    oracle = OneHotEncoder(handle_unknown="ignore").fit(known.astype(object)).transform(LATER.iloc[:2].astype(object))
    assert (np.asarray(encoded.todense() if sparse else encoded) == oracle.toarray()).all()


@pytest.mark.parametrize(
    ("impute", "expected"), [("constant", [0, -1, 3]), ("mode", [0, -1, 1]), ("none", [0, -1, -1])]
)
def test_missing_is_a_level_or_the_most_frequent_one_or_unknown(impute: str, expected: list[int]) -> None:
    encoder = CategoryEncoder(encode="ordinal", impute=impute).fit(TRAIN)
    assert encoder.transform(LATER)[:, 0].tolist() == expected


def test_a_missing_value_that_training_never_had_is_unknown() -> None:
    encoder = CategoryEncoder(encode="native").fit(TRAIN.dropna())
    assert np.isnan(encoder.transform(LATER)[1:, 0]).all()


def test_rare_levels_are_one_level() -> None:
    encoder = CategoryEncoder(min_frequency=0.3).fit(TRAIN)
    assert encoder.get_feature_names_out().tolist() == ["c=b", "c=(rare)", "c=(missing)"]
    assert encoder.transform(LATER).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_no_column_has_more_levels_than_the_estimator_can_tell_apart() -> None:
    many = pd.DataFrame({"c": [f"level {i}" for i in range(400)] * 2 + ["level 7"] * 5 + [None]})
    codes = CategoryEncoder(encode="native", max_levels=255).fit(many).transform(many)
    assert len(np.unique(codes)) == 255
    assert codes.max() == 254


def test_levels_that_only_the_type_lists_and_no_row_has_do_not_count() -> None:
    listed = TRAIN.astype(pd.CategoricalDtype(["a", "b", "c", "from the holdout"]))
    assert CategoryEncoder().fit(listed).levels_[0].tolist() == ["a", "b", "c"]


def test_a_whole_number_is_the_same_level_when_a_gap_turned_its_column_into_floats() -> None:
    encoder = CategoryEncoder(encode="ordinal").fit(pd.DataFrame({"c": [7, 10, 7]}))
    assert encoder.transform(pd.DataFrame({"c": [7.0, np.nan, 10.0]}))[:, 0].tolist() == [1, -1, 0]
    assert encoder.transform(pd.DataFrame({"c": pd.array([7, None, 10], dtype="Int64")}))[:, 0].tolist() == [1, -1, 0]


def test_a_column_without_any_value_encodes_to_nothing_known() -> None:
    empty = pd.DataFrame({"c": [None, None]})
    assert CategoryEncoder(encode="ordinal", impute="mode").fit(empty).transform(LATER)[:, 0].tolist() == [-1, -1, -1]


def test_the_name_of_a_level_does_not_depend_on_the_rows_before_it() -> None:
    mixed = [False, 0, True, 1, 1.0, None, "x", np.nan]
    for values in (mixed, mixed[::-1]):
        rows, names = category_names(pd.Series(values, dtype=object))
        found = [names[row] if row >= 0 else None for row in rows]
        assert found == [None if pd.isna(value) else category_name(value) for value in values]
