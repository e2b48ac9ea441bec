"""A number with marks is read as the number that it is, or refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.config.sections.rows.sources import Column
from include.data.columns.text_parsing import BadTextError, parse


def read(text: str, kind: str = "float", **marks: str) -> float:
    return parse(pa.array([text, None]), Column(type=kind, **marks), "UTC")[0].as_py()


GERMAN = {"decimal": ",", "thousands": "."}
ENGLISH = {"thousands": ","}
GOOD = [
    ("1.234,56", GERMAN, 1234.56), ("-1.234.567,5", GERMAN, -1234567.5), ("0,5", GERMAN, 0.5), (",5", GERMAN, 0.5),
    ("1234,56", GERMAN, 1234.56), ("12", GERMAN, 12.0), ("1e3", GERMAN, 1000.0), ("1,234.56", ENGLISH, 1234.56),
    ("+12,345", ENGLISH, 12345.0), ("12,34,567.5", ENGLISH, 1234567.5), ("1'234.5", {"thousands": "'"}, 1234.5),
    ("1\u2019234.5", {"thousands": "'"}, 1234.5), ("1 234,5", {"decimal": ",", "thousands": " "}, 1234.5),
    ("1\u202f234,5", {"decimal": ",", "thousands": " "}, 1234.5), ("1_234", {"thousands": "_"}, 1234.0),
    ("12 %", {"unit": "%"}, 12.0), ("12,5\u00a0%", {**GERMAN, "unit": "%"}, 12.5), ("-3%", {"unit": "%"}, -3.0),
    ("$1,234.50", {**ENGLISH, "unit": "$"}, 1234.5), ("-$5.00", {"unit": "$"}, -5.0), ("$-5.00", {"unit": "$"}, -5.0),
    ("1.234,00 EUR", {**GERMAN, "unit": "EUR"}, 1234.0), ("€ 5", {"unit": "€"}, 5.0), ("5EUR", {"unit": "EUR"}, 5.0),
]  # fmt: skip
BAD = [
    ("1,23", ENGLISH), ("0,123", ENGLISH), ("012,345", ENGLISH), ("1,2345", ENGLISH), ("12,34", ENGLISH), ("1,234,56", ENGLISH), ("1.23,4", GERMAN),
    ("1,234.56", GERMAN), ("1.234,56", ENGLISH), ("1,5", {}), ("12", {"unit": "%"}), ("12 %%", {"unit": "%"}),
    ("% 12 %", {"unit": "%"}), ("12 $", {"unit": "%"}), ("", GERMAN), ("abc", GERMAN), ("1 2", {"decimal": ","}),
    (" 1", GERMAN), ("1.5", {"decimal": ","}), ("--1", GERMAN), ("0x1F", GERMAN), ("1'234", GERMAN), ("(5,0)", GERMAN),
]  # fmt: skip


@pytest.mark.parametrize(("text", "marks", "value"), GOOD)
def test_declared_marks_are_read(text, marks, value) -> None:
    assert read(text, **marks) == value


@pytest.mark.parametrize(("text", "marks"), BAD)
def test_other_marks_and_groups_that_are_none_are_refused(text, marks) -> None:
    with pytest.raises(BadTextError):
        read(text, **marks)


def test_whole_numbers_stay_exact() -> None:
    assert read("9.007.199.254.740.993", "integer", **GERMAN) == 2**53 + 1
    with pytest.raises(BadTextError):
        read("1.234,5", "integer", **GERMAN)


@given(st.decimals(-(10**12), 10**12, places=3, allow_nan=False))
def test_what_python_writes_with_groups_is_read_back(number) -> None:
    text = f"{number:,}"
    assert read(text, **ENGLISH) == float(number)
    assert read(text.translate(str.maketrans(",.", ".,")), **GERMAN) == float(number)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "string", "decimal": ","}, "only for numbers"),
        ({"type": "timestamp", "thousands": "."}, "only for numbers"),
        ({"type": "float", "decimal": ",", "thousands": ","}, "two marks"),
        ({"type": "float", "unit": "5"}, "without digits"),
        ({"type": "float", "unit": " %"}, "without digits"),
    ],
)
def test_marks_that_mean_nothing_are_refused(settings, message) -> None:
    with pytest.raises(ValidationError, match=message):
        Column(**settings)


def test_a_column_without_marks_has_the_same_digest_as_before() -> None:
    assert Column(type="float").model_dump(mode="json") == {"type": "float", "format": None, "missing": [""]}
