"""What a policy may say of people: in one word or in full, and nothing that would have no effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_run import declare

from include.config.judging import Approval, Gate
from include.config.model import ModelConfig
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
