"""The timeline: what the ledger's events mean, in whatever order they came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from histories import tell
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, MemoryStore, World

from include.config.sections.evaluation import Gate
from include.errors import RegistryError
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome, Trigger, VersionState


def run(world: World, ledger: Ledger, month: int, quality: float, trigger: str = "backfill", name: str = "a") -> list:
    """Return the three steps of one run, to be taken when the test says."""
    version = world.version(month, quality, name=name)
    actor = {"trigger": trigger}
    return [
        lambda: ledger.register(version, actor=actor, at=NOW),
        lambda: ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=NOW),
        lambda: ledger.settle(measure=world.measure, actor=actor, at=NOW),
    ]


def shape(timeline: Timeline) -> list:
    return [
        (s.version, s.decision and (s.decision.outcome, s.decision.incumbent), s.withdrawn) for s in timeline.standings
    ]


def sequential(qualities: list[tuple[int, float]]) -> Timeline:
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for month, quality in sorted(qualities):
        for step in run(world, ledger, month, quality):
            step()
    return ledger.timeline()


histories = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([0.56, 0.6, 0.61, 0.62, 0.65, 0.7, 0.71])),
    min_size=1,
    max_size=7,
    unique_by=lambda pair: pair[0],
)


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_interleaving_of_backfilled_runs_ends_in_the_sequential_timeline(history, random):
    world = World()
    ledgers = [Ledger(world.store, world.model.name) for _ in history]
    queues = [run(world, ledger, *entry) for ledger, entry in zip(ledgers, history, strict=True)]
    while any(queues):
        random.choice([queue for queue in queues if queue]).pop(0)()
    timeline = ledgers[0].timeline()
    assert shape(timeline) == shape(sequential(history))
    assert timeline.champions() == sequential(history).champions()


@given(histories, st.integers(1, 12), st.sampled_from([0.5, 0.6, 0.66, 0.9]), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_a_live_run_decided_is_never_rewritten(history, month, quality, random):
    world = World()
    ledger = Ledger(world.store, world.model.name)
    entries = list(history)
    random.shuffle(entries)
    half = len(entries) // 2
    for entry in entries[:half]:
        for step in run(world, ledger, *entry):
            step()
    register, decide, settle = run(world, ledger, month, quality, trigger="scheduled", name="live")
    register()
    fact = decide()
    settle()
    for entry in entries[half:]:
        for step in run(world, ledger, *entry):
            step()
    assert ledger.timeline()[fact.version].decision == fact
    assert [e.body for e in ledger.entries() if e.kind == "decided" and e.body["version"] == fact.version] == [
        fact.to_json()
    ]


def test_what_a_live_run_decided_on_a_version_of_a_backfill_is_never_rewritten():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for month, quality in ((1, 0.6), (5, 0.7)):
        for step in run(world, ledger, month, quality):
            step()
    may = ledger.timeline().standings[1]
    assert may.may_change
    usual, level = world.model, {"metric": "roc_auc", "at_least": 0.99}
    strict = Gate.model_validate({**usual.gate.said(), "require": [level]})
    world.model = usual.model_copy(update={"gate": strict})
    register, decide, settle = run(world, ledger, 5, 0.7, trigger="manual")
    register()
    fact = decide()
    settle()
    assert (fact.version, fact.outcome) == (may.version, Outcome.REJECT)
    world.model = usual
    for step in run(world, ledger, 3, 0.65):
        step()
    timeline = ledger.timeline()
    assert timeline.incumbent_of(fact.version) != fact.incumbent
    assert timeline[fact.version].decision == fact


def test_a_backfill_never_demotes_a_newer_champion():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for step in run(world, ledger, 9, 0.7, trigger="scheduled"):
        step()
    newest = ledger.timeline().champion
    for step in run(world, ledger, 5, 0.9):
        step()
    assert ledger.timeline().champion == newest
    assert ledger.timeline().champion_as_of(datetime(2013, 6, 1, tzinfo=UTC)) not in (None, newest)


def test_a_run_repeated_finds_its_own_record_and_writes_nothing():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for _ in range(3):
        for step in run(world, ledger, 5, 0.7):
            step()
    assert [entry.kind for entry in ledger.entries()] == ["registered", "decided"]


def test_at_one_as_of_the_version_registered_last_stands():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for name, quality in (("first", 0.6), ("second", 0.7)):
        for step in run(world, ledger, 5, quality, trigger="manual", name=name):
            step()
    standing = ledger.timeline().standings
    assert ledger.timeline().champion == standing[1].version
    assert standing[1].decision.incumbent == standing[0].version


def test_a_rejected_rerun_at_the_same_as_of_leaves_the_champion_in_force():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for name, quality in (("first", 0.7), ("second", 0.6)):
        for step in run(world, ledger, 5, quality, trigger="manual", name=name):
            step()
    first, second = ledger.timeline().standings
    assert second.decision.outcome is Outcome.REJECT
    assert ledger.timeline().champion == first.version


def test_after_a_withdrawal_the_champion_before_is_back_in_force():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for month, quality in ((5, 0.6), (6, 0.7)):
        for step in run(world, ledger, month, quality, trigger="manual"):
            step()
    before, bad = ledger.timeline().standings
    assert ledger.timeline().champion == bad.version
    ledger.withdraw(bad.version, "predicts nonsense for LGA", actor={"trigger": "manual"}, at=NOW)
    assert ledger.timeline().champion == before.version
    assert ledger.timeline().champion_as_of(datetime(2014, 1, 1, tzinfo=UTC)) == before.version
    assert [version for _, version in ledger.timeline().champions()] == [before.version]
    assert ledger.timeline()[bad.version].withdrawn == "predicts nonsense for LGA"


def test_a_withdrawal_needs_a_reason_and_a_known_version():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    with pytest.raises(RegistryError, match="reason"):
        ledger.withdraw("x", "  ", actor={"trigger": "manual"}, at=NOW)
    with pytest.raises(RegistryError, match="does not know"):
        ledger.withdraw("x", "why", actor={"trigger": "manual"}, at=NOW)


def test_champion_as_of_is_the_newest_promoted_at_or_before_the_instant():
    timeline = sequential([(3, 0.6), (5, 0.6), (7, 0.7)])
    march, may, july = (standing.version for standing in timeline.standings)
    assert timeline[may].decision.outcome is Outcome.HOLD
    assert timeline.champion_as_of(datetime(2013, 2, 28, tzinfo=UTC)) is None
    assert timeline.champion_as_of(datetime(2013, 3, 1, tzinfo=UTC)) == march
    assert timeline.champion_as_of(datetime(2013, 6, 30, tzinfo=UTC)) == march
    assert timeline.champion_as_of(datetime(2014, 1, 1, tzinfo=UTC)) == july == timeline.champion


def test_settle_may_change_what_a_backfill_decided_alone_and_nothing_else():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for step in run(world, ledger, 5, 0.7):
        step()
    (standing,) = ledger.timeline().standings
    decision = standing.decision
    later, answered = {"as_of": "2013-08-01T00:00:00Z"}, {"approval": {"answer": "approved", "gate": "HOLD"}}
    lapsed = {"approval": {"answer": "lapsed", "gate": "HOLD"}}
    assert standing.may_change
    assert not replace(standing, decision=None).may_change
    assert [replace(standing, decision=replace(decision, **how)).may_change for how in (later, answered, lapsed)] == [
        False,
        False,
        True,
    ]
    for trigger in (Trigger.MANUAL, Trigger.SCHEDULED):
        assert not replace(standing, trigger=trigger).may_change


def test_who_was_champion_when_is_found_without_looking_at_each_version_for_each_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, looked = MemoryStore(), 0
    tell(store, versions=100)
    timeline, in_line = Ledger(store, "flight_delay").timeline(), VersionState.in_line.fget
    promoted = [one for one in timeline.standings if one.in_line]

    def counted(standing: VersionState) -> bool:
        nonlocal looked
        looked += 1
        return in_line(standing)

    monkeypatch.setattr(VersionState, "in_line", property(counted))
    for before, one in pairwise([None, *promoted]):
        assert timeline.champion_as_of(one.since) == one.version
        assert timeline.champion_as_of(one.since - timedelta(seconds=1)) == (before and before.version)
        assert timeline.incumbent_of(one.version) == (before and before.version)
    assert looked == len(timeline.standings)
