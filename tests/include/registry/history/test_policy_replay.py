"""Replay: the same policy reproduces every decision; another one is answered from evidence alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, World

from include.config.sections.evaluation import Gate
from include.registry.history.policy_replay import rejudge, replay
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome


def backfilled(history, order=None) -> tuple[World, Ledger]:
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for number, (month, quality) in enumerate(order or history):
        version, actor, at = world.version(month, quality), {"trigger": "backfill"}, NOW + timedelta(days=number)
        ledger.register(version, actor=actor, at=at)
        ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=at)
        ledger.settle(measure=world.measure, actor=actor, at=at)
    return world, ledger


HISTORY = [(3, 0.60), (5, 0.61), (7, 0.64), (9, 0.65)]


@given(
    st.permutations(
        [(1, 0.56), (2, 0.6), (3, 0.61), (4, 0.62), (5, 0.7), (6, 0.65)],
    )
)
@settings(max_examples=30, deadline=None)
def test_replay_with_the_same_policy_reproduces_every_decision(order):
    world, ledger = backfilled(None, order)
    assert not any(replayed.differs for replayed in rejudge(ledger))
    again = replay(ledger, world.model.gate)
    assert [r.outcome for r in again] == [s.decision.outcome for s in ledger.timeline().standings]
    assert [r.incumbent for r in again] == [s.decision.incumbent for s in ledger.timeline().standings]


def test_a_stricter_policy_says_what_it_would_have_done_and_what_it_can_not_know():
    _, ledger = backfilled(HISTORY)
    before = len(ledger.entries())
    strict = Gate.model_validate({"primary": {"metric": "roc_auc", "confidence": 0.999}})
    recorded = [r.recorded for r in replay(ledger, strict)]
    assert recorded == [Outcome.PROMOTE, Outcome.HOLD, Outcome.PROMOTE, Outcome.HOLD]
    outcomes = [r.outcome for r in replay(ledger, strict)]
    assert outcomes[:3] == [Outcome.PROMOTE, Outcome.HOLD, Outcome.PROMOTE]
    impossible = Gate.model_validate(
        {"primary": {"metric": "roc_auc"}, "require": [{"metric": "roc_auc", "at_least": 0.99}]}
    )
    answers = replay(ledger, impossible)
    assert answers[0].outcome is Outcome.REJECT
    assert [r.outcome for r in answers[1:]] == [None, None, None]
    assert "never measured against the baselines alone" in answers[1].reason
    assert len(ledger.entries()) == before


def test_in_force_in_fact_and_champion_as_of_are_two_things():
    _, ledger = backfilled(None, [(7, 0.64), (3, 0.60)])
    july, march = (ledger.timeline().standings[n].version for n in (1, 0))
    assert ledger.timeline().champion_as_of(datetime(2013, 4, 1, tzinfo=UTC)) == march
    assert ledger.timeline(recorded_by=NOW).champion == july
    assert ledger.timeline(recorded_by=NOW - timedelta(seconds=1)).champion is None
    assert ledger.in_fact() == [(NOW, july)]


def test_a_withdrawal_changes_what_is_in_force_in_fact_from_when_it_is_recorded():
    _, ledger = backfilled(HISTORY)
    march, _, july, _ = (standing.version for standing in ledger.timeline().standings)
    later = NOW + timedelta(days=30)
    ledger.withdraw(july, "wrong labels", actor={"trigger": "manual"}, at=later)
    assert ledger.in_fact() == [(NOW, march), (NOW + timedelta(days=2), july), (later, march)]
