"""What another release has stored is read, and digests do not change by a field that a release adds or removes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from worlds import NOW, PRIMARY_ONLY, World

from include.config.model import ModelConfig
from include.config.sections.evaluation import Gate, Primary
from include.registry.approval import ApprovalAnswer, ApprovalReply
from include.registry.gate.judgement import policy_digest
from include.registry.ledger import Ledger
from include.registry.version_states import Decision, Outcome
from include.storage.content import canonical_json, put_content, to_iso

BACKFILL = {"trigger": "backfill", "dag": "retrain_flight_delay", "run": "r"}


class LaterPrimary(Primary):
    patience: int = 3


class LaterGate(Gate):
    primary: LaterPrimary
    strict: bool = False


def test_a_field_that_a_release_adds_changes_no_digest_of_a_policy() -> None:
    gate = PRIMARY_ONLY.gate
    later = LaterGate.model_validate(gate.model_dump(mode="json"))
    assert policy_digest(later) == policy_digest(gate)
    other = LaterGate.model_validate(gate.model_dump(mode="json") | {"strict": True})
    assert policy_digest(other) != policy_digest(gate)


def of_another_release(model: ModelConfig) -> dict[str, Any]:
    """Return a stored declaration with fields that this release does not know, and without some that it does."""
    value = model.to_json()
    value["gate"]["primary"]["patience"] = 3
    value["training"]["warmth"] = {"degrees": 20}
    del value["evaluation"]["learning_curve"], value["notify"], value["gate"]["churn"]
    return value


def test_a_declaration_of_another_release_reads_as_the_same_one() -> None:
    read = ModelConfig.from_stored(json.dumps(of_another_release(PRIMARY_ONLY)).encode())
    assert read == PRIMARY_ONLY
    assert read.identity == PRIMARY_ONLY.identity
    with pytest.raises(ValueError, match="patience"):
        ModelConfig.model_validate(of_another_release(PRIMARY_ONLY))


def test_a_decision_of_another_release_stands_and_is_not_made_again() -> None:
    world = World()
    ledger = Ledger(world.store, world.model.name)
    version = world.version(5, 0.70)
    ledger.register(version, actor=BACKFILL, at=NOW)
    made = ledger.decide(world.model, version.id, measure=world.measure, actor=BACKFILL, at=NOW).to_json()
    config = put_content(
        world.store, f"{world.model.name}/configs", ".json", canonical_json(of_another_release(world.model))
    )
    other = {**made, "config": config, "policy": "0" * 64, "mood": "good"}
    del other["approval"], other["as_of"]
    ledger._log.append(lambda _: ("decided", other), at=to_iso(NOW))
    length = len(ledger.entries())
    edited = world.model.model_copy(update={"description": "Will it be late?"})
    again = ledger.decide(edited, version.id, measure=world.measure, actor=BACKFILL, at=NOW)
    assert (again.config, again.outcome) == (config, Outcome.PROMOTE)
    assert ledger.stands(edited, version.id) == again
    assert len(ledger.entries()) == length
    gate = world.model.gate.model_copy(update={"primary": Primary(metric="roc_auc", confidence=0.99)})
    ledger.decide(
        world.model.model_copy(update={"gate": gate}), version.id, measure=world.measure, actor=BACKFILL, at=NOW
    )
    assert len(ledger.entries()) == length + 1, "another policy is another decision"


def test_unknown_fields_of_a_decision_and_of_an_answer_are_passed_over() -> None:
    reply = ApprovalReply(ApprovalAnswer.APPROVED, "evidence", None, "ada", to_iso(NOW), "fine")
    assert ApprovalReply.from_json({**reply.to_json(), "mood": "good", "gate": "HOLD"}) == reply
    body = {
        "version": "v", "outcome": "HOLD", "reason": "", "incumbent": None, "evidence": "e", "policy": "p",
        "config": "c", "primary": {}, "actor": {}, "weather": "fair",
    }  # fmt: skip
    assert Decision.from_json(body).outcome is Outcome.HOLD
