"""What `training.engine` says in model.yaml: nothing where it is not said, and a clear answer to what it can't fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.config.load import load_model
from include.errors import ConfigError
from include.training.declared_recipes import recipe_of
from tests.chain_run import declare


def test_a_declaration_without_an_engine_says_nothing_of_it(tmp_path: Path) -> None:
    model = declare(tmp_path / "parcels")
    assert "engine" not in model.to_json()["training"]
    assert recipe_of(model, "simple").engine is None


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({}, "can't fit `decision_tree`: expected one of lightgbm"),
        ({"seed": "0"}, "can't fit `decision_tree`"),
        (
            {"candidates": "[{estimator: logistic_regression, params: {penalty: l1}}]"},
            "`penalty` of `logistic_regression`",
        ),
        (
            {"candidates": "[{estimator: lightgbm, params: {monotone_constraints: {weight: 1}}}]"},
            "`monotone_constraints` of `lightgbm`",
        ),
        (
            {"candidates": "[{estimator: lightgbm, early_stopping: true}]"},
            "does not go with `training: early_stopping`",
        ),
        ({"numeric": "{columns: [weight], impute: drop_row}"}, "does not go with `features: drop_row`"),
        ({"numeric": "{columns: [weight], skew: power}"}, "does not go with `features: skew: power`"),
        ({"categorical": "{columns: [carrier], encode: target}"}, "does not go with `features: encode: target`"),
        ({"cv": "{kind: group, folds: 2, group: carrier}"}, "does not go with `training: group`"),
        ({"imbalance": "smote"}, "does not go with `training.imbalance, but for class_weight`"),
    ],
)
def test_what_the_engine_cannot_fit_is_refused_with_file_and_field(
    tmp_path: Path, replaced: dict[str, str], said: str
) -> None:
    declare(tmp_path / "parcels")
    file = tmp_path / "parcels" / "model.yaml"
    text = file.read_text()
    if replaced:
        first, last = text.index("  candidates:"), text.index("  cv:")
        replaced = {"candidates": "[{estimator: lightgbm}]"} | replaced if "seed" not in replaced else replaced
        if "candidates" in replaced:
            text = f"{text[:first]}  candidates: {replaced.pop('candidates')}\n{text[last:]}"
    text = text.replace("training:\n", "training:\n  engine: dask\n")
    for key, value in replaced.items():
        lines = [line for line in text.splitlines() if line.strip().startswith(f"{key}:")]
        new = f"  {key}: {value}"
        text = text.replace(lines[0], new) if lines else text.replace("  engine: dask\n", f"  engine: dask\n{new}\n")
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_model(file)
    assert said in str(refused.value)
    assert "model.yaml" in str(refused.value)
