"""Decisions on versions: the comparison with the incumbent, the policy and the approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from include.config.model import ModelConfig
from include.config.names import SIMPLE_BASELINE
from include.config.sections.evaluation import Gate
from include.errors import RatchetError
from include.evaluation.evidence import Evidence
from include.registry.approval import ApprovalReply, conclude
from include.registry.gate.judgement import Judgement, judge, policy_digest
from include.registry.version_states import Decision, Outcome, Trigger
from include.registry.versions import Version


class Measure(Protocol):
    """Measures a version against its incumbent: the evidence and its digest. Repeated, it finds what it measured before."""

    def __call__(
        self, model: ModelConfig, version: Version, incumbent: Version | None, *, again: str | None = None
    ) -> tuple[Evidence, str]:
        """Return evidence and digest; ``again`` is the digest of what a decision on record was made on that is made again."""


@dataclass(frozen=True)
class Comparison:
    """A challenger measured against its incumbent."""

    challenger: Version
    incumbent: Version | None
    evidence: Evidence
    digest: str
    left: float = 0.0
    """With `gate.lifetime`: how many wrong promotions are left to risk."""

    def judge(self, policy: Gate) -> Judgement:
        """Apply a policy to the evidence."""
        is_simple = self.challenger.estimator == SIMPLE_BASELINE[self.evidence.task]
        return judge(policy, self.evidence, challenger_is_simple=is_simple, left=self.left)


def decision_on(
    comparison: Comparison,
    policy: Gate,
    *,
    config: str,
    actor: dict[str, Any],
    trigger: Trigger,
    reply: ApprovalReply | None = None,
) -> Decision:
    """Return the decision that a policy, and a person's reply, make of what was measured.

    Parameters
    ----------
    comparison : Comparison
    policy : Gate
    config : str
        Digest of the configuration that the policy is part of.
    actor : dict
        Who or what decides, for the record.
    trigger : Trigger
        What made the version's run happen.
    reply : ApprovalReply, optional
        What came of asking a person.
    """
    judgement = comparison.judge(policy)
    incumbent = None if comparison.incumbent is None else comparison.incumbent.id
    outcome, reason, approval = conclude(
        judgement, policy, trigger=trigger, reply=reply, evidence=comparison.digest, incumbent=incumbent
    )
    return Decision(
        version=comparison.challenger.id,
        outcome=outcome,
        reason=reason,
        incumbent=incumbent,
        evidence=comparison.digest,
        policy=policy_digest(policy),
        config=config,
        primary=judgement.primary,
        actor=actor,
        lifetime=judgement.lifetime,
        approval=approval,
    )


def unmeasured(before: Decision, incumbent: str | None, error: RatchetError, actor: dict[str, Any]) -> Decision:
    """Return the decision on a version that can't be measured: by nothing but the reason why.

    Parameters
    ----------
    before : Decision
        The one on record, of the same configuration and policy.
    incumbent : str or None
        The version that it was to be measured against.
    error : RatchetError
        What kept it from being measured.
    actor : dict
        Who or what decides, for the record.
    """
    reason = f"it can't be measured against {incumbent or 'the baselines'}: {error.message.rstrip('.')}."
    if error.remedy:
        reason += f" {error.remedy[:1].upper()}{error.remedy[1:].rstrip('.')}; then backfill its date again."
    return Decision(
        version=before.version,
        outcome=Outcome.INCOMPARABLE,
        reason=reason,
        incumbent=incumbent,
        evidence=None,
        policy=before.policy,
        config=before.config,
        primary={name: value if name == "metric" else None for name, value in before.primary.items()},
        actor=actor,
    )
