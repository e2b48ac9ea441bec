from __future__ import annotations

import numpy as np
import pandas as pd

from include.config.sections.features import Features
from include.training.input_domain import InputDomain, fit_input_domain

FEATURES = Features.model_validate(
    {"numeric": {"columns": ["size", "full", "empty"]}, "categorical": {"columns": ["colour", "kind"]}}
)


def frame(**columns: object) -> pd.DataFrame:
    rows = {
        "size": [1.0, np.nan, 3.0],
        "full": [1, 2, 3],
        "empty": [np.nan] * 3,
        "colour": pd.Categorical(["red", None, "green"], categories=["blue", "green", "red"]),
        "kind": ["7", "8", "8"],
    }
    return pd.DataFrame(rows | columns)


def outside(**columns: object) -> dict[str, list[bool]]:
    domain = fit_input_domain(FEATURES, frame())
    return {
        name: mask.tolist() for name, mask in InputDomain.from_json(domain.to_json()).outside(frame(**columns)).items()
    }


def test_the_rows_learned_from_are_inside() -> None:
    assert not any(any(mask) for mask in outside().values())


def test_a_number_beyond_the_range_is_outside_and_its_ends_are_not() -> None:
    assert outside(size=[0.999, 1.0, 3.001])["size"] == [True, False, True]


def test_a_gap_is_outside_only_where_training_rows_had_none() -> None:
    found = outside(size=[np.nan, np.inf, 2.0], full=[np.nan, 2, 2], kind=[None, "7", "8"], colour=[None] * 3)
    assert found["size"] == [False] * 3
    assert found["full"] == found["kind"] == [True, False, False]
    assert found["colour"] == [False] * 3


def test_any_value_of_a_column_that_had_none_is_outside() -> None:
    assert outside(empty=[1.0, np.nan, -np.inf])["empty"] == [True, False, False]


def test_a_level_never_seen_is_outside_even_if_the_type_listed_it() -> None:
    assert outside(colour=["blue", "red", "pink"])["colour"] == [True, False, True]


def test_numbers_as_levels_are_the_same_whether_whole_or_with_gaps() -> None:
    assert outside(kind=pd.Series([7.0, np.nan, 9.0]))["kind"] == [False, True, True]
