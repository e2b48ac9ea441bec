"""The canary rule: metrics of the challenger's answers to requests, compared with the champion's answers."""

from __future__ import annotations

from math import ceil

from include.config.sections.evaluation import Canary
from include.evaluation.gains import CanaryAnswers
from include.registry.gate.verdicts import RuleResult, Verdict

_WAIT = "`serving.challenger` gives a held version its share of requests; reconsider it when their labels are known"


def canary_verdict(rule: Canary, metric: str, answers: CanaryAnswers | None) -> Verdict:
    """Return whether the challenger's answers are not worse than the incumbent's by more than the rule accepts.

    Parameters
    ----------
    rule : Canary
    metric : str
        Name of the metric.
    answers : CanaryAnswers or None
        None if it answered nothing.
    """
    name = f"{metric} of answered requests at most {rule.max_loss:g} worse than the incumbent's"
    rows = 0 if answers is None else answers.rows["challenger"]
    if answers is None or rows < rule.min_rows:
        return Verdict(name, RuleResult.OPEN, f"it answered {rows:,} labelled rows, of {rule.min_rows:,}. {_WAIT}")
    gain = answers.gain
    by = f"{answers.entities['challenger']:,} and {answers.entities['incumbent']:,} values of {answers.by}"
    if gain.value is None or gain.low is None or gain.high is None:
        return Verdict(name, RuleResult.OPEN, f"no gain to judge by: {gain.undefined} ({by})")
    facts = f"gain {gain.value:+.4f}, 95% interval {gain.low:+.4f} to {gain.high:+.4f}, on {by}"
    if gain.low > -rule.max_loss:
        return Verdict(name, RuleResult.PASS, facts)
    if gain.high < -rule.max_loss:
        return Verdict(name, RuleResult.FAIL, facts)
    return Verdict(name, RuleResult.OPEN, f"{facts}: not enough evidence yet. {_WAIT}")


def requests_wanted(rule: Canary, answers: CanaryAnswers | None) -> int | None:
    """Return about how many more rows must be requested, for all entities, until the challenger has answered enough.

    Returns
    -------
    int or None
        Zero if it has; None while nothing was answered, as the share of requests is not known.
    """
    if answers is None:
        return None
    return ceil(max(0, rule.min_rows - answers.rows["challenger"]) / answers.share)
