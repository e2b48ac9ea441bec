from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from include.config.judging import Evaluation
from include.config.slices import columns_of
from include.errors import EvaluationError
from include.evaluation.slicing import levels_of

FRAME = pd.DataFrame(
    {"age": [10.0, 30.0, 45.0, np.nan, 80.0, 29.9], "sex": ["f", "m", "f", "m", None, "f"], "spend": np.arange(6.0)}
)


def levels(*slices: object) -> dict[str, list[str]]:
    declared = Evaluation.model_validate({"slices": slices}).slices
    return {name: [found.names[code] for code in found.codes] for name, found in levels_of(FRAME, declared).items()}


def test_a_columns_name_alone_stands_for_its_values() -> None:
    assert levels("sex") == {"sex": ["f", "m", "f", "m", "(missing)", "f"]}


def test_numbers_are_cut_at_edges_and_one_at_an_edge_belongs_above_it() -> None:
    found = levels({"column": "age", "edges": [30, 50]})
    assert found == {"age": ["below 30", "30 to 50", "30 to 50", "(missing)", "50 or more", "below 30"]}


def test_bins_hold_about_as_many_rows_each() -> None:
    found = levels({"column": "spend", "bins": 3, "name": "spender"})
    assert list(found) == ["spender"]
    assert sorted(np.unique(found["spender"], return_counts=True)[1]) == [2, 2, 2]


def test_columns_and_slices_are_crossed() -> None:
    found = levels("sex", {"column": "age", "edges": [30]}, {"cross": ["sex", "age"]}, {"cross": ["sex", "spend"]})
    assert found["sex x age"][:3] == ["f, below 30", "m, 30 or more", "f, 30 or more"]
    assert found["sex x spend"][0] == "f, 0.0"
    declared = Evaluation.model_validate({"slices": [{"column": "age", "bins": 2}, {"cross": ["age", "sex"]}]}).slices
    assert columns_of(declared) == ("age", "sex")


@pytest.mark.parametrize(
    "wrong",
    [
        {"column": "age", "cross": ["age", "sex"]},
        {"column": "age", "edges": [1], "bins": 2},
        {"column": "age", "edges": [2, 1]},
        {"cross": ["age", "sex"], "bins": 2},
        {"name": "nothing"},
    ],
)
def test_a_slice_is_of_one_kind(wrong: dict) -> None:
    with pytest.raises(ValidationError, match="expected"):
        levels(wrong)


def test_two_slices_have_two_names() -> None:
    with pytest.raises(ValidationError, match="found twice: age"):
        levels("age", {"column": "age", "bins": 2})


def test_texts_are_not_cut() -> None:
    with pytest.raises(EvaluationError, match="holds no numbers"):
        levels({"column": "sex", "bins": 2})
