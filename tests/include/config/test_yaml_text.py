from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.config.yaml_text import most_levels, read_yaml
from include.errors import ConfigError

SIGNS = [
    "a",
    "a: ",
    "- ",
    "-\t",
    "? ",
    ": ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x ",
    "*x",
    "!!seq ",
    "!t ",
    "''",
    "#",
    "\t",
    "\u2028",
    "\r",
    "---\n",
]
VALUES = st.recursive(
    st.none() | st.sampled_from(["a", "b c", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=30,
)


def levels(text: str) -> int:
    deepest = depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
    return deepest


@given(st.lists(st.sampled_from(SIGNS), max_size=40).map("".join))
@example("- - -\t- a")
@example("? ? ? a\n: - - a")
@example("[a: " * 20 + "1" + "]" * 20)
@example("a:\n- b:\n  - c:\n    - d")
@settings(max_examples=500, deadline=None)
def test_no_text_has_more_levels_than_are_judged_from_its_signs(text: str) -> None:
    try:
        found = levels(text)
    except yaml.YAMLError:
        return
    assert found <= most_levels(text)


@given(VALUES, st.sampled_from([None, True, False]), st.integers(2, 8))
@settings(max_examples=200, deadline=None)
def test_no_value_has_more_levels_however_it_is_written(value: Any, flow: bool | None, indent: int) -> None:
    text = yaml.dump(value, default_flow_style=flow, indent=indent)
    assert levels(text) <= most_levels(text)


@pytest.mark.parametrize("text", ["[" * 60 + "]" * 60, "- " * 60 + "a", "[" * 100_000, "- " * 100_000, "? " * 100_000])
def test_what_is_nested_deeper_than_a_declaration_is_refused_before_the_parser_has_no_stack_left(text: str) -> None:
    with pytest.raises(ConfigError, match="nested too deeply") as error:
        read_yaml(text, "model.yaml")
    assert "model.yaml:1" in str(error.value)
