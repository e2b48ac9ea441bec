"""A person's answer counts for the question that was asked, is a fact, and nothing goes forward without it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, PRIMARY_ONLY, World

from include.config.sections.evaluation import Approval
from include.registry.approval import ApprovalAnswer, ApprovalReply, needs_approval
from include.registry.history.policy_replay import rejudge, replay
from include.registry.ledger import Ledger
from include.registry.version_states import Decision, Outcome, Trigger

PROMOTE, HOLD, REJECT, INCOMPARABLE = Outcome.PROMOTE, Outcome.HOLD, Outcome.REJECT, Outcome.INCOMPARABLE


def world(**approval: Any) -> tuple[World, Ledger]:
    policy = PRIMARY_ONLY.gate.model_copy(update={"approval": Approval(**approval)})
    made = World(model=PRIMARY_ONLY.model_copy(update={"gate": policy}))
    return made, Ledger(made.store, made.model.name)


class Run:
    """One run, in the steps in which a DAG takes it; people answer between the question and the decision."""

    def __init__(self, world: World, ledger: Ledger, month: int, quality: float, trigger: str, answer: str) -> None:
        self.world, self.ledger, self.answer = world, ledger, answer
        self.version = world.version(month, quality, name=trigger)
        self.actor = {"trigger": trigger}
        self.reply: ApprovalReply | None = None
        self.steps = [self.register, self.ask, self.decide, self.settle]

    def register(self) -> None:
        self.ledger.register(self.version, actor=self.actor, at=NOW)

    def ask(self) -> None:
        measured = self.ledger.measure(self.world.model, self.version.id, self.world.measure)
        outcome = measured.judge(self.world.model.gate).outcome
        if needs_approval(self.world.model.gate.approval, outcome, Trigger(self.actor["trigger"])):
            incumbent = measured.incumbent.id if measured.incumbent else None
            who = {} if self.answer == "unanswered" else {"user": "ada", "at": "2026-01-01T00:00:00Z", "note": "seen"}
            self.reply = ApprovalReply(ApprovalAnswer(self.answer), measured.digest, incumbent, **who)

    def decide(self) -> Decision:
        return self.ledger.decide(
            self.world.model, self.version.id, measure=self.world.measure, actor=self.actor, at=NOW, reply=self.reply
        )

    def settle(self) -> None:
        self.ledger.settle(measure=self.world.measure, actor=self.actor, at=NOW)

    def all(self) -> Decision:
        for step in self.steps:
            step()
        decision = self.ledger.timeline()[self.version.id].decision
        assert decision is not None
        return decision


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        ({"when": "never"}, set()),
        ({"when": "when_held"}, {HOLD}),
        ({"when": "always"}, {PROMOTE, HOLD}),
        ({"when": "when_held", "override": True}, {HOLD, REJECT, INCOMPARABLE}),
        ({"when": "always", "override": True}, {PROMOTE, HOLD, REJECT, INCOMPARABLE}),
    ],
)
def test_a_person_is_asked_as_the_policy_says_and_in_a_backfill_only_if_it_says_so(policy, asked):
    for trigger in Trigger:
        found = {outcome for outcome in Outcome if needs_approval(Approval(**policy), outcome, trigger)}
        assert found == (set() if trigger is Trigger.BACKFILL else asked)
        if asked:
            assert {o for o in Outcome if needs_approval(Approval(**policy, backfills=True), o, trigger)} == asked


# What a gate says of a challenger of this quality beside an incumbent of 0.60.
QUALITIES = {PROMOTE: 0.70, HOLD: 0.61, REJECT: 0.50}


@pytest.mark.parametrize(
    ("gate", "answer", "outcome"),
    [
        (PROMOTE, "approved", PROMOTE),
        (PROMOTE, "rejected", REJECT),
        (PROMOTE, "unanswered", HOLD),
        (HOLD, "approved", PROMOTE),
        (HOLD, "rejected", REJECT),
        (HOLD, "unanswered", HOLD),
        (REJECT, "approved", PROMOTE),
        (REJECT, "rejected", REJECT),
        (REJECT, "unanswered", REJECT),
    ],
)
def test_what_comes_of_an_answer_and_what_the_gate_said_stays_on_record(gate, answer, outcome):
    made, ledger = world(when="always", override=True)
    Run(made, ledger, 3, 0.60, "manual", "approved").all()
    decision = Run(made, ledger, 5, QUALITIES[gate], "manual", answer).all()
    assert (decision.outcome, decision.by_gate) == (outcome, gate)
    assert decision.overrides == (outcome is PROMOTE and gate is not PROMOTE)
    assert decision.approval is not None and decision.approval["answer"] == answer
    told = (decision.approval["user"], decision.approval["at"], decision.approval["note"])
    assert told == ((None,) * 3 if answer == "unanswered" else ("ada", "2026-01-01T00:00:00Z", "seen"))
    assert f"The gate said {gate}." in decision.reason
    assert Decision.from_json(decision.to_json()) == decision


def test_an_approval_is_void_when_another_version_landed_meanwhile_and_says_so():
    made, ledger = world(when="always")
    first = Run(made, ledger, 3, 0.60, "manual", "approved").all()
    late = Run(made, ledger, 7, 0.70, "manual", "approved")
    late.register()
    late.ask()
    landed = Run(made, ledger, 5, 0.65, "manual", "approved").all()
    decision = late.decide()
    assert decision.outcome is HOLD and decision.by_gate is PROMOTE
    assert decision.incumbent == landed.version == ledger.timeline().champion
    assert decision.approval is not None and decision.approval["answer"] == "void"
    assert decision.approval["incumbent"] == first.version
    assert (
        f"is void: it was given against {first.version}, and {landed.version} is the incumbent now" in decision.reason
    )
    assert not any(one.differs for one in rejudge(ledger))


def test_a_rejection_stays_whatever_landed_meanwhile():
    made, ledger = world(when="always")
    Run(made, ledger, 3, 0.60, "manual", "approved").all()
    late = Run(made, ledger, 7, 0.70, "manual", "rejected")
    late.register()
    late.ask()
    Run(made, ledger, 5, 0.65, "manual", "approved").all()
    assert late.decide().outcome is REJECT


def test_settle_neither_rewrites_what_a_person_decided_nor_promotes_what_nobody_approved():
    made, ledger = world(when="always", backfills=True)
    Run(made, ledger, 3, 0.60, "backfill", "approved").all()
    approved = Run(made, ledger, 9, 0.70, "backfill", "approved").all()
    rejected = Run(made, ledger, 8, 0.61, "backfill", "unanswered").all()
    assert (approved.outcome, rejected.outcome) == (PROMOTE, HOLD)
    # A worse incumbent comes before them: by the gate alone, the unanswered one would now be promoted.
    ledger.withdraw(ledger.timeline().standings[0].version, "late feed", actor={"trigger": "manual"}, at=NOW)
    ledger.settle(measure=made.measure, actor={"trigger": "backfill"}, at=NOW)
    timeline = ledger.timeline()
    assert timeline[approved.version].decision == approved
    again = timeline[rejected.version].decision
    assert again is not None and again.again and again.approval is not None
    assert (again.outcome, again.by_gate, again.approval["answer"]) == (HOLD, PROMOTE, "unasked")
    assert not any(one.differs for one in rejudge(ledger))


def test_a_second_look_at_a_held_version_is_approved_like_a_first_one():
    made, ledger = world(when="when_held")
    Run(made, ledger, 3, 0.60, "manual", "approved").all()
    held = Run(made, ledger, 5, 0.61, "manual", "unanswered").all()
    measured = ledger.measure(made.model, held.version, made.measure)
    reply = ApprovalReply(
        ApprovalAnswer.APPROVED, measured.digest, held.incumbent, "ada", "2026-01-01T00:00:00Z", "seen"
    )
    facts: dict[str, Any] = {"measure": made.measure, "actor": {"trigger": "manual"}, "at": NOW, "reply": reply}
    decision = ledger.reconsider(made.model, held.version, as_of=datetime(2013, 8, 1, tzinfo=UTC), **facts)
    assert decision.outcome is PROMOTE and decision.overrides and ledger.timeline().champion == held.version
    assert not any(one.differs for one in rejudge(ledger))


def test_replay_counts_answers_to_the_same_question_and_says_where_nobody_was_asked():
    made, ledger = world(when="when_held")
    Run(made, ledger, 3, 0.60, "manual", "approved").all()
    Run(made, ledger, 5, 0.61, "manual", "approved").all()
    Run(made, ledger, 7, 0.70, "manual", "approved").all()
    recorded = [PROMOTE] * 3
    assert [one.outcome for one in replay(ledger, made.model.gate)] == recorded
    alone = made.model.gate.model_copy(update={"approval": Approval()})
    assert [one.outcome for one in replay(ledger, alone)] == [PROMOTE, HOLD, None]
    always = made.model.gate.model_copy(update={"approval": Approval(when="always")})
    first, *_ = replay(ledger, always)
    assert first.outcome is None and "a person has yet to be asked" in first.reason


def naive(runs: list[Run], decisions: dict[str, list[Decision]], policy: Approval) -> dict[str, Outcome]:
    """Say again, from each version's last measured pair and its answer alone, what must have become of it."""
    became = {}
    for run in runs:
        decision = decisions[run.version.id][-1]
        quality = run.world.quality
        opponents = [0.55] if decision.incumbent is None else [0.55, quality[decision.incumbent]]
        gains = [quality[run.version.id] - other for other in opponents]
        margin = 0.01 * 1.6449
        gate = REJECT if min(gains) < -margin else HOLD if min(gains) <= margin else PROMOTE
        person = gate is not REJECT and (gate is HOLD or policy.when == "always")
        waits = policy.when != "never" and person and (run.actor["trigger"] != "backfill" or policy.backfills)
        was_asked = run.reply is not None
        same = was_asked and run.reply.incumbent == decision.incumbent
        if was_asked and run.answer == "rejected":
            became[run.version.id] = REJECT
        elif not waits:
            became[run.version.id] = gate
        else:
            became[run.version.id] = PROMOTE if same and run.answer == "approved" else HOLD
    return became


runs = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from([0.5, 0.56, 0.6, 0.61, 0.65, 0.7, 0.71]),
        st.sampled_from(["backfill", "scheduled"]),
        st.sampled_from(["approved", "approved", "rejected", "unanswered"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda run: run[0],
)


@given(runs, st.sampled_from(["never", "when_held", "always"]), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=120, deadline=None)
def test_whatever_the_order_of_runs_and_answers_the_ledger_says_what_a_naive_reading_of_them_says(
    history, when, backfills, random
):
    made, ledger = world(when=when, backfills=backfills and when != "never")
    under_way = [Run(made, Ledger(made.store, made.model.name), *facts) for facts in history]
    queues = [list(run.steps) for run in under_way]
    while any(queues):
        random.choice([queue for queue in queues if queue]).pop(0)()
    decisions: dict[str, list[Decision]] = {}
    for entry in ledger.entries():
        if entry.kind == "decided":
            decision = Decision.from_json(entry.body)
            earlier = decisions.setdefault(decision.version, [])
            assert not any(one.by_person for one in earlier), "what a person decided was decided again"
            earlier.append(decision)
    timeline = ledger.timeline()
    became = naive(under_way, decisions, made.model.gate.approval)
    assert {s.version: s.decision and s.decision.outcome for s in timeline.standings} == became
    promoted = [run.version for run in under_way if became[run.version.id] is PROMOTE]
    champion = max(promoted, key=lambda version: version.as_of).id if promoted else None
    assert timeline.champion == champion
    assert not any(one.differs for one in rejudge(ledger))


def test_what_was_decided_on_a_version_before_it_rebuilt_another_still_follows_from_its_own_trigger():
    many, ledger = world(when="always")
    by = {trigger: {"trigger": trigger, "dag": "retrain", "run": trigger} for trigger in ("backfill", "manual")}
    original, own = many.version(5, 0.7), many.version(5, 0.8, name="b")
    for version, actor in ((original, by["backfill"]), (own, by["manual"])):
        ledger.register(version, actor=actor, at=NOW)
    ledger.decide(many.model, original.id, measure=many.measure, actor=by["backfill"], at=NOW)
    shown = many.measure(many.model, own, original)[1]
    reply = ApprovalReply(ApprovalAnswer.UNANSWERED, shown, original.id)
    held = ledger.decide(many.model, own.id, measure=many.measure, actor=by["manual"], at=NOW, reply=reply)
    ledger.rebuild(original.id, own, proof="0" * 64, actor=by["manual"], at=NOW)
    assert held.outcome is Outcome.HOLD and ledger.timeline()[own.id].trigger is Trigger.BACKFILL
    assert not any(replayed.differs for replayed in rejudge(ledger))
