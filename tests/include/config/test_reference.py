"""The reference page is drawn from the code and is current."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from include.config.load import load_models
from include.config.names import ENSEMBLES, ESTIMATORS, METRICS
from include.config.reference import examples, json_schema, markdown
from include.config.section import Section
from include.config.sections.rows.quality import Expectation, Quality
from include.config.settings import ROOT
from include.config.yaml_text import read_yaml
from include.training.estimators.registry import spaces


def sections(above: type[Section] = Section) -> dict[str, type[Section]]:
    found = {one.__name__: one for one in above.__subclasses__() if one.__module__.startswith("include.config")}
    return found | {name: one for child in found.values() for name, one in sections(child).items()}


def entries(text: str) -> Iterator[Any]:
    """Yield the values of an example's entries; of a list, each of its items."""
    for entry in re.findall(r"^\S.*\n(?:[ ].*\n|\n)*", text, re.MULTILINE):
        for value in read_yaml(entry, "example")[0].values():
            yield from value if isinstance(value, list) else [value]


def test_the_reference_page_is_current():
    assert (ROOT / "docs" / "model-yaml.md").read_text() == markdown(spaces()), "run `make docs`"


@pytest.mark.parametrize("name", [name for name, one in json_schema()["$defs"].items() if "properties" in one])
def test_every_section_has_examples_that_are_valid_and_show_every_field(name: str):
    shown: set[str] = set()
    for value in entries(examples()[name]):
        if name == "Expectation":
            (made,) = Quality.model_validate({"expectations": [value]}).expectations
            assert isinstance(made, Expectation)
        elif name == "TaskResources":
            made = sections()[name].model_validate(value["train"])
        else:
            made = sections()[name].model_validate(value)
        shown |= made.model_fields_set
    assert shown == set(sections()[name].model_fields)


def test_the_example_of_a_whole_file_is_valid_and_shows_every_part():
    whole = sections()["ModelConfig"]
    made = whole.model_validate(read_yaml(examples()["ModelConfig"], "example")[0])
    assert made.model_fields_set == set(whole.model_fields)


def test_every_estimator_is_listed_with_where_a_search_looks():
    page = markdown(spaces())
    assert "| `ridge` | regression | no | yes | `alpha` 0.001 to 1000 (log) |" in page
    for name in (*ESTIMATORS, *ENSEMBLES, *METRICS):
        assert f"`{name}`" in page.partition("## Estimators")[2]
    for space in spaces().values():
        assert all(f"`{setting}` " in page for setting in space)


def test_the_json_schema_accepts_what_ships():
    models, _ = load_models(ROOT / "include" / "models")
    for model in models:
        path = ROOT / "include" / "models" / model.name / "model.yaml"
        value, _ = read_yaml(path.read_text(), str(path))
        value["quality"]["expectations"] = []  # short form: read by a validator of our own
        jsonschema.validate(value, json_schema())


def test_every_field_is_in_the_reference():
    page = markdown(spaces())
    for word in ("label_delay", "max_quarantined", "hist_gradient_boosting", "roc_auc", "min_support", "recheck"):
        assert f"`{word}`" in page
