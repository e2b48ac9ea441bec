from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.config.sections.evaluation import Evaluation
from include.config.sections.slices import columns_of
from include.errors import EvaluationError
from include.evaluation.metrics.slices import slice_levels

FRAME = pd.DataFrame(
    {"age": [10.0, 30.0, 45.0, np.nan, 80.0, 29.9], "sex": ["f", "m", "f", "m", None, "f"], "spend": np.arange(6.0)}
)


def levels(*slices: object) -> dict[str, list[str]]:
    declared = Evaluation.model_validate({"slices": slices}).slices
    return {name: [found.names[code] for code in found.codes] for name, found in slice_levels(FRAME, declared).items()}


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
    assert found["sex x spend"][0] == "f, 0"
    declared = Evaluation.model_validate({"slices": [{"column": "age", "bins": 2}, {"cross": ["age", "sex"]}]}).slices
    assert columns_of(declared) == ("age", "sex")


def names(frame: pd.DataFrame, *slices: object) -> dict[str, list[str]]:
    declared = Evaluation.model_validate({"slices": slices}).slices
    return {name: [found.names[code] for code in found.codes] for name, found in slice_levels(frame, declared).items()}


@pytest.mark.parametrize(
    "edges",
    [[1700000000, 1700000001, 1700000002], [0.1234567, 0.1234568], [0.1, 0.1 + 2**-55], [-1e-9, 0, 1e-9]],
)
def test_edges_have_as_many_digits_as_tell_them_apart(edges: list[float]) -> None:
    frame = pd.DataFrame({"at": [edges[0] - 1, *edges]})
    for declared in ({"edges": edges}, {"bins": len(edges) + 1}):
        (found,) = names(frame, {"column": "at", **declared}).values()
        assert len(set(found)) == len(set(np.unique(frame["at"])))
    assert names(pd.DataFrame({"at": [5.0, 35.0]}), {"column": "at", "edges": [30, 1e6]})["at"] == [
        "below 30",
        "30 to 1e+06",
    ]


TEXTS = st.lists(st.sampled_from(["a", ",", " ", '"', "\\", "(missing)"]), max_size=4).map("".join)


@given(st.lists(st.tuples(st.one_of(st.none(), TEXTS), st.one_of(st.none(), TEXTS)), min_size=1, max_size=30))
def test_two_rows_are_in_one_level_if_and_only_if_their_values_are_the_same(rows: list[tuple]) -> None:
    frame = pd.DataFrame(rows, columns=["one", "other"], dtype=object)
    found = names(frame, "one", "other", {"cross": ["one", "other"]})
    for name, values in (("one", [row[0] for row in rows]), ("one x other", rows)):
        together = {(value, level) for value, level in zip(values, found[name], strict=True)}
        assert len(together) == len({value for value, _ in together}) == len({level for _, level in together})


def test_a_crossing_of_plain_levels_reads_plainly() -> None:
    frame = pd.DataFrame({"one": ["a, b", "a", "a"], "other": ["c", "b, c", None]})
    assert names(frame, {"cross": ["one", "other"]})["one x other"] == ['"a, b", c', 'a, "b, c"', "a, (missing)"]


@pytest.mark.parametrize("gap", [np.nan, None, pd.NA])
def test_a_level_has_one_name_whether_or_not_values_are_missing_in_a_month(gap: object) -> None:
    whole = pd.DataFrame({"hour": [7, 8], "open": [True, False]})
    gappy = pd.DataFrame(
        {
            "hour": pd.Series([7, 8, gap], dtype="Int64" if gap is pd.NA else "float64"),
            "open": pd.Series([True, False, gap], dtype="object" if gap is None else "boolean"),
        }
    )
    for slices in (["hour"], ["open"], [{"cross": ["hour", "open"]}]):
        (before,), (after,) = names(whole, *slices).values(), names(gappy, *slices).values()
        assert after[:2] == before
    assert names(gappy, "hour")["hour"] == ["7", "8", "(missing)"]


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
