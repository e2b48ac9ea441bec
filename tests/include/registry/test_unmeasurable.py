"""One version that can't be measured keeps no other from being settled."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import NOW, World

from include.errors import CodeError, ModelFileRefused, ObjectCorrupt, ObjectMissing, RatchetError, StoreUnavailable
from include.registry.history.policy_replay import rejudge, replay
from include.registry.ledger import Ledger
from include.registry.version_states import Decision, Outcome

ACTOR = {"trigger": "backfill", "dag": "retrain", "run": "r"}


class Damaged(World):
    """A world in which some versions can't be measured any more."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(self.store, self.model.name)
        self.broken: dict[str, RatchetError] = {}

    def measure(self, model: Any, version: Any, incumbent: Any, *, again: str | None = None) -> Any:
        if version.id in self.broken:
            self.measured.append((version.id, incumbent.id if incumbent else None))
            raise self.broken[version.id]
        return super().measure(model, version, incumbent, again=again)

    def run(self, month: int, quality: float) -> str:
        version = self.version(month, quality)
        self.ledger.register(version, actor=ACTOR, at=NOW)
        self.ledger.decide(self.model, version.id, measure=self.measure, actor=ACTOR, at=NOW)
        return version.id

    def settle(self) -> list[Decision]:
        return self.ledger.settle(measure=self.measure, actor=ACTOR, at=NOW)


ERRORS = [
    ObjectCorrupt("a partition's bytes are not those that the snapshot pins", remedy="restore the object"),
    ObjectMissing("no such object"),
    ModelFileRefused("the model file is refused"),
    CodeError("`features.py` can't be imported."),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_version_that_can_not_be_measured_is_incomparable_and_later_ones_are_settled(error: RatchetError) -> None:
    world = Damaged()
    july, september = world.run(7, 0.62), world.run(9, 0.7)
    world.broken[july] = error
    may = world.run(5, 0.6)
    again = world.settle()
    assert [(one.version, one.outcome) for one in again] == [
        (july, Outcome.INCOMPARABLE),
        (september, Outcome.PROMOTE),
    ]
    timeline = world.ledger.timeline()
    decision = timeline[july].decision
    assert decision is not None and decision.evidence is None and decision.again
    assert error.message.rstrip(".") in decision.reason and may in decision.reason
    assert timeline[september].decision.incumbent == may  # type: ignore[union-attr]
    assert world.settle() == [], "it is decided: it is not measured at every run"


def test_a_store_that_does_not_answer_is_an_error_and_decides_nothing() -> None:
    world = Damaged()
    july = world.run(7, 0.62)
    world.broken[july] = StoreUnavailable("the store did not answer")
    world.run(5, 0.6)
    before = world.ledger.entries()
    with pytest.raises(StoreUnavailable):
        world.settle()
    assert world.ledger.entries() == before
    del world.broken[july]
    assert [one.outcome for one in world.settle()] == [Outcome.PROMOTE]


def test_a_withdrawn_version_is_never_measured_again() -> None:
    world = Damaged()
    july = world.run(7, 0.62)
    world.ledger.withdraw(july, "its rows are damaged", actor=ACTOR, at=NOW)
    world.broken[july] = ERRORS[0]
    world.measured.clear()
    world.run(5, 0.6)
    assert world.settle() == []
    world.ledger.decide(world.model, july, measure=world.measure, actor=ACTOR, at=NOW)
    assert july not in [version for version, _ in world.measured]


def test_a_repaired_version_is_measured_when_its_date_is_backfilled_again() -> None:
    world = Damaged()
    july = world.run(7, 0.62)
    world.broken[july] = ERRORS[0]
    world.run(5, 0.6)
    world.settle()
    del world.broken[july]
    decision = world.ledger.decide(world.model, july, measure=world.measure, actor=ACTOR, at=NOW)
    assert decision.outcome is Outcome.PROMOTE and decision.evidence is not None


def test_a_damaged_record_or_configuration_is_a_reason_too() -> None:
    world = Damaged()
    july, may = world.run(7, 0.62), world.run(5, 0.6)
    world.store.objects[f"{world.model.name}/versions/{july}.json"] = b"{}"  # type: ignore[attr-defined]
    (one,) = world.settle()
    assert (one.version, one.outcome, one.incumbent) == (july, Outcome.INCOMPARABLE, may)
    assert one.primary["metric"] == "roc_auc" and one.primary["gain"] is None


def test_what_was_not_measured_is_told_and_replayed_as_it_stands() -> None:
    world = Damaged()
    july = world.run(7, 0.62)
    world.broken[july] = ERRORS[0]
    world.run(5, 0.6)
    world.settle()
    assert not any(one.differs for one in rejudge(world.ledger))
    assert {one.version: one.outcome for one in replay(world.ledger, world.model.gate)}[july] is Outcome.INCOMPARABLE
