"""What a policy may say of people: in one word or in full, and nothing that would have no effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_run import declare

from include.config.model import ModelConfig
from include.config.sections.evaluation import Approval, Gate
from include.errors import ConfigError


def gate(approval: object) -> Gate:
    return Gate.model_validate({"primary": {"metric": "roc_auc"}, "approval": approval})


def test_one_word_says_the_same_as_the_whole_of_it():
    assert gate("when_held") == gate({"when": "when_held"})
    assert gate("when_held").approval == Approval(when="when_held")
    assert Gate.model_validate({"primary": {"metric": "roc_auc"}}).approval == Approval(when="never")


@pytest.mark.parametrize("more", [{"by": ["ada"]}, {"override": True}, {"backfills": True}])
def test_what_has_no_effect_when_nobody_is_asked_is_a_mistake(more):
    with pytest.raises(ValueError, match="nobody is asked with `when: never`"):
        gate({"when": "never", **more})
    assert gate({"when": "always", **more})


def test_what_a_dag_carries_is_read_back_as_it_was_and_a_mistake_is_answered_with_its_line(tmp_path: Path):
    model = declare(tmp_path / "parcels")
    assert ModelConfig.model_validate(model.to_json()) == model
    with pytest.raises(ConfigError, match=r"field gate.approval.when: expected .*did you mean `when_held`"):
        declare(tmp_path / "parcels", guards="[]\n  approval: {when: when_hold}")
    with pytest.raises(ConfigError, match=r"field gate.approval.overide: unknown field; did you mean `override`"):
        declare(tmp_path / "parcels", guards="[]\n  approval: {when: always, overide: true}")


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("guards", "[]\n  overfitting: {max_gap: -0.1}", "field gate.overfitting.max_gap: input should be greater"),
        ("guards", "[]\n  overfitting: {maxgap: 0.1}", "field gate.overfitting.maxgap: unknown field; did you mean `max_gap`"),
        ("guards", "[]\n  overfitting: {max_gap: 0.1, metric: auc_roc}", "`auc_roc` is not a metric for classification; did you mean `roc_auc`"),
        ("evaluation", "{slices: [carrier], learning_curve: [0.5, 0.25]}", "expected `learning_curve` in ascending order"),
        ("evaluation", "{slices: [carrier], learning_curve: [0.5, 1]}", "field evaluation.learning_curve.1: input should be less than 1, found 1"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: invariant, name: a, column: weight, values: [1]}]}", "expected `kind` to be one of 'invariance', 'direction', 'case', found 'invariant'"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: invariance, name: a, column: weight, value: [1]}]}", "behaviour.0.value: unknown field; did you mean `values`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: direction, name: a, column: weight, by: 1, must_not: fal}]}", "did you mean `fall`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: direction, name: a, column: weight, by: 0, must_not: fall}]}", "expected a `by` other than zero"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: direction, name: a, column: late, by: 1, must_not: fall}]}", "changes the target `late`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: case, name: a, row: {weight: 1}}]}", "expected `says`, `at_least` or `at_most`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: case, name: a, row: {weight: 1}, at_least: 1, at_most: 0}]}", "expected `at_least` below `at_most`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: case, name: a, row: {late: 1}, at_least: 1}]}", "contains the target `late`"),
        ("evaluation", "{slices: [carrier], behaviour: [{kind: case, name: a, row: {weight: 1}, says: x}, {kind: case, name: a, row: {weight: 2}, says: x}]}", "found twice: a"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_judged_is_answered(tmp_path: Path, key: str, text: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        declare(tmp_path / "parcels", **{key: text})
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"gate": {"primary": {"metric": "silhouette"}, "overfitting": {"max_gap": 0.1}}}, "gate.overfitting"),
        ({"evaluation": {"learning_curve": [0.5]}}, "for clusters use `stability`"),
        (
            {"evaluation": {"behaviour": [{"kind": "case", "name": "a", "row": {"weight": 1}, "at_least": 1}]}},
            "for clusters declare an `invariance`",
        ),
    ],
)
def test_what_needs_a_target_is_not_for_clusters(tmp_path: Path, section: dict[str, object], said: str):
    value = declare(tmp_path / "parcels").to_json()
    value["data"]["target"] = None
    clusters = value | {
        "task": "clustering",
        "training": {"candidates": [{"estimator": "k_means"}], "cv": {"kind": "k_fold", "folds": 3}},
        "evaluation": {},
        "gate": {"primary": {"metric": "silhouette"}},
    }
    assert ModelConfig.model_validate(clusters)
    with pytest.raises(ValueError, match=said):
        ModelConfig.model_validate(clusters | section)


def test_a_number_is_said_to_be_of_no_class(tmp_path: Path):
    value = declare(tmp_path / "parcels").to_json() | {
        "task": "regression",
        "training": {"candidates": [{"estimator": "ridge"}], "cv": {"kind": "k_fold", "folds": 3}},
        "evaluation": {"behaviour": [{"kind": "case", "name": "a", "row": {"weight": 1}, "says": True}]},
        "gate": {"primary": {"metric": "rmse"}},
    }
    with pytest.raises(ValueError, match="for regression give `at_least` or `at_most`"):
        ModelConfig.model_validate(value)
