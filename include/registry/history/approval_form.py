"""The question that a person is asked about a challenger, with what was measured; Airflow's form shows it as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from include.config.model import ModelConfig
from include.evaluation.evidence import Evidence
from include.evaluation.gains import CHURN_UNITS, Gain, Measured
from include.evaluation.report.labels import metric_name
from include.registry.decisions import Comparison
from include.registry.gate.judgement import Judgement
from include.registry.gate.policy_rules import SAME_KIND
from include.storage.content import to_iso

_NONE = "\N{EN DASH}"

LEVELS = 8
"""How many levels of slices are named: those with the least gain."""


@dataclass(frozen=True)
class ApprovalForm:
    """What a person reads before they answer."""

    subject: str
    body: str


def approval_form(
    model: ModelConfig, comparison: Comparison, judgement: Judgement, *, at: str, card: str, stage: str | None = None
) -> ApprovalForm:
    """Put what was measured into a question.

    Parameters
    ----------
    at : str
        The path under which the pages are reached, such as ``/ratchet``.
    card : str
        The challenger's model card, below ``at``.
    stage : str, optional
        The stage that it would be in force in, if that is another one, whose own versions have no page here.
    """
    version, evidence = comparison.challenger, comparison.evidence
    wanted = {"PROMOTE": "would promote it", "HOLD": "holds it", "REJECT": "rejects it"}.get(
        judgement.outcome, "can't compare it"
    )
    there = f" in {stage}" if stage else ""
    subject = f"Put {version.id} of {model.declared_name} in force{there}? The gate {wanted}."
    page = f"{at}/models/{model.declared_name}"
    incumbent = comparison.incumbent
    links = [f"[Model card]({at}/{card})", f"[Its page]({page}/versions/{version.id})"]
    if incumbent is not None and stage is None:
        links.append(f"[The champion before it]({page}/versions/{incumbent.id})")
    until = f"Without an answer within {model.gate.approval.within}, the champion stays."
    parts = [
        f"**{judgement.outcome}**: {_plain(judgement.reason)}",
        " · ".join(links),
        *_rules(judgement),
        *_metrics(evidence),
        _picture(
            "Gains with their two-sided 95 % intervals", f"{at}/{model.name}/evidence/{comparison.digest}/gains.svg"
        ),
        *_levels(evidence),
        *_churn(evidence),
        *_curves(evidence, f"{at}/{model.name}/evidence/{comparison.digest}/curves.svg"),
        f"As of {to_iso(version.as_of)}, on {evidence.holdout.rows:,} rows. Your answer is bound to evidence "
        f"`{comparison.digest[:12]}` and to the incumbent `{incumbent.id if incumbent else 'none'}`: if another version "
        f"comes into force before it meanwhile, an approval is void. {until}",
    ]
    return ApprovalForm(subject, "\n\n".join(parts))


def _picture(what: str, address: str) -> str:
    # The form shows pictures small; a click shows them whole.
    return f"[![{what}]({address})]({address})"


def _curves(evidence: Evidence, address: str) -> Iterator[str]:
    if "challenger" in evidence.curves:  # a clustering has none
        yield _picture("Curves of challenger and champion", address)


def _rules(judgement: Judgement) -> Iterator[str]:
    open_or_failed = [verdict for verdict in judgement.verdicts if verdict.answer in ("open", "fail")]
    if open_or_failed:
        rows = [[verdict.answer, verdict.rule, verdict.reason] for verdict in open_or_failed[:LEVELS]]
        yield _table(["Answer", "Rule that does not pass", "Reason"], rows)


def _metrics(evidence: Evidence) -> Iterator[str]:
    against = evidence.opponent
    rows = []
    for metric in evidence.metrics:
        scores = (evidence.scores.get(role, {}).get(metric) for role in ("challenger", against))
        rows.append([metric_name(metric), *map(_value, scores), *_gain(evidence.gain(metric, against))])
    name = {"incumbent": "Champion", "simple": "Simple baseline", "trivial": "Trivial baseline"}[against]
    yield _table(["Metric", "Challenger", name, "Gain", "two-sided 95 % interval"], rows)
    if evidence.of_simple_kind:
        yield f"Better than the simple baseline: {SAME_KIND}."


def _levels(evidence: Evidence) -> Iterator[str]:
    primary = evidence.metrics[0]
    found = [
        gain
        for gain in evidence.gains
        if gain.metric == primary and gain.against == "incumbent" and gain.slice and gain.estimate is not None
    ]
    if found:
        found.sort(key=lambda gain: gain.estimate or 0.0)
        rows = [[f"{g.slice[0]}: {g.slice[1]}", f"{g.support:,}", *_gain(g)] for g in found[:LEVELS] if g.slice]
        yield f"**Where it gains least** ({metric_name(primary)}, of {len(found)} levels)"
        yield _table(["Level", "Rows", "Gain", "two-sided 95 % interval"], rows)


def _churn(evidence: Evidence) -> Iterator[str]:
    for churn in evidence.churn:
        if churn.slice is None and churn.share.value is not None:
            yield f"**Prediction churn**: {churn.share.value:.2%} {CHURN_UNITS[evidence.task]}, {_value(churn.share)}."


def _value(measured: Measured | None) -> str:
    if measured is None or measured.value is None:
        return _NONE
    bounds = "" if measured.low is None or measured.high is None else f" ({measured.low:.4f} to {measured.high:.4f})"
    return f"{measured.value:.4f}{bounds}"


def _gain(gain: Gain | None) -> list[str]:
    if gain is None or gain.estimate is None:
        return [_NONE, gain.undefined or _NONE if gain else _NONE]
    low, high = gain.bound(0.975), gain.upper(0.975)
    return [f"{gain.estimate:+.4f}", _NONE if low is None or high is None else f"{low:+.4f} to {high:+.4f}"]


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, with no address made a link; names of levels come from the rows."""
    escaped = re.sub(r"([\\`*_\[\]<>|#!~&@])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(:)(?=//)|(?<=www)(\.)", r"\\\g<0>", escaped, flags=re.IGNORECASE)
