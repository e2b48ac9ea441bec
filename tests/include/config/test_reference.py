"""The reference page is drawn from the code and is current."""

from __future__ import annotations

import jsonschema

from include.config.load import load_models
from include.config.reference import json_schema, markdown
from include.config.settings import ROOT
from include.config.yaml_text import read_yaml


def test_the_reference_page_is_current():
    assert (ROOT / "docs" / "model-yaml.md").read_text() == markdown(), "run `make docs`"


def test_the_json_schema_accepts_what_ships():
    models, _ = load_models(ROOT / "include" / "models")
    for model in models:
        path = ROOT / "include" / "models" / model.name / "model.yaml"
        value, _ = read_yaml(path.read_text(), str(path))
        value["quality"]["expectations"] = []  # short form: read by a validator of our own
        jsonschema.validate(value, json_schema())


def test_every_field_is_in_the_reference():
    page = markdown()
    for word in ("label_delay", "max_quarantined", "hist_gradient_boosting", "roc_auc", "min_support", "recheck"):
        assert f"`{word}`" in page
