"""Replay past evidence under another gate policy.

Nothing is read but the ledger, the versions and the evidence; nothing is measured or put on record. Under another policy
another version may have been the incumbent. If the challenger was once measured against that one, its evidence is in the
store and is used; if not, the answer for it is unknown, and said to be. So is what a person would have answered who was
never asked; an answer that was given to the same question counts again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from include.config.sections.evaluation import Gate
from include.registry.approval import ApprovalAnswer, approval_reply, conclude, needs_approval, trigger_of
from include.registry.gate.error_budget import Budget
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline, fold
from include.registry.version_states import Decision, Outcome
from include.storage.log import Entry


@dataclass(frozen=True)
class Replayed:
    """One version as the ledger has it, and as another policy would have it."""

    version: str
    recorded: Outcome
    incumbent: str | None
    """Who would have been before it."""
    outcome: Outcome | None
    """None where it was never measured against that incumbent, or a person would decide who was not asked."""
    reason: str

    @property
    def differs(self) -> bool:
        """Whether the other policy is known to give another outcome."""
        return self.outcome is not None and self.outcome is not self.recorded


def rejudge(ledger: Ledger) -> list[Replayed]:
    """Judge every decision on record again, from its own evidence and by its own policy; none should differ."""
    timeline = ledger.timeline()
    return [judge_again(ledger, timeline, entry) for entry in ledger.entries() if entry.kind == "decided"]


def judge_again(ledger: Ledger, timeline: Timeline, entry: Entry) -> Replayed:
    """Judge one decision again, by its event."""
    decision = Decision.from_json(entry.body)
    standing = timeline[decision.version]
    if standing.rebuild_of is not None:  # it has the trigger of the version that it rebuilds since it does
        standing = fold(ledger.entries(fresh=False)[: entry.number])[decision.version]
    if (comparison := ledger.compare(decision)) is None:
        return _unmeasured(decision, decision.outcome)
    policy = ledger.config(decision.config).gate
    outcome, reason, _ = conclude(
        comparison.judge(policy),
        policy,
        trigger=trigger_of(standing, decision),
        reply=approval_reply(decision),
        evidence=comparison.digest,
        incumbent=decision.incumbent,
    )
    return Replayed(decision.version, decision.outcome, decision.incumbent, outcome, reason)


def replay(ledger: Ledger, policy: Gate) -> list[Replayed]:
    """Walk the versions in their order and decide on each by ``policy``.

    Parameters
    ----------
    ledger : Ledger
    policy : Gate
        The rules; a metric that they name and that was not measured then leaves its rule open, so it holds.

    Returns
    -------
    list of Replayed
        One for every version that was decided on and is not withdrawn, in their order.
    """
    timeline = ledger.timeline()
    equal = timeline.original_of
    measured = {
        (equal(entry.body["version"]), equal(entry.body["incumbent"])): Decision.from_json(entry.body)
        for entry in ledger.entries()
        if entry.kind == "decided"
    }
    replayed: list[Replayed] = []
    incumbent: str | None = None
    budget, a_year = Budget(), policy.lifetime.wrong_promotions.a_year if policy.lifetime else 0.0
    for standing in timeline.standings:
        if standing.decision is None or standing.withdrawn is not None or standing.rebuilt_as is not None:
            continue
        version, recorded = standing.version, standing.decision.outcome
        budget = budget.grown(standing.since, a_year)
        if (known := measured.get((standing.original, equal(incumbent)))) is None:
            reason = (
                f"It was never measured against {incumbent or 'the baselines alone'}; a backfill of its date would."
            )
            replayed.append(Replayed(version, recorded, incumbent, None, reason))
            continue
        if (comparison := ledger.compare(known)) is None:
            replayed.append(_unmeasured(known, recorded))
            continue
        judgement = dataclasses.replace(comparison, left=round(budget.left, 12)).judge(policy)
        trigger = trigger_of(standing, known)
        if judgement.lifetime is not None:
            budget = budget.minus(judgement.lifetime["spent"])
        reply = approval_reply(known) if needs_approval(policy.approval, judgement.outcome, trigger) else None
        outcome, reason, approval = conclude(
            judgement, policy, trigger=trigger, reply=reply, evidence=comparison.digest, incumbent=known.incumbent
        )
        unknown = approval is not None and approval["answer"] == ApprovalAnswer.UNASKED and known.approval is None
        replayed.append(Replayed(version, recorded, incumbent, None if unknown else outcome, reason))
        if outcome is Outcome.PROMOTE:
            incumbent = version
    return replayed


def _unmeasured(decision: Decision, recorded: Outcome) -> Replayed:
    """Return what any policy makes of a version that could not be measured."""
    return Replayed(decision.version, recorded, decision.incumbent, Outcome.INCOMPARABLE, decision.reason)
