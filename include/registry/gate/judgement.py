"""The gate: a policy applied to evidence.

A pure function of both. Every rule gives its own verdict with a reason. One failed rule rejects, one open rule holds, and only
when all pass is the challenger promoted. Which errors that keeps in check, and how, is said in docs/gate.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from include.config.sections.evaluation import Gate
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Role
from include.registry.gate.bounds import measured_value
from include.registry.gate.error_budget import CANDIDATE, level_of, spent_by
from include.registry.gate.fixed_rules import (
    behaviour_verdicts,
    covered_windows,
    different_rows,
    labelled_rows,
    leakage_verdicts,
)
from include.registry.gate.policy_rules import policy_verdicts
from include.registry.gate.power import least_detectable
from include.registry.gate.verdicts import RuleResult, Verdict
from include.registry.version_states import Outcome
from include.storage.content import digest_json


@dataclass(frozen=True)
class Judgement:
    """The outcome, every verdict behind it, and the sentence that matters most."""

    outcome: Outcome
    reason: str
    verdicts: tuple[Verdict, ...]
    primary: dict[str, Any]
    lifetime: dict[str, float] | None = None
    """With `gate.lifetime`: what was `left` to risk, the `level` that allowed, what is `spent`, and what the policy allows `a_year`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


def policy_digest(policy: Gate) -> str:
    """Return the identity of the rules; defaults are no part of it."""
    return digest_json(policy.said())


def judge(policy: Gate, evidence: Evidence, *, challenger_is_simple: bool, left: float = 0.0) -> Judgement:
    """Apply a policy to evidence.

    Parameters
    ----------
    policy : Gate
    evidence : Evidence
    challenger_is_simple : bool
        Whether the challenger's estimator is that of the simple baseline, which it then need not beat.
    left : float
        With `gate.lifetime`: how many wrong promotions are left to risk, from the decisions before this one.

    Returns
    -------
    Judgement
    """
    judgement = _judged(policy, evidence, challenger_is_simple, left)
    if policy.lifetime is None or evidence.incumbent is None or not evidence.comparable:
        return judgement
    gain = evidence.gain(policy.primary.metric, "incumbent")
    middle = None if gain is None else gain.bound(1 - CANDIDATE)
    level = level_of(left, policy.primary.confidence)
    told = {
        "left": left,
        "level": level,
        "spent": spent_by(level, seems_better=middle is not None and middle > 0.0 - (policy.primary.margin or 0.0)),
        "a_year": policy.lifetime.wrong_promotions.a_year,
    }
    return replace(judgement, lifetime=told)


def _judged(policy: Gate, evidence: Evidence, challenger_is_simple: bool, left: float) -> Judgement:
    primary, leaks = _primary_facts(policy, evidence, challenger_is_simple), tuple(leakage_verdicts(evidence))
    behaved = (*behaviour_verdicts(evidence), *covered_windows(evidence), *labelled_rows(policy, evidence))
    if not evidence.comparable:
        reason = f"{evidence.incumbent} can't be compared: {evidence.incomparable_because}."
        if evidence.remedy:
            reason += f" {evidence.remedy}"
        verdicts = (Verdict("comparable", RuleResult.FAIL, reason), *leaks, *behaved)
        return Judgement(Outcome.INCOMPARABLE, reason, verdicts, primary)
    verdicts = (*policy_verdicts(policy, evidence, challenger_is_simple=challenger_is_simple, left=left), *behaved)
    # What leaks makes every other measurement worthless, and is the reason to give; that nothing leaks is none.
    verdicts = (*different_rows(evidence), *verdicts)
    verdicts = verdicts + leaks if all(verdict.answer is RuleResult.PASS for verdict in leaks) else leaks + verdicts
    for answer, outcome in ((RuleResult.FAIL, Outcome.REJECT), (RuleResult.OPEN, Outcome.HOLD)):
        if deciding := [verdict for verdict in verdicts if verdict.answer is answer]:
            more = f" ({len(deciding) - 1} more of this kind)" if len(deciding) > 1 else ""
            return Judgement(outcome, f"{deciding[0].rule}: {deciding[0].reason}{more}", verdicts, primary)
    unverified = sum(verdict.answer is RuleResult.UNVERIFIED for verdict in verdicts)
    more = f" ({unverified} of the {len(verdicts)} rules have too few rows to be verified)" if unverified else ""
    if evidence.incumbent is None and challenger_is_simple and "pooled" not in evidence.scores:
        more += f"; {verdicts[1].rule}: {verdicts[1].reason}"
    return Judgement(Outcome.PROMOTE, f"{verdicts[0].rule}: {verdicts[0].reason}{more}", verdicts, primary)


def _primary_facts(policy: Gate, evidence: Evidence, challenger_is_simple: bool) -> dict[str, Any]:
    metric = policy.primary.metric
    # A gain over a baseline of its own kind is meaningless: such a first version is compared with the trivial baseline.
    baseline: Role = "trivial" if challenger_is_simple else "simple"
    baseline = "pooled" if "pooled" in evidence.scores else baseline
    against: Role = "incumbent" if evidence.incumbent is not None else baseline
    gain = evidence.gain(metric, against)
    least = 0.0 - (policy.primary.margin or 0.0) if against == "incumbent" else 0.0
    challenger, other = measured_value(evidence, metric, "challenger"), measured_value(evidence, metric, against)
    return {
        "metric": metric,
        "against": against,
        "challenger": challenger.value if challenger else None,
        "challenger_low": challenger.low if challenger else None,
        "challenger_high": challenger.high if challenger else None,
        "other": other.value if other else None,
        "gain": gain.estimate if gain else None,
        "low": gain.bound(policy.primary.confidence) if gain else None,
        "high": gain.upper(policy.primary.confidence) if gain else None,
        "confidence": policy.primary.confidence,
        "least_detectable": least_detectable(gain, least, policy.primary.confidence) if gain else None,
    }
