"""Guards: how much a metric may lose against the incumbent, on all rows and in each level of a slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from include.config.sections.evaluation import Guard
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain, Measured, probit
from include.registry.gate.bounds import gain_verdict, measured_value, outlook
from include.registry.gate.power import POWER
from include.registry.gate.verdicts import RuleResult, Verdict


@dataclass(frozen=True)
class AcceptedLoss:
    """How much may be lost, in the metric's own unit.

    Attributes
    ----------
    surely : float
        What may be lost at any of the incumbent's values within its 95 % interval: a challenger that loses no more passes.
    at_most : float
        What may be lost at most within that interval: one that loses more fails. Both are one where a unit is declared.
    said : str
    """

    surely: float
    at_most: float
    said: str


def accepted_loss(guard: Guard, incumbent: Measured | None) -> AcceptedLoss | None:
    """Return what a guard accepts; None if it is a share of a value that is not known, or may be zero.

    Parameters
    ----------
    guard : Guard
    incumbent : Measured or None
        The incumbent's value on the rows that the guard is about.
    """
    if guard.share is None:
        loss = float(guard.max_loss)
        return AcceptedLoss(loss, loss, f"{loss:g}")
    if incumbent is None or incumbent.low is None or incumbent.high is None or incumbent.low <= 0 <= incumbent.high:
        return None
    ends = sorted(guard.share * abs(end) for end in (incumbent.low, incumbent.high))
    return AcceptedLoss(ends[0], ends[1], f"{guard.max_loss} of the incumbent's")


def guard_verdicts(guard: Guard, evidence: Evidence, confidence: float, surely: float) -> Iterator[Verdict]:
    """Yield the verdict of a guard, one for each level if it names a slice.

    Parameters
    ----------
    guard : Guard
    evidence : Evidence
    confidence : float
        One-sided confidence with which the loss must be bounded for a pass.
    surely : float
        One-sided confidence that it takes to reject.
    """
    if guard.slice is None:
        name, gain = f"{guard.metric} loses at most {_said(guard)}", evidence.gain(guard.metric, "incumbent")
        accepted = accepted_loss(guard, measured_value(evidence, guard.metric, "incumbent"))
        yield (
            _without_value(name, RuleResult.OPEN)
            if accepted is None
            else _bounded(name, gain, accepted, confidence, surely)
        )
        return
    scored = {one.level: one for one in evidence.slice_scores if one.column == guard.slice}
    levels = evidence.levels(guard.slice)
    if not levels:
        yield Verdict(f"{guard.metric} by {guard.slice}", RuleResult.OPEN, "the slice was not measured")
    gains = {level: evidence.gain(guard.metric, "incumbent", (guard.slice, level)) for level in levels}
    together = sum(
        gain is not None and gain.estimate is not None and gain.support >= guard.min_support for gain in gains.values()
    )
    family = evidence.family(guard.metric, guard.slice)

    def critical(at: float) -> float:
        """Return the critical value of the levels together; without resamples that tell it, by Bonferroni."""
        known = family.critical_value(together, at) if family is not None else None
        return probit(1 - (1 - at) / max(1, together)) if known is None else known

    loss, unchanged = critical(surely), critical(POWER)
    for level, gain in gains.items():
        name = f"{guard.metric} where {guard.slice} is {level} loses at most {_said(guard)}"
        accepted = accepted_loss(guard, scored[level].scores.get("incumbent", {}).get(guard.metric))
        yield _guarded_level(name, guard, accepted, gain, confidence, loss, unchanged)


def _said(guard: Guard) -> str:
    return f"{guard.max_loss:g}" if guard.share is None else f"{guard.max_loss} of the incumbent's value"


def _without_value(name: str, answer: RuleResult) -> Verdict:
    why = "a share of the incumbent's value says nothing here: that is not known, or may be zero"
    return Verdict(name, answer, f"{why}; give `max_loss` in the metric's own unit")


def _bounded(name: str, gain: Gain | None, accepted: AcceptedLoss, confidence: float, surely: float) -> Verdict:
    """Pass a loss that is below the accepted one for all plausible values, and fail a loss that is above it for all."""
    verdict = gain_verdict(name, gain, -accepted.surely, confidence, strict=False, surely=surely)
    if verdict.answer is RuleResult.FAIL and accepted.at_most > accepted.surely:
        return gain_verdict(name, gain, -accepted.at_most, confidence, strict=False, surely=surely)
    return verdict


def _guarded_level(
    name: str,
    guard: Guard,
    accepted: AcceptedLoss | None,
    gain: Gain | None,
    confidence: float,
    loss: float,
    unchanged: float,
) -> Verdict:
    """Judge one level of a slice.

    Parameters
    ----------
    loss : float
        By how many standard errors no level's gain is underestimated.
    unchanged : float
        By how many of them, with `POWER`, no level whose models are equal seems to lose.
    """
    unverified = RuleResult.OPEN if guard.required else RuleResult.UNVERIFIED
    if gain is None:
        return Verdict(name, RuleResult.OPEN, "no gain to judge by: it was not measured")
    if gain.support < guard.min_support:
        return Verdict(name, unverified, f"{gain.support} rows, of {guard.min_support} that it takes to verify")
    if gain.estimate is None or gain.error is None:
        return Verdict(name, unverified, f"no gain to judge by: {gain.undefined or 'too few resamples'}")
    if accepted is None:
        return _without_value(name, unverified)
    verdict = gain_verdict(name, gain, -accepted.surely, confidence, strict=False)
    if verdict.answer is RuleResult.PASS:
        return verdict
    high = gain.estimate + loss * gain.error
    facts = f"gain {gain.estimate:+.4f}, and with all levels at once below {high:+.4f}, may lose {accepted.said}"
    if high < -accepted.at_most:
        return Verdict(name, RuleResult.FAIL, facts)
    needed = (probit(confidence) + unchanged) * gain.error
    if needed <= accepted.surely:
        low = gain.bound(confidence)
        assert low is not None  # noqa: S101 (there is an error)
        return Verdict(name, RuleResult.OPEN, f"{facts}; {outlook(gain, -accepted.surely, low, high, confidence)}")
    if high < 0:
        return Verdict(name, RuleResult.OPEN, f"{facts}: it does lose, though these rows can't tell how much")
    if accepted.surely == 0:
        return Verdict(name, unverified, f"{facts}: no number of rows verifies that nothing at all is lost")
    rows = round(float(f"{gain.support * (needed / accepted.surely) ** 2:.2g}"))
    return Verdict(name, unverified, f"{facts}: {gain.support:,} rows, of about {rows:,} that it takes to verify")
