"""The gate: a policy applied to evidence.

A pure function of both. Every rule answers for itself, so that a person can read why; the outcome follows from the answers:
one failed rule rejects, one open rule holds, and only when all pass is the challenger promoted. Which errors that keeps
in check, and how, is said in docs/gate.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from include.config.sections.evaluation import FairnessRule, Gate, Guard
from include.evaluation.evidence import EQUAL_ROWS, SAY_SEPARATE, Evidence, Gain, Measured, Role, UnlabelledRows, probit
from include.evaluation.uncertainty.bootstrap import LEAST_UNITS
from include.registry.error_budget import CANDIDATE, level_of, spent_by
from include.registry.timeline import Outcome
from include.storage.content import digest_json

POWER = 0.8
"""How surely a gain of the size called detectable is detected, and a guard's levels pass when nothing changed for them."""

MAX_ROWS_FACTOR = 100
"""Where deciding takes more than this many times the rows there are, more of them are no advice."""


SAME_KIND = "same kind as the baseline, not asked"


_BY_HEART = (
    "It is better on rows that it learned from than on new ones: it knows them by heart, or the world has changed since. "
    "Against the first, let it learn less of each row (a smaller depth, larger leaves, more regularisation, fewer columns) "
    "or learn from more rows; against the second, from newer ones. In validation inside the training window only the first shows"
)


_UNLABELLED = (
    "If labels are missing by more than chance, these rows are not what the model will meet: load the labels that came late, "
    "or raise `data.label_delay` to when they are all known"
)


_UNCOVERED = "It was declared to learn from more: load the missing partitions, or shorten `data.windows.train`"


_BEHAVE = {
    "invariance": "If it must not matter, leave the column, and what is derived from it, out of `features`",
    "direction": "It learned the contrary from chance or from columns that move along: a simpler model, or more rows where "
    "the number is large, may mend it; or the check allows too little",
    "case": "Look at the rows like it that the model learned from: there may be none",
}


class RuleResult(StrEnum):
    """What one rule says."""

    PASS = "pass"  # noqa: S105 (not a password)
    FAIL = "fail"
    OPEN = "open"
    """The rows are too few to tell."""
    UNVERIFIED = "unverified"
    """A slice, not required, with too few rows to verify it by."""


@dataclass(frozen=True)
class Verdict:
    """One rule's answer with its reason."""

    rule: str
    answer: RuleResult
    reason: str


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
    primary, leaks = _primary_facts(policy, evidence, challenger_is_simple), tuple(_leaks(evidence))
    behaved = (*_behaved(evidence), *_covered(evidence), *_labelled(policy, evidence))
    if not evidence.comparable:
        reason = f"{evidence.incumbent} can't be compared: {evidence.incomparable_because}."
        if evidence.remedy:
            reason += f" {evidence.remedy}"
        verdicts = (Verdict("comparable", RuleResult.FAIL, reason), *leaks, *behaved)
        return Judgement(Outcome.INCOMPARABLE, reason, verdicts, primary)
    verdicts = (*_verdicts(policy, evidence, challenger_is_simple=challenger_is_simple, left=left), *behaved)
    # What leaks makes every other measurement worthless, and is the reason to give; that nothing leaks is none.
    verdicts = (*_different(evidence), *verdicts)
    verdicts = verdicts + leaks if all(verdict.answer is RuleResult.PASS for verdict in leaks) else leaks + verdicts
    for answer, outcome in ((RuleResult.FAIL, Outcome.REJECT), (RuleResult.OPEN, Outcome.HOLD)):
        if deciding := [verdict for verdict in verdicts if verdict.answer is answer]:
            more = f" ({len(deciding) - 1} more of this kind)" if len(deciding) > 1 else ""
            return Judgement(outcome, f"{deciding[0].rule}: {deciding[0].reason}{more}", verdicts, primary)
    unverified = sum(verdict.answer is RuleResult.UNVERIFIED for verdict in verdicts)
    more = f" ({unverified} of the {len(verdicts)} rules have too few rows to be verified)" if unverified else ""
    if evidence.incumbent is None and challenger_is_simple:
        more += f"; {verdicts[1].rule}: {verdicts[1].reason}"
    return Judgement(Outcome.PROMOTE, f"{verdicts[0].rule}: {verdicts[0].reason}{more}", verdicts, primary)


def _verdicts(policy: Gate, evidence: Evidence, *, challenger_is_simple: bool, left: float) -> Iterator[Verdict]:
    rule, confidence = policy.primary, policy.primary.confidence
    if evidence.incumbent is not None:
        margin = rule.margin or 0.0
        name = f"{rule.metric} {'better than' if rule.rule == 'better' else 'not worse than'} the incumbent"
        gain = evidence.gain(rule.metric, "incumbent")
        strict = rule.rule == "better"
        if policy.lifetime is None:
            yield _bounded(name, gain, 0.0 - margin, confidence, strict=strict)
        else:
            yield _over_a_lifetime(name, gain, 0.0 - margin, policy, left, strict=strict)
    # The baseline that says most comes first: of a first version, its verdict is the reason that people read.
    baselines: tuple[Role, ...] = ("trivial", "simple") if challenger_is_simple else ("simple", "trivial")
    for baseline in baselines:
        name = f"{rule.metric} better than the {baseline} baseline"
        verdict = _bounded(name, evidence.gain(rule.metric, baseline), 0.0, confidence, strict=True)
        if baseline == "simple" and challenger_is_simple:
            worse = f"; it is worse: {verdict.reason}" if verdict.answer is RuleResult.FAIL else ""
            verdict = Verdict(name, RuleResult.PASS, f"{SAME_KIND}{worse}")
        yield verdict
    for require in policy.require:
        at_least = require.at_least is not None
        level = require.at_least if require.at_least is not None else require.at_most
        assert level is not None  # noqa: S101 (held by the configuration)
        measured = _measured(evidence, require.metric, "challenger")
        yield _level(require.metric, measured, level, evidence.holdout.rows, at_least=at_least)
    for wanted in policy.fairness:
        found = (one for one in evidence.fairness if (one.groups, one.measure, one.metric) == _asked(wanted))
        measured = next((one.scores.get("challenger") for one in found), None)
        at_least = wanted.at_least is not None
        level = wanted.at_least if wanted.at_least is not None else wanted.at_most
        assert level is not None  # noqa: S101 (held by the configuration)
        what = f"{wanted.metric} in the worst group" if wanted.metric else wanted.measure.replace("_", " ")
        yield _level(f"{what} by {wanted.groups}", measured, level, evidence.holdout.rows, at_least=at_least)
    if policy.model_size is not None:
        size, most = evidence.cost.model_bytes, policy.model_size.at_most
        fits = size <= most
        reason = f"{size:,} bytes, may have {most:,}"
        lesson = "" if fits else ". Fewer or smaller trees, fewer levels or columns, or less text make it smaller"
        yield Verdict("model size", RuleResult.PASS if fits else RuleResult.FAIL, f"{reason}{lesson}")
    if policy.overfitting is not None:
        yield _overfitted(policy.overfitting.metric or rule.metric, policy.overfitting.max_gap, evidence)
    if evidence.incumbent is not None:
        # A guard may reject with its share of the error that all of them may make together.
        surely = 1 - (1 - confidence) / max(1, len(policy.guards))
        for guard in policy.guards:
            yield from _guarded(guard, evidence, confidence, surely)
        if policy.churn is not None:
            share = next((churn.share for churn in evidence.churn if churn.slice is None), None)
            yield _level("prediction churn", share, policy.churn.at_most, evidence.holdout.rows, at_least=False)


def _overfitted(metric: str, most: float, evidence: Evidence) -> Verdict:
    """Ask whether the challenger is hardly better on rows that it learned from than on the holdout."""
    what = f"gap of {metric} between training rows and holdout"
    verdict = _level(what, evidence.gap(metric), most, evidence.holdout.rows, at_least=False)
    return replace(verdict, reason=f"{verdict.reason}. {_BY_HEART}") if verdict.answer is RuleResult.FAIL else verdict


def _different(evidence: Evidence) -> Iterator[Verdict]:
    """Hold where so few rows without an id are different that nothing can be resampled: the other reasons follow from it."""
    units = evidence.units
    if units.of == EQUAL_ROWS and units.count < LEAST_UNITS:
        facts = f"{units.count} of {evidence.holdout.rows:,}, where it takes {LEAST_UNITS}: equal rows are on one side, and count as one"
        yield Verdict("different rows in the holdout", RuleResult.OPEN, f"{facts}. {SAY_SEPARATE}")


def _labelled(policy: Gate, evidence: Evidence) -> Iterator[Verdict]:
    """Ask whether few enough rows of the holdout had no label, in all and in each level of a slice."""
    if policy.unlabelled is None:
        return
    most, least = policy.unlabelled.at_most, policy.unlabelled.min_support
    name = f"at most {most:.1%} of the holdout's rows without a label"
    if evidence.unlabelled is None:
        yield Verdict(name, RuleResult.OPEN, "they were not counted")
        return
    asked = [one for one in evidence.unlabelled if one.slice is None or one.rows >= least]
    over = sorted((one for one in asked if one.share > most), key=lambda one: (one.slice is not None, -one.share))
    if not over:
        worst = f"; at most {max(one.share for one in asked):.1%} of a part" if len(asked) > 1 else ""
        yield Verdict(name, RuleResult.PASS, f"{_left_out(asked[0])}{worst}")
        return
    more = f"; so it is in {len(over) - 1} more parts" if len(over) > 1 else ""
    reason = f"{_left_out(over[0])}{more}. {_UNLABELLED}"
    yield Verdict(name, RuleResult.OPEN, reason)


def _left_out(one: UnlabelledRows) -> str:
    where = "" if one.slice is None else f" where {one.slice[0]} is {one.slice[1]}"
    return f"{one.unlabelled:,} of {one.rows:,} rows{where} have none ({one.share:.1%})"


def _covered(evidence: Evidence) -> Iterator[Verdict]:
    """Ask for the share of the training window that `data.min_coverage` declares, whatever the policy."""
    found = evidence.coverage
    if found is None or found.least is None:
        return
    facts = f"{found.filled} of {found.partitions} partitions have rows ({found.share:.0%})"
    name = f"at least {found.least:.0%} of the training window has rows"
    if found.share >= found.least:
        yield Verdict(name, RuleResult.PASS, facts)
    else:
        yield Verdict(name, RuleResult.OPEN, f"{facts}. {_UNCOVERED}")


def _leaks(evidence: Evidence) -> Iterator[Verdict]:
    """Rule on the tripwires, whatever the policy: one that tripped rejects, one that could not be asked holds."""
    if evidence.tripwires is None:
        return  # evidence from before there were any: it is judged by what it has
    asked = [wire for wire in evidence.tripwires if wire.state != "not_asked"]
    for wire in asked:
        if wire.state != "clear":
            answer = RuleResult.FAIL if wire.state == "tripped" else RuleResult.OPEN
            yield Verdict(f"leak tripwire {wire.name}", answer, wire.reason)
    if all(wire.state == "clear" for wire in asked):
        yield Verdict("no leak", RuleResult.PASS, f"none of {len(asked)} tripwires tripped")


def _behaved(evidence: Evidence) -> Iterator[Verdict]:
    """Rule on declared behaviour, whatever the policy: what is broken rejects, what could not be asked holds."""
    answers = {"held": RuleResult.PASS, "broken": RuleResult.FAIL, "unknown": RuleResult.OPEN}
    for one in evidence.behaviours:
        lesson = f". {_BEHAVE[one.kind]}" if one.state == "broken" else ""
        yield Verdict(f"{one.kind} {one.name}", answers[one.state], f"{one.found}{lesson}")


def _asked(rule: FairnessRule) -> tuple[str, str, str | None]:
    return rule.groups, rule.measure, rule.metric


def _bounded(
    name: str, gain: Gain | None, least: float, confidence: float, *, strict: bool, surely: float | None = None
) -> Verdict:
    """Ask whether the gain is above ``least``: by its bounds, never by its point.

    ``surely`` is the confidence that it takes to say that it is not; if left out, the same.
    """
    if gain is None or gain.estimate is None:
        why = gain.undefined if gain is not None else "it was not measured"
        return Verdict(name, RuleResult.OPEN, f"no gain to judge by: {why}")
    low, high = gain.bound(confidence), gain.upper(confidence)
    if low is None or high is None:
        return Verdict(name, RuleResult.OPEN, f"the resamples can't speak of a confidence of {confidence:.4%}")
    facts = f"gain {gain.estimate:+.4f}, one-sided {confidence:.0%} bounds {low:+.4f} and {high:+.4f}, must be above {least:+.4f}"
    if low > least or (not strict and low == least):
        return Verdict(name, RuleResult.PASS, facts)
    # Of two identical models neither is worse: the bounds coincide at zero, and more rows would not tell them apart.
    if high < least and (surely is None or _upper(gain, surely) < least):
        return Verdict(name, RuleResult.FAIL, facts)
    return Verdict(
        name, RuleResult.OPEN, f"{facts}: not enough evidence yet; {_outlook(gain, least, low, high, confidence)}"
    )


def _over_a_lifetime(name: str, gain: Gain | None, least: float, policy: Gate, left: float, *, strict: bool) -> Verdict:
    """Ask whether the gain is above ``least`` as surely as all decisions of the model together want it."""
    assert policy.lifetime is not None  # noqa: S101 (held by the caller)
    rate, confidence = policy.lifetime.wrong_promotions, policy.primary.confidence
    level = level_of(left, confidence)
    verdict = _bounded(name, gain, least, confidence, strict=strict)
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


def _outlook(gain: Gain, least: float, low: float, high: float, confidence: float) -> str:
    """Say what gain these rows would have shown, and how many more would decide."""
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


def least_detectable(gain: Gain, least: float, confidence: float) -> float | None:
    """Return the gain that would be shown to be above ``least`` on such rows with a probability of `POWER`."""
    return None if gain.error is None else least + (probit(confidence) + probit(POWER)) * gain.error


def more_rows(estimate: float | None, level: float, low: float, high: float, rows: int) -> int | None:
    """Return about how many more rows would decide if the estimate stays; None if it is at the level itself.

    The bound that is on the wrong side of ``level`` comes nearer to the estimate as one over the root of the rows.

    Parameters
    ----------
    estimate : float or None
        The measured value.
    level : float
        The value that the rule asks for.
    low, high : float
        Confidence bounds of the estimate.
    rows : int
        Rows that it was measured on.
    """
    if estimate is None or estimate == level:
        return None
    times = ((estimate - (low if estimate > level else high)) / (estimate - level)) ** 2
    return None if times > MAX_ROWS_FACTOR else round(float(f"{max(0.0, times - 1) * rows:.2g}"))


def _upper(gain: Gain, confidence: float) -> float:
    """Return an upper bound; where the resamples don't reach, from the standard error."""
    assert gain.estimate is not None  # noqa: S101 (held by the caller)
    upper = gain.upper(confidence)
    return gain.estimate + probit(confidence) * (gain.error or 0.0) if upper is None else upper


def _level(what: str, measured: Measured | None, level: float, rows: int, *, at_least: bool) -> Verdict:
    """Ask whether a value is on the right side of ``level``, by its interval."""
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


def _guarded(guard: Guard, evidence: Evidence, confidence: float, surely: float) -> Iterator[Verdict]:
    if guard.slice is None:
        name, gain = f"{guard.metric} loses at most {guard.max_loss:g}", evidence.gain(guard.metric, "incumbent")
        yield _bounded(name, gain, -guard.max_loss, confidence, strict=False, surely=surely)
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
    verdict = _bounded(name, gain, -guard.max_loss, confidence, strict=False)
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
        return Verdict(name, RuleResult.OPEN, f"{facts}; {_outlook(gain, -guard.max_loss, low, high, confidence)}")
    if high < 0:
        return Verdict(name, RuleResult.OPEN, f"{facts}: it does lose, though these rows can't tell how much")
    if guard.max_loss == 0:
        return Verdict(name, unverified, f"{facts}: no number of rows verifies that nothing at all is lost")
    rows = round(float(f"{gain.support * (needed / guard.max_loss) ** 2:.2g}"))
    return Verdict(name, unverified, f"{facts}: {gain.support:,} rows, of about {rows:,} that it takes to verify")


def _primary_facts(policy: Gate, evidence: Evidence, challenger_is_simple: bool) -> dict[str, Any]:
    metric = policy.primary.metric
    # A gain over its own kind would say nothing: of such a first version it is that over the trivial baseline.
    baseline: Role = "trivial" if challenger_is_simple else "simple"
    against: Role = "incumbent" if evidence.incumbent is not None else baseline
    gain = evidence.gain(metric, against)
    least = 0.0 - (policy.primary.margin or 0.0) if against == "incumbent" else 0.0
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
        "least_detectable": least_detectable(gain, least, policy.primary.confidence) if gain else None,
    }


def _measured(evidence: Evidence, metric: str, role: Role) -> Measured | None:
    return evidence.scores.get(role, {}).get(metric)
