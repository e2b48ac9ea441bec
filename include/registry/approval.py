"""Approval of a challenger by a person: when the gate needs it, what it is valid for, and what follows from it.

An answer counts for the question that was asked: this evidence, against this incumbent. If either is another one when the
answer arrives, an approval is void; a rejection stays, since it promotes nothing. Without an answer nothing goes forward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from include.config.sections.evaluation import Approval, Gate
from include.registry.gate.judgement import Judgement
from include.registry.version_states import Decision, Outcome, Trigger, VersionState
from include.storage.content import known_fields


class ApprovalAnswer(StrEnum):
    """The result of asking a person for approval."""

    APPROVED = "approved"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    """No person answered in time."""
    UNASKED = "unasked"
    """The question arose when the run was past asking, such as with a new incumbent."""
    VOID = "void"
    """Approved, but on other evidence or against another incumbent."""


@dataclass(frozen=True)
class ApprovalReply:
    """What a person answered, and to which question.

    Attributes
    ----------
    evidence : str
        Digest of what they were shown.
    incumbent : str or None
        Whom it was measured against.
    user, at, note : str or None
        The person who answered, when, and why; None without an answer.
    """

    answer: ApprovalAnswer
    evidence: str
    incumbent: str | None
    user: str | None = None
    at: str | None = None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "answer": self.answer.value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ApprovalReply:
        """Read what `to_json` wrote."""
        return cls(**{**known_fields(cls, value), "answer": ApprovalAnswer(value["answer"])})


def trigger_of(standing: VersionState, decision: Decision | None = None) -> Trigger:
    """Return the trigger of a decision, as far as approval depends on it: a reconsideration is always triggered by a person."""
    return Trigger.MANUAL if decision is not None and decision.as_of is not None else standing.trigger


def needs_approval(policy: Approval, outcome: Outcome, trigger: Trigger) -> bool:
    """Whether a person decides on a challenger with this outcome of the gate."""
    if policy.when == "never" or (trigger is Trigger.BACKFILL and not policy.backfills):
        return False
    if outcome is Outcome.PROMOTE:
        return policy.when == "always"
    return outcome is Outcome.HOLD or policy.override


def conclude(
    judgement: Judgement,
    policy: Gate,
    *,
    trigger: Trigger,
    reply: ApprovalReply | None,
    evidence: str,
    incumbent: str | None,
) -> tuple[Outcome, str, dict[str, Any] | None]:
    """Return outcome, reason and the record of the approval that follow from the gate's judgement and a person's reply.

    Parameters
    ----------
    judgement : Judgement
        What the gate says now.
    reply : ApprovalReply or None
        The answer of a person; None if no person was asked.
    evidence : str
        Digest of what the judgement was made on.
    incumbent : str or None
        Whom it was made against.
    """
    gate, because = judgement.outcome, judgement.reason
    asked = needs_approval(policy.approval, gate, trigger)
    if reply is None:
        if not asked:
            return gate, because, None
        reply = ApprovalReply(ApprovalAnswer.UNASKED, evidence, incumbent)
    unmoved = Outcome.HOLD if gate is Outcome.PROMOTE else gate
    said = f"The gate said {gate}. {because}"
    if reply.answer is ApprovalAnswer.REJECTED:
        outcome, reason = Outcome.REJECT, f"rejected by {reply.user}, who wrote: {_quoted(reply.note)}. {said}"
    elif reply.answer is ApprovalAnswer.APPROVED and (reply.evidence, reply.incumbent) == (evidence, incumbent):
        if asked:
            outcome, reason = Outcome.PROMOTE, f"approved by {reply.user}, who wrote: {_quoted(reply.note)}. {said}"
        else:
            outcome, reason = gate, because
    elif reply.answer in (ApprovalAnswer.APPROVED, ApprovalAnswer.VOID):
        changed = (
            f"it was given against {reply.incumbent or 'no champion'}, and {incumbent or 'none'} is the incumbent now"
        )
        if reply.incumbent == incumbent:
            changed = f"it was given on evidence {reply.evidence[:12]}, and {evidence[:12]} is what was measured now"
        reply = ApprovalReply(**{**vars(reply), "answer": ApprovalAnswer.VOID})
        outcome = unmoved if asked else gate
        reason = f"the approval of {reply.user} is void: {changed}. {said}"
    else:
        outcome = unmoved if asked else gate
        why = "nobody answered in time" if reply.answer is ApprovalAnswer.UNANSWERED else "a person has yet to be asked"
        reason = f"{why}. {said}" if asked else because
    return outcome, reason, {**reply.to_json(), "gate": gate.value}


def approval_reply(decision: Decision) -> ApprovalReply | None:
    """Return the reply that a decision on record was made with."""
    if decision.approval is None or decision.approval["answer"] == ApprovalAnswer.UNASKED:
        return None
    return ApprovalReply.from_json(decision.approval)


def _quoted(note: str | None) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{(note or '').rstrip('.')}\N{RIGHT DOUBLE QUOTATION MARK}"
