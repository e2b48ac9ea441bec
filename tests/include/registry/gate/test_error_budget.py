"""Errors over a lifetime: what is spent never exceeds what accrues, in whatever order decisions were made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, PRIMARY_ONLY, World, evidence

from benchmarks.gate_error import a_lifetime
from include.config.model import ModelConfig
from include.config.sections.evaluation import Gate
from include.registry.gate import error_budget
from include.registry.gate.error_budget import CANDIDATE, YEAR, Budget
from include.registry.gate.judgement import judge, policy_digest
from include.registry.history.approval_form import approval_form
from include.registry.history.policy_replay import rejudge, replay
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Decision, Outcome
from tests.opcodes import opcodes_in

BASELINES = {"trivial": 0.5, "simple": 0.55}


def bounded(rate: str = "0.1/y") -> ModelConfig:
    gate = Gate.model_validate({**PRIMARY_ONLY.gate.said(), "lifetime": {"wrong_promotions": rate}})
    return PRIMARY_ONLY.model_copy(update={"gate": gate})


def run(world: World, ledger: Ledger, month: int, quality: float, trigger: str = "backfill") -> list:
    version, actor = world.version(month, quality), {"trigger": trigger}
    return [
        lambda: ledger.register(version, actor=actor, at=NOW),
        lambda: ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=NOW),
        lambda: ledger.settle(measure=world.measure, actor=actor, at=NOW),
    ]


def played(history, rate: str = "0.1/y", trigger: str = "backfill") -> tuple[World, Ledger]:
    world = World(model=bounded(rate))
    ledger = Ledger(world.store, world.model.name)
    for month, quality in history:
        for step in run(world, ledger, month, quality, trigger):
            step()
    return world, ledger


def told(timeline: Timeline) -> list:
    found = []
    for standing in timeline.standings:
        decision = standing.decision
        assert decision is not None
        found.append((standing.version, decision.outcome, decision.incumbent, decision.reason, decision.lifetime))
    return found


def of(timeline: Timeline, place: int) -> Decision:
    decision = timeline.standings[place].decision
    assert decision is not None
    return decision


histories = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([0.58, 0.6, 0.61, 0.62, 0.63, 0.65, 0.7])),
    min_size=1,
    max_size=7,
    unique_by=lambda pair: pair[0],
)


@given(histories, st.sampled_from(["0.1/y", "0.5/y", "3/y"]), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_of_backfills_gives_the_same_decisions_at_the_same_levels(history, rate, random):
    world = World(model=bounded(rate))
    ledgers = [Ledger(world.store, world.model.name) for _ in history]
    queues = [run(world, ledger, *entry) for ledger, entry in zip(ledgers, history, strict=True)]
    while any(queues):
        random.choice([queue for queue in queues if queue]).pop(0)()
    expected = told(played(sorted(history), rate)[1].timeline())
    assert told(ledgers[0].timeline()) == expected


@given(histories, st.sampled_from(["0.1/y", "3/y"]))
@settings(max_examples=80, deadline=None)
def test_what_was_spent_never_exceeds_what_accrued(history, rate):
    timeline = played(sorted(history), rate)[1].timeline()
    first, a_year = timeline.standings[0].as_of, bounded(rate).gate.lifetime.wrong_promotions.a_year  # type: ignore[union-attr]
    spent = 0.0
    for standing in timeline.standings:
        if standing.decision is not None and standing.decision.lifetime is not None:
            spent += standing.decision.lifetime["spent"]
        assert spent <= a_year * ((standing.as_of - first) / YEAR) + 1e-9


def test_a_challenger_that_does_not_seem_better_spends_twice_its_level_and_one_that_does_spends_nothing():
    _, ledger = played([(1, 0.6), (5, 0.599), (8, 0.601), (11, 0.7)])
    timeline = ledger.timeline()
    assert of(timeline, 0).lifetime is None  # a first version has no champion to be no better than
    worse, equal, better = (of(timeline, place).lifetime for place in (1, 2, 3))
    assert worse is not None and equal is not None and better is not None
    assert worse["spent"] == worse["level"] / (1 - CANDIDATE) > 0
    assert equal["spent"] == better["spent"] == 0
    assert worse["left"] == pytest.approx(0.1 * 120 / 365.25)
    assert [of(timeline, place).outcome for place in (0, 1, 2, 3)] == ["PROMOTE", "HOLD", "HOLD", "PROMOTE"]


def test_a_gain_that_one_decision_would_promote_is_held_when_its_level_is_not_reached_and_the_reason_says_the_level():
    _, ledger = played([(1, 0.6), (4, 0.6195)])
    held = of(ledger.timeline(), 1)
    assert held.outcome is Outcome.HOLD and held.lifetime is not None
    assert (
        f"level {held.lifetime['level']:.4%}, as {held.lifetime['left']:.4f} wrong promotions are left of 0.1/y"
        in held.reason
    )
    alone = World()
    other = Ledger(alone.store, alone.model.name)
    for month, quality in ((1, 0.6), (4, 0.6195)):
        for step in run(alone, other, month, quality):
            step()
    assert of(other.timeline(), 1).outcome is Outcome.PROMOTE


def test_the_question_of_an_approval_says_the_level_and_what_is_left():
    world, ledger = played([(1, 0.6), (4, 0.6195)])
    comparison = ledger.compare(of(ledger.timeline(), 1))
    assert comparison is not None
    judgement = comparison.judge(world.model.gate)
    body = approval_form(world.model, comparison, judgement, at="/ratchet", card="card").body
    assert judgement.lifetime is not None and f"level {judgement.lifetime['level']:.4%}" in body


def test_a_loss_is_rejected_at_the_confidence_of_one_decision():
    _, ledger = played([(1, 0.6), (4, 0.582)])
    assert of(ledger.timeline(), 1).outcome is Outcome.REJECT


def test_with_nothing_left_nothing_is_promoted_however_large_the_gain():
    made = evidence(0.9, {**BASELINES, "incumbent": 0.6}, incumbent="x")
    for left in (0.0, -0.2):
        judgement = judge(bounded().gate, made, challenger_is_simple=False, left=left)
        assert judgement.outcome is Outcome.HOLD and "nothing is left to risk" in judgement.reason
    unreached = judge(bounded().gate, made, challenger_is_simple=False, left=0.0001)
    assert unreached.outcome is Outcome.HOLD and "raise `evaluation.resamples`" in unreached.reason


def test_a_decision_made_without_a_lifetime_leaves_nothing_for_those_after_it():
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for month, quality in ((1, 0.6), (4, 0.6)):
        for step in run(world, ledger, month, quality, "scheduled"):
            step()
    world.model = bounded()
    for step in run(world, ledger, 7, 0.7, "scheduled"):
        step()
    lifetime = of(ledger.timeline(), 2).lifetime
    assert lifetime is not None and lifetime["left"] == pytest.approx(0.1 * 91 / 365.25)


def test_a_later_backfill_of_an_earlier_date_leaves_less_and_changes_no_fact():
    world, ledger = played([(1, 0.6), (12, 0.62)], trigger="scheduled")
    fact = of(ledger.timeline(), 1)
    for step in run(world, ledger, 6, 0.59):
        step()
    assert of(ledger.timeline(), 2) == fact
    july, december = (ledger.timeline().standings[place].version for place in (1, 2))
    rate = 0.1
    spent = of(ledger.timeline(), 1).lifetime
    assert spent is not None and spent["spent"] > 0
    assert ledger.timeline().left_for(december, rate) == pytest.approx(rate * 334 / 365.25 - spent["spent"])
    assert july != december


def test_whether_something_is_to_be_decided_again_takes_work_that_grows_with_the_versions_and_not_with_their_square():
    _, ledger = played([(1, 0.6), (2, 0.6), (3, 0.6)])
    first, *_, last = ledger.timeline().standings

    def work(count: int) -> int:
        more = (
            replace(last, version=f"v{number}", as_of=last.as_of + number * timedelta(days=1), registered=100 + number)
            for number in range(count)
        )
        timeline, left = Timeline((first, *more)), []
        settled = []
        for standing in timeline.standings:
            assert standing.decision is not None
            lifetime = standing.decision.lifetime
            if lifetime is not None:
                left = Timeline((*settled, standing)).left_for(standing.version, lifetime["a_year"])
                standing = replace(standing, decision=replace(standing.decision, lifetime={**lifetime, "left": left}))
            settled.append(standing)
        settled = Timeline(tuple(settled))
        return opcodes_in(error_budget.__file__, lambda: settled.first_to_decide_again() and pytest.fail("it stands"))

    assert work(80) < 7 * work(20), "four times as many"


def test_each_look_at_a_version_counts():
    world, ledger = played([(1, 0.6), (4, 0.595)])
    held = ledger.timeline().standings[1].version
    first = of(ledger.timeline(), 1).lifetime
    later = datetime(2013, 10, 1, tzinfo=UTC)
    ledger.reconsider(world.model, held, as_of=later, measure=world.measure, actor={"trigger": "manual"}, at=NOW)
    standing = ledger.timeline()[held]
    assert [look.as_of for look in standing.looks] == [None, "2013-10-01T00:00:00Z"]
    second = of(ledger.timeline(), 1).lifetime
    assert first is not None and second is not None and first["spent"] > 0
    assert second["left"] == pytest.approx(0.1 * 273 / 365.25 - first["spent"])


def test_what_is_left_grows_with_time_to_what_a_year_brings():
    start = Budget(0.0, NOW)
    assert start.grown(NOW + timedelta(days=30), 0.1).left == pytest.approx(0.1 * 30 / 365.25)
    assert start.grown(NOW + timedelta(days=3000), 0.1).left == 0.1
    assert Budget(-0.1, NOW).grown(NOW + YEAR, 0.1).left == pytest.approx(0.0)


def test_decisions_are_reproduced_from_their_evidence_and_another_policy_is_answered_with_its_own_budget():
    world, ledger = played([(1, 0.6), (3, 0.605), (5, 0.6195), (9, 0.7)])
    assert not any(one.differs for one in rejudge(ledger))
    assert [one.outcome for one in replay(ledger, world.model.gate)] == [one.recorded for one in rejudge(ledger)]
    assert [one.outcome for one in replay(ledger, PRIMARY_ONLY.gate)][:3] == [
        Outcome.PROMOTE,
        Outcome.HOLD,
        Outcome.PROMOTE,
    ]


def test_a_model_without_a_lifetime_keeps_its_digests_and_events():
    plain = Gate.model_validate({"primary": {"metric": "roc_auc"}})
    assert "lifetime" not in plain.model_dump(mode="json") and "lifetime" not in plain.said()
    assert policy_digest(plain) != policy_digest(bounded().gate)
    world = World()
    ledger = Ledger(world.store, world.model.name)
    for month, quality in ((1, 0.6), (4, 0.6)):
        for step in run(world, ledger, month, quality):
            step()
    assert all("lifetime" not in entry.body for entry in ledger.entries())


def test_two_hundred_years_of_equal_models_keep_the_rate_and_a_decaying_champion_is_replaced():
    null = a_lifetime(years=200, decay=0.0, rate=0.1, seed=1)
    assert null["promoted"] <= 0.1 + 3 * (0.1 / 200) ** 0.5
    assert a_lifetime(years=200, decay=0.0, rate=None, seed=1)["promoted"] > 2
    assert a_lifetime(years=200, decay=0.1, rate=0.1, seed=1)["promoted"] > 2
