"""Bounds and sets mean what they say for the type of the column, or are refused with what to do."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pandas as pd
import pytest

from include.config.names import EXPECTATIONS
from include.data.quality.outcomes import Outcome
from include.data.quality.typed_arguments import typed_arguments
from include.data.quality.validation import build, validate
from include.errors import ConfigError
from tests.include.data.quality import checked_model as parcels

FRAME = pd.DataFrame(
    {
        "at": pd.date_range("2024-03-01 12:00", periods=40, freq="12h", tz="UTC").as_unit("us"),
        "day": pd.date_range("2024-03-01", periods=40).as_unit("ms"),
        "size": [float(i) for i in range(40)],
        "count": pd.array([1, None] * 20, "Int64"),
        "place": pd.Categorical(["north", "south"] * 20),
        "late": [True, False] * 20,
    }
)


def judge(kind: str, zone: str = "UTC", **arguments: Any) -> Outcome:
    declared = parcels.model_with({kind: arguments}).quality.expectations
    built = build(declared, "m/model.yaml")
    (outcome,) = validate(FRAME, typed_arguments(built, declared, FRAME, zone, "m/model.yaml"), locate=[False])
    return outcome


# great_expectations#2532, #8636, #8996: a date among times, an aware and a naive bound, dates in a set.
@pytest.mark.parametrize(
    ("kind", "arguments", "unexpected"),
    [
        ("values_to_be_between", {"column": "at", "min_value": date(2024, 3, 2), "max_value": date(2024, 3, 20)}, 3),
        ("values_to_be_between", {"column": "at", "min_value": "2024-03-01T13:00:00+01:00", "max_value": "2024-03-31"}, 0),
        ("values_to_be_between", {"column": "day", "min_value": date(2024, 3, 3), "max_value": "2024-12-31"}, 2),
        ("values_to_be_in_set", {"column": "day", "value_set": [date(2024, 3, 1), "2024-03-02"]}, 38),
        ("values_to_not_be_in_set", {"column": "at", "value_set": [date(2024, 3, 2), "2024-03-03"]}, 2),
        ("values_to_be_between", {"column": "size", "min_value": "0", "max_value": 30}, 9),
        ("values_to_be_in_set", {"column": "count", "value_set": ["1", 2.0]}, 0),
        ("values_to_be_in_set", {"column": "late", "value_set": ["TRUE"]}, 20),
        ("values_to_be_in_set", {"column": "place", "value_set": ["north"]}, 20),
    ],
)  # fmt: skip
def test_values_are_compared_as_the_column_has_them(kind: str, arguments: dict[str, Any], unexpected: int) -> None:
    outcome = judge(f"expect_column_{kind}", **arguments)
    assert (outcome.error, outcome.unexpected) == (None, unexpected)


@pytest.mark.parametrize("kind", ["max", "min", "mean", "median"])
@pytest.mark.parametrize("column", ["at", "day"])
def test_an_aggregate_of_dates_is_held_to_dates(kind: str, column: str) -> None:
    expectation = f"expect_column_{kind}_to_be_between"
    assert judge(expectation, column=column, min_value="2024-03-01", max_value=date(2024, 5, 1)).passed
    late = judge(expectation, column=column, min_value="2024-05-01")
    assert (late.passed, late.error) == (False, None)


def test_a_date_among_times_begins_in_the_model_s_own_zone() -> None:
    early = {"column": "at", "min_value": date(2024, 3, 2)}
    assert judge("expect_column_values_to_be_between", **early).unexpected == 1
    assert (
        judge("expect_column_values_to_be_between", "America/New_York", **early).unexpected == 2
    )  # 00:00 UTC is the day before


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("values_to_be_in_set", {"column": "place", "value_set": [True]}, "in quotes"),
        ("values_to_be_in_set", {"column": "place", "value_set": [1]}, "column of texts"),
        ("values_to_be_in_set", {"column": "size", "value_set": ["many"]}, "column of numbers"),
        ("values_to_be_in_set", {"column": "late", "value_set": ["yes"]}, "true or false"),
        ("values_to_be_between", {"column": "at", "min_value": 3}, "column of times"),
        ("values_to_be_between", {"column": "day", "min_value": "2024-03-01T12:00:00"}, "column of dates"),
        ("values_to_be_between", {"column": "place", "min_value": 1}, "does not judge texts.*values_to_be_in_set"),
        ("values_to_be_between", {"column": "day", "min_value": "2024-03-02", "max_value": "2024-03-01"}, "No value lies"),
        ("values_to_match_strftime_format", {"column": "at", "strftime_format": "%Y"}, "does not judge times.*read as times"),
        ("sum_to_be_between", {"column": "place", "min_value": 1}, "does not judge texts"),
        ("pair_values_to_be_equal", {"column_A": "at", "column_B": "day"}, "`at` of times and `day` of dates"),
    ],
)  # fmt: skip
def test_what_can_not_be_compared_is_refused_with_a_remedy(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        judge(f"expect_column_{kind}", **arguments)


ARGUMENTS: dict[str, Any] = {
    "min_value": 1,
    "max_value": 5,
    "value_set": [1],
    "regex": ".",
    "regex_list": ["."],
    "strftime_format": "%Y",
    "threshold": 3,
    "double_sided": True,
    "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 30]]},
    "method": "iqr",
    "multiplier": 1.5,
}
OWN = {
    "at": ["2024-03-01", "2024-04-01"], "day": ["2024-03-01", "2024-04-01"],
    "size": [0, 5], "count": [0, 5], "place": ["north", "south"], "late": [True, False],
}  # fmt: skip
COMPARED = re.compile("in_set|contain_set|equal_set|values_to_be_between|(max|min|mean|median)_to_be_between")


@pytest.mark.parametrize("kind", sorted(EXPECTATIONS))
def test_no_expectation_ends_in_an_error_of_the_library(kind: str) -> None:
    """Whatever is judged, of any type of column, is answered or refused by name."""
    from include.data.quality.library import gx

    get_expectation_impl = gx.expectations.registry.get_expectation_impl

    fields = set(get_expectation_impl(kind).__fields__)
    if "column" not in fields or fields & {"partition_object", "json_schema", "type_", "type_list"}:
        pytest.skip("compares nothing with a value of the column")
    for column, (low, high) in OWN.items():
        arguments = {name: value for name, value in ARGUMENTS.items() if name in fields} | {"column": column}
        if COMPARED.search(kind) and "proportion" not in kind and "quantile" not in kind:
            own = {"min_value": low, "max_value": high, "value_set": [low, high]}
            arguments |= {name: value for name, value in own.items() if name in fields}
        if kind.endswith("proportion_of_non_null_values_to_be_between") or "proportion" in kind:
            arguments |= {"min_value": 0, "max_value": 1}
        if kind.endswith("lengths_to_equal"):
            arguments["value"] = 5
        try:
            outcome = judge(kind, **arguments)
        except ConfigError:
            continue
        assert outcome.error is None, (kind, column)
