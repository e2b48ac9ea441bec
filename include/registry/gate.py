"""The gate: a policy applied to evidence.

A pure function of both. Every rule answers for itself, so that a person can read why; the outcome follows from the answers:
one failed rule rejects, one open rule holds, and only when all pass is the challenger promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from include.config.judging import Gate, Guard, Require
from include.evaluation.evidence import Evidence, Gain, Measured, Role
from include.registry.timeline import Outcome
from include.storage.content import digest_json


class Answer(StrEnum):
    """What one rule says."""

    PASS = "pass"  # noqa: S105 (not a password)
    FAIL = "fail"
    OPEN = "open"
    """The rows are too few to tell."""
    UNVERIFIED = "unverified"
    """A slice below its least support that is not required."""


@dataclass(frozen=True)
class Verdict:
    """One rule's answer with its reason."""

    rule: str
    answer: Answer
    reason: str


@dataclass(frozen=True)
class Judgement:
    """The outcome, every verdict behind it, and the sentence that matters most."""

    outcome: Outcome
    reason: str
    verdicts: tuple[Verdict, ...]
    primary: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


def policy_digest(policy: Gate) -> str:
    """Return the identity of the rules."""
    return digest_json(policy.model_dump(mode="json"))


def judge(policy: Gate, evidence: Evidence, *, challenger_is_simple: bool) -> Judgement:
    """Apply a policy to evidence.

    Parameters
    ----------
    policy : Gate
    evidence : Evidence
    challenger_is_simple : bool
        Whether the challenger's estimator is that of the simple baseline, which it then need not beat.

    Returns
    -------
    Judgement
    """
    primary = _primary_facts(policy, evidence)
    if not evidence.comparable:
        reason = f"{evidence.incumbent} can't be compared: {evidence.incomparable_because}."
        if evidence.remedy:
            reason += f" {evidence.remedy}"
        return Judgement(Outcome.INCOMPARABLE, reason, (Verdict("comparable", Answer.FAIL, reason),), primary)
    verdicts = tuple(_verdicts(policy, evidence, challenger_is_simple=challenger_is_simple))
    for answer, outcome in ((Answer.FAIL, Outcome.REJECT), (Answer.OPEN, Outcome.HOLD)):
        if deciding := [verdict for verdict in verdicts if verdict.answer is answer]:
            more = f" ({len(deciding) - 1} more of this kind)" if len(deciding) > 1 else ""
            return Judgement(outcome, f"{deciding[0].rule}: {deciding[0].reason}{more}", verdicts, primary)
    return Judgement(Outcome.PROMOTE, f"{verdicts[0].rule}: {verdicts[0].reason}", verdicts, primary)


def _verdicts(policy: Gate, evidence: Evidence, *, challenger_is_simple: bool) -> Iterator[Verdict]:
    rule, confidence = policy.primary, policy.primary.confidence
    if evidence.incumbent is not None:
        margin = rule.margin or 0.0
        name = f"{rule.metric} {'better than' if rule.rule == 'better' else 'not worse than'} the incumbent"
        gain = evidence.gain(rule.metric, "incumbent")
        yield _bounded(name, gain, 0.0 - margin, confidence, strict=rule.rule == "better")
    # The baseline that says most comes first: of a first version, its verdict is the reason that people read.
    baselines: tuple[Role, ...] = ("trivial", "simple") if challenger_is_simple else ("simple", "trivial")
    for baseline in baselines:
        name = f"{rule.metric} better than the {baseline} baseline"
        if baseline == "simple" and challenger_is_simple:
            yield Verdict(name, Answer.PASS, "the challenger is of the simple baseline's own kind")
        else:
            yield _bounded(name, evidence.gain(rule.metric, baseline), 0.0, confidence, strict=True)
    for require in policy.require:
        yield _required(require, evidence)
    if evidence.incumbent is not None:
        for guard in policy.guards:
            yield from _guarded(guard, evidence, confidence)


def _bounded(name: str, gain: Gain | None, least: float, confidence: float, *, strict: bool) -> Verdict:
    """Ask whether the gain is above ``least``: by its bounds, never by its point."""
    if gain is None or gain.estimate is None:
        why = gain.undefined if gain is not None else "it was not measured"
        return Verdict(name, Answer.OPEN, f"no gain to judge by: {why}")
    low, high = gain.bound(confidence), gain.upper(confidence)
    if low is None or high is None:
        return Verdict(name, Answer.OPEN, f"the resamples can't speak of a confidence of {confidence:.4%}")
    facts = f"gain {gain.estimate:+.4f}, {confidence:.0%} bounds {low:+.4f} and {high:+.4f}, must be above {least:+.4f}"
    if low > least or (not strict and low == least):
        return Verdict(name, Answer.PASS, facts)
    # Of two identical models neither is worse: the bounds coincide at zero, and more rows would not tell them apart.
    if high < least:
        return Verdict(name, Answer.FAIL, facts)
    return Verdict(name, Answer.OPEN, f"{facts}: not enough evidence yet")


def _required(require: Require, evidence: Evidence) -> Verdict:
    at_least = require.at_least is not None
    level = require.at_least if require.at_least is not None else require.at_most
    assert level is not None  # noqa: S101 (held by the configuration)
    name = f"{require.metric} {'at least' if at_least else 'at most'} {level:g}"
    measured = _measured(evidence, require.metric, "challenger")
    if measured is None or measured.value is None or measured.low is None or measured.high is None:
        why = measured.undefined if measured is not None else "it was not measured"
        return Verdict(name, Answer.OPEN, f"no value to judge by: {why}")
    facts = f"{measured.value:.4f}, between {measured.low:.4f} and {measured.high:.4f} with 95% confidence"
    certain, impossible = (
        (measured.low >= level, measured.high < level) if at_least else (measured.high <= level, measured.low > level)
    )
    answer = Answer.PASS if certain else Answer.FAIL if impossible else Answer.OPEN
    return Verdict(name, answer, facts)


def _guarded(guard: Guard, evidence: Evidence, confidence: float) -> Iterator[Verdict]:
    if guard.slice is None:
        name = f"{guard.metric} loses at most {guard.max_loss:g}"
        yield _bounded(name, evidence.gain(guard.metric, "incumbent"), -guard.max_loss, confidence, strict=False)
        return
    levels = evidence.levels(guard.slice)
    if not levels:
        yield Verdict(f"{guard.metric} by {guard.slice}", Answer.OPEN, "the slice was not measured")
    for level in levels:
        gain = evidence.gain(guard.metric, "incumbent", (guard.slice, level))
        name = f"{guard.metric} where {guard.slice} is {level} loses at most {guard.max_loss:g}"
        if gain is not None and gain.support < guard.min_support:
            answer = Answer.OPEN if guard.required else Answer.UNVERIFIED
            yield Verdict(name, answer, f"{gain.support} rows, of {guard.min_support} that it takes to verify")
        else:
            yield _bounded(name, gain, -guard.max_loss, confidence, strict=False)


def _primary_facts(policy: Gate, evidence: Evidence) -> dict[str, Any]:
    metric = policy.primary.metric
    against: Role = "incumbent" if evidence.incumbent is not None else "simple"
    gain = evidence.gain(metric, against)
    challenger, other = _measured(evidence, metric, "challenger"), _measured(evidence, metric, against)
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
    }


def _measured(evidence: Evidence, metric: str, role: Role) -> Measured | None:
    return evidence.scores.get(role, {}).get(metric)
