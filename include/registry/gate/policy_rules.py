"""The rules of a policy in their order: primary metric, baselines, required levels, fairness, size, overfitting, guards, churn, canary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from include.config.sections.evaluation import FairnessRule, Gate
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Role
from include.registry.gate.answered_requests import canary_verdict
from include.registry.gate.bounds import gain_verdict, level_verdict, lifetime_verdict, measured_value
from include.registry.gate.guards import guard_verdicts
from include.registry.gate.verdicts import RuleResult, Verdict

SAME_KIND = "same kind as the baseline, not asked"


_OVERFITTING = (
    "It scores better on its training rows than on new rows: it overfits, or the data has changed since. Against overfitting: "
    "a smaller depth, larger leaves, more regularisation, fewer columns, or more rows. Against changed data: newer rows. "
    "Validation inside the training window shows overfitting alone"
)


def policy_verdicts(policy: Gate, evidence: Evidence, *, challenger_is_simple: bool, left: float) -> Iterator[Verdict]:
    """Yield the verdicts of a policy's rules, in the order in which a reader asks for them.

    Parameters
    ----------
    policy : Gate
    evidence : Evidence
    challenger_is_simple : bool
        Whether the challenger's estimator is that of the simple baseline.
    left : float
        With `gate.lifetime`: how many wrong promotions are left to risk.
    """
    rule, confidence = policy.primary, policy.primary.confidence
    if evidence.incumbent is not None:
        margin = rule.margin or 0.0
        name = f"{rule.metric} {'better than' if rule.rule == 'better' else 'not worse than'} the incumbent"
        gain = evidence.gain(rule.metric, "incumbent")
        strict = rule.rule == "better"
        if policy.lifetime is None:
            yield gain_verdict(name, gain, 0.0 - margin, confidence, strict=strict)
        else:
            yield lifetime_verdict(name, gain, 0.0 - margin, policy, left, strict=strict)
    # The most informative baseline comes first: for a first version, its verdict is the reason that is shown.
    baselines: tuple[Role, ...] = ("trivial", "simple") if challenger_is_simple else ("simple", "trivial")
    if "pooled" in evidence.scores:  # of a segment: why else should it have a model of its own?
        baselines = ("pooled", *baselines)
    for baseline in baselines:
        named = "model of all rows" if baseline == "pooled" else f"{baseline} baseline"
        name = f"{rule.metric} better than the {named}"
        verdict = gain_verdict(name, evidence.gain(rule.metric, baseline), 0.0, confidence, strict=True)
        if baseline == "simple" and challenger_is_simple:
            worse = f"; it is worse: {verdict.reason}" if verdict.answer is RuleResult.FAIL else ""
            verdict = Verdict(name, RuleResult.PASS, f"{SAME_KIND}{worse}")
        yield verdict
    for require in policy.require:
        at_least = require.at_least is not None
        level = require.at_least if require.at_least is not None else require.at_most
        assert level is not None  # noqa: S101 (held by the configuration)
        measured = measured_value(evidence, require.metric, "challenger")
        yield level_verdict(require.metric, measured, level, evidence.holdout.rows, at_least=at_least)
    for wanted in policy.fairness:
        found = (one for one in evidence.fairness if (one.groups, one.measure, one.metric) == _asked(wanted))
        measured = next((one.scores.get("challenger") for one in found), None)
        at_least = wanted.at_least is not None
        level = wanted.at_least if wanted.at_least is not None else wanted.at_most
        assert level is not None  # noqa: S101 (held by the configuration)
        what = f"{wanted.metric} in the worst group" if wanted.metric else wanted.measure.replace("_", " ")
        yield level_verdict(f"{what} by {wanted.groups}", measured, level, evidence.holdout.rows, at_least=at_least)
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
            yield from guard_verdicts(guard, evidence, confidence, surely)
        if policy.churn is not None:
            share = next((churn.share for churn in evidence.churn if churn.slice is None), None)
            yield level_verdict("prediction churn", share, policy.churn.at_most, evidence.holdout.rows, at_least=False)
        if policy.canary is not None:
            yield canary_verdict(policy.canary, policy.canary.metric or rule.metric, evidence.canary)


def _overfitted(metric: str, most: float, evidence: Evidence) -> Verdict:
    """Check that the challenger is not much better on its training rows than on the holdout."""
    what = f"gap of {metric} between training rows and holdout"
    verdict = level_verdict(what, evidence.gap(metric), most, evidence.holdout.rows, at_least=False)
    return (
        replace(verdict, reason=f"{verdict.reason}. {_OVERFITTING}") if verdict.answer is RuleResult.FAIL else verdict
    )


def _asked(rule: FairnessRule) -> tuple[str, str, str | None]:
    return rule.groups, rule.measure, rule.metric
