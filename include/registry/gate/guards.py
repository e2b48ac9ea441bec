"""Guards: how much a metric may lose against the incumbent, on all rows and in each level of a slice."""

from __future__ import annotations

from collections.abc import Iterator

from include.config.sections.evaluation import Guard
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain, probit
from include.registry.gate.bounds import gain_verdict, outlook
from include.registry.gate.power import POWER
from include.registry.gate.verdicts import RuleResult, Verdict


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
        name, gain = f"{guard.metric} loses at most {guard.max_loss:g}", evidence.gain(guard.metric, "incumbent")
        yield gain_verdict(name, gain, -guard.max_loss, confidence, strict=False, surely=surely)
        return
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
        name = f"{guard.metric} where {guard.slice} is {level} loses at most {guard.max_loss:g}"
        yield _guarded_level(name, guard, gain, confidence, loss, unchanged)


def _guarded_level(
    name: str, guard: Guard, gain: Gain | None, confidence: float, loss: float, unchanged: float
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
    verdict = gain_verdict(name, gain, -guard.max_loss, confidence, strict=False)
    if verdict.answer is RuleResult.PASS:
        return verdict
    high = gain.estimate + loss * gain.error
    facts = f"gain {gain.estimate:+.4f}, and with all levels at once below {high:+.4f}, may lose {guard.max_loss:g}"
    if high < -guard.max_loss:
        return Verdict(name, RuleResult.FAIL, facts)
    needed = (probit(confidence) + unchanged) * gain.error
    if needed <= guard.max_loss:
        low = gain.bound(confidence)
        assert low is not None  # noqa: S101 (there is an error)
        return Verdict(name, RuleResult.OPEN, f"{facts}; {outlook(gain, -guard.max_loss, low, high, confidence)}")
    if high < 0:
        return Verdict(name, RuleResult.OPEN, f"{facts}: it does lose, though these rows can't tell how much")
    if guard.max_loss == 0:
        return Verdict(name, unverified, f"{facts}: no number of rows verifies that nothing at all is lost")
    rows = round(float(f"{gain.support * (needed / guard.max_loss) ** 2:.2g}"))
    return Verdict(name, unverified, f"{facts}: {gain.support:,} rows, of about {rows:,} that it takes to verify")
