"""Verdicts from confidence bounds: a gain above its least, a value on the right side of a level."""

from __future__ import annotations

from dataclasses import replace

from include.config.sections.evaluation import Gate
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain, Measured, Role, probit
from include.registry.gate.error_budget import level_of
from include.registry.gate.power import POWER, least_detectable, more_rows
from include.registry.gate.verdicts import RuleResult, Verdict


def gain_verdict(
    name: str, gain: Gain | None, least: float, confidence: float, *, strict: bool, surely: float | None = None
) -> Verdict:
    """Return whether the gain is above ``least``, by its confidence bounds and not by its point estimate.

    Parameters
    ----------
    name : str
        Name of the rule.
    gain : Gain or None
    least : float
        The gain that it must be above, in units of the metric.
    confidence : float
        One-sided confidence of both bounds.
    strict : bool
        Whether a lower bound equal to ``least`` is too little.
    surely : float, optional
        Confidence that it takes to fail the rule; by default ``confidence``.
    """
    if gain is None or gain.estimate is None:
        why = gain.undefined if gain is not None else "it was not measured"
        return Verdict(name, RuleResult.OPEN, f"no gain to judge by: {why}")
    low, high = gain.bound(confidence), gain.upper(confidence)
    if low is None or high is None:
        return Verdict(name, RuleResult.OPEN, f"the resamples can't speak of a confidence of {confidence:.4%}")
    facts = f"gain {gain.estimate:+.4f}, one-sided {100 * confidence:.4g}% bounds {low:+.4f} and {high:+.4f}, must be above {least:+.4f}"
    if low > least or (not strict and low == least):
        return Verdict(name, RuleResult.PASS, facts)
    # Of two identical models neither is worse: the bounds coincide at zero, and more rows would not tell them apart.
    if high < least and (surely is None or _upper(gain, surely) < least):
        return Verdict(name, RuleResult.FAIL, facts)
    return Verdict(
        name, RuleResult.OPEN, f"{facts}: not enough evidence yet; {outlook(gain, least, low, high, confidence)}"
    )


def lifetime_verdict(name: str, gain: Gain | None, least: float, policy: Gate, left: float, *, strict: bool) -> Verdict:
    """Return whether the gain is above ``least`` at the level that all decisions of the model together leave to this one.

    Parameters
    ----------
    name : str
        Name of the rule.
    gain : Gain or None
    least : float
        The gain that it must be above, in units of the metric.
    policy : Gate
        A policy with `lifetime`.
    left : float
        How many wrong promotions are left to risk.
    strict : bool
        Whether a lower bound equal to ``least`` is too little.
    """
    assert policy.lifetime is not None  # noqa: S101 (held by the caller)
    rate, confidence = policy.lifetime.wrong_promotions, policy.primary.confidence
    level = level_of(left, confidence)
    verdict = gain_verdict(name, gain, least, confidence, strict=strict)
    why = f"level {level:.4%}, as {max(0.0, left):.4f} wrong promotions are left of {rate} that all decisions may make"
    if verdict.answer is not RuleResult.PASS or gain is None:
        return replace(verdict, reason=f"{verdict.reason} ({why})")
    if level <= 0:
        reason = f"{verdict.reason}, but nothing is left to risk: {why}; it accrues with time"
        return Verdict(name, RuleResult.OPEN, reason)
    low = gain.bound(1 - level)
    if low is None:
        reason = f"{verdict.reason}, but the resamples can't speak of that {why}; raise `evaluation.resamples`, or wait"
        return Verdict(name, RuleResult.OPEN, reason)
    if low > least or (not strict and low == least):
        return replace(verdict, reason=f"{verdict.reason}; {low:+.4f} at {why}")
    return Verdict(name, RuleResult.OPEN, f"{verdict.reason}, but {low:+.4f} at {why}: not enough evidence yet")


def outlook(gain: Gain, least: float, low: float, high: float, confidence: float) -> str:
    """Return a sentence on the gain that these rows would have shown, and on how many more rows would decide.

    Parameters
    ----------
    gain : Gain
    least : float
        The gain that it must be above.
    low, high : float
        One-sided bounds of the gain.
    confidence : float
        Confidence of the bounds.
    """
    more = more_rows(gain.estimate, least, low, high, gain.support)
    advice = (
        "more rows will not help: the estimate itself is at the margin"
        if more is None
        else f"if the estimate stays, about {more:,} more labelled rows decide"
    )
    detectable = least_detectable(gain, least, confidence)
    if detectable is None:
        return advice
    return f"these rows show a gain of {detectable:+.4f} or more with {POWER:.0%} power; {advice}"


def _upper(gain: Gain, confidence: float) -> float:
    """Return an upper bound; where the resamples don't reach, from the standard error."""
    assert gain.estimate is not None  # noqa: S101 (held by the caller)
    upper = gain.upper(confidence)
    return gain.estimate + probit(confidence) * (gain.error or 0.0) if upper is None else upper


def level_verdict(what: str, measured: Measured | None, level: float, rows: int, *, at_least: bool) -> Verdict:
    """Return whether a value is on the right side of ``level``, by its confidence interval.

    Parameters
    ----------
    what : str
        What was measured.
    measured : Measured or None
    level : float
        The value to reach or not to exceed.
    rows : int
        Rows that it was measured on, for the advice how many more would decide.
    at_least : bool
        Whether the value must be at least ``level``; else at most.
    """
    name = f"{what} {'at least' if at_least else 'at most'} {level:g}"
    if measured is None or measured.value is None or measured.low is None or measured.high is None:
        why = measured.undefined if measured is not None else "it was not measured"
        return Verdict(name, RuleResult.OPEN, f"no value to judge by: {why}")
    facts = f"{measured.value:.4f}, two-sided 95% interval {measured.low:.4f} to {measured.high:.4f}"
    certain, impossible = (
        (measured.low >= level, measured.high < level) if at_least else (measured.high <= level, measured.low > level)
    )
    if certain or impossible:
        return Verdict(name, RuleResult.PASS if certain else RuleResult.FAIL, facts)
    more = more_rows(measured.value, level, measured.low, measured.high, rows)
    advice = (
        "more rows will not help" if more is None else f"about {more:,} more labelled rows decide if the value stays"
    )
    return Verdict(name, RuleResult.OPEN, f"{facts}; {advice}")


def measured_value(evidence: Evidence, metric: str, role: Role) -> Measured | None:
    """Return a model's value of a metric on the holdout; None if it was not measured."""
    return evidence.scores.get(role, {}).get(metric)
