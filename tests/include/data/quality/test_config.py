from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.config.names import EXPECTATIONS, ROW_EXPECTATIONS
from include.config.sections.rows.quality import Quality

SQL_ONLY = {
    "expect_column_values_to_match_like_pattern",
    "expect_column_values_to_match_like_pattern_list",
    "expect_column_values_to_not_match_like_pattern",
    "expect_column_values_to_not_match_like_pattern_list",
    "expect_query_results_to_match_comparison",
    "expect_table_row_count_to_equal_other_table",
    "unexpected_rows_expectation",
}


def test_the_names_are_those_of_great_expectations_that_a_frame_can_answer() -> None:
    from include.data.quality.library import gx

    kinds, registry = gx.expectations.expectation, gx.expectations.registry

    registered = set(registry.list_registered_expectation_implementations())
    assert registered - SQL_ONLY == EXPECTATIONS
    on_rows = (kinds.ColumnMapExpectation, kinds.ColumnPairMapExpectation, kinds.MulticolumnMapExpectation)
    assert {
        name for name in EXPECTATIONS if issubclass(registry.get_expectation_impl(name), on_rows)
    } == ROW_EXPECTATIONS


@pytest.mark.parametrize("name", sorted(SQL_ONLY - {"unexpected_rows_expectation"}))
def test_names_left_out_have_no_way_to_be_answered_from_a_frame(name: str) -> None:
    from include.data.quality.library import gx

    get_expectation_impl = gx.expectations.registry.get_expectation_impl

    properties = get_expectation_impl(name).schema()["properties"]["metadata"]["properties"]
    assert "Pandas" not in properties["supported_data_sources"]["const"]


def quality(*entries: Any) -> Quality:
    return Quality.model_validate({"expectations": list(entries)})


def test_an_entry_is_a_name_with_arguments_and_our_two_words_beside_them() -> None:
    (one,) = quality({"expect_column_values_to_not_be_null": {"column": "late", "severity": "critical"}}).expectations
    assert (one.type, one.arguments, one.severity) == (
        "expect_column_values_to_not_be_null",
        {"column": "late"},
        "critical",
    )


def test_what_was_read_can_be_written_as_json_and_read_again() -> None:
    read = quality({"expect_column_values_to_be_unique": {"column": "id", "quarantine": True}})
    assert Quality.model_validate(read.model_dump(mode="json")) == read


@pytest.mark.parametrize(
    ("entry", "answer"),
    [
        ({"expect_column_value_to_not_be_null": {"column": "a"}}, "did you mean `expect_column_values_to_not_be_null`"),
        (
            {"not_null": {"column": "a"}},
            "expected a Great Expectations name that a data frame can answer, found `not_null`",
        ),
        (
            {"expect_column_values_to_match_like_pattern": {"column": "a", "like_pattern": "x%"}},
            "a data frame can answer",
        ),
        (
            {"expect_column_mean_to_be_between": {"column": "a", "quarantine": True}},
            "only where single rows are judged",
        ),
        (
            {"expect_column_values_to_be_unique": {"column": "a", "quarantine": True, "severity": "critical"}},
            "found both",
        ),
        ({"expect_column_values_to_be_unique": {"column": "a", "quarantine": True, "mostly": 0.9}}, "found both"),
        ({"expect_column_values_to_be_unique": {"column": "a", "result_format": "COMPLETE"}}, "is set by Ratchet"),
        ({"expect_column_values_to_be_unique": ["a"]}, "expected the arguments of"),
        ({"expect_column_values_to_be_unique": {"column": "a", "severity": "fatal"}}, "'critical' or 'warning'"),
    ],
)
def test_a_mistake_is_answered_without_great_expectations(entry: Any, answer: str) -> None:
    with pytest.raises(ValidationError, match=answer):
        quality(entry)
