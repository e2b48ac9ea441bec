"""The model card: one self-contained page without scripts, with the evidence and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from jinja2 import Template

from include.data.random_split import is_random_split
from include.evaluation.evidence import Evidence, UnlabelledRows
from include.evaluation.explanation.results import Cluster
from include.evaluation.gains import Fairness
from include.evaluation.report import explanation_panels
from include.evaluation.report.forest import WIDTH, Bar, bars
from include.evaluation.report.labels import (
    ROLE_LABELS,
    format_instant,
    format_number,
    format_signed,
    format_window,
    greater_is_better,
    metric_name,
    short_digest,
    units_of,
)
from include.evaluation.report.model_plots import plots_of
from include.evaluation.report.score_tables import churn_by_level, comparison_table, gaps_of, slice_columns, slice_table
from include.evaluation.report.timelines import Timeline, timeline
from include.leakage.tripwire import QUESTIONS
from include.templates import templates_beside

Rule = tuple[str, str, str]

SHOWN_LEVELS = 16

ABOUT_LABELS = {
    "origin": "Origin of the data",
    "collection": "How they were collected",
    "consent": "On which ground they are used",
    "gaps": "Known gaps",
    "intended_use": "Intended use",
    "out_of_scope": "Out of scope",
    "ethics": "Ethical considerations",
}


def render_card(
    evidence: Evidence,
    *,
    title: str,
    verdict: str,
    rules: Sequence[Rule],
    lineage: Mapping[str, object],
    outcome: str = "",
    failed: Mapping[str, str] = MappingProxyType({}),
    about: Mapping[str, Any] = MappingProxyType({}),
    retracted: str = "",
) -> str:
    """Render a card; the same arguments give the same text.

    Parameters
    ----------
    evidence : Evidence
    title : str
        The model's question or name.
    verdict : str
        One sentence that says what was decided and why.
    rules : sequence of (name, answer, reason)
        The gate's rules; the answer is ``pass``, ``fail``, ``open`` or ``unverified``.
    lineage : dict
        What the version was made from, by name; a value may be a dict of its own.
    outcome : str
        The word of the decision, such as ``PROMOTE``; shown beside the verdict.
    failed : dict, optional
        Why other candidates could not be fitted, by name.
    about : dict, optional
        What the team says about data and use, by field: a sentence, or a list of them.
    retracted : str
        What was taken back since of the rows that the version was trained or judged on, for a card that is drawn later.

    Returns
    -------
    str
        An HTML document.
    """
    against = evidence.opponent
    return template().render(
        evidence=evidence,
        title=title,
        verdict=verdict,
        outcome=outcome.lower(),
        rules=rules,
        lineage=lineage,
        failed=failed,
        retracted=retracted,
        about={ABOUT_LABELS[name]: text for name, text in about.items()},
        roles={role: name for role, name in ROLE_LABELS.items() if role in evidence.scores},
        against=against,
        primary=evidence.metrics[0],
        primary_gain=evidence.gain(evidence.metrics[0], against),
        comparison=comparison_table(evidence, against),
        gaps=gaps_of(evidence),
        plots=tuple(plots_of(evidence)),
        slices=tuple(slice_table(evidence, column, against) for column in slice_columns(evidence)),
        importance=explanation_panels.importance(evidence),
        dependence=explanation_panels.dependence(evidence),
        weights=explanation_panels.weights(evidence),
        learning=explanation_panels.learning(evidence),
        timeline=_timeline(evidence),
        churn=churn_by_level(evidence),
        clusters=_clusters(evidence),
        fairness=_fairness(evidence),
        unlabelled=_unlabelled(evidence),
        closed_form=next((gain.delong for gain in evidence.gains if gain.delong and gain.against == against), None),
    )


@cache
def template() -> Template:
    """Return the card's template with all of its parts compiled, which takes ten times as long as to draw one."""
    environment = templates_beside(__file__)
    environment.filters |= {
        "metric": metric_name,
        "number": format_number,
        "gain": format_signed,
        "day": format_instant,
        "short": short_digest,
    }
    environment.globals |= {"width": WIDTH, "shown_levels": SHOWN_LEVELS, "greater_is_better": greater_is_better}
    environment.globals |= {"units_of": units_of, "between": format_window, "tripwire_questions": QUESTIONS}
    parts = environment.list_templates(["html", "css"])
    return {name: environment.get_template(name) for name in parts}["card.html"]


def _unlabelled(evidence: Evidence) -> tuple[UnlabelledRows, ...]:
    """Return all rows, then the parts that miss most labels; nothing if no label is missing."""
    counted = evidence.unlabelled or ()
    if not counted or not counted[0].unlabelled:
        return ()
    parts = sorted(counted[1:], key=lambda one: (-one.share, -one.rows))
    return (counted[0], *parts[:SHOWN_LEVELS])


def _fairness(evidence: Evidence) -> dict[str, tuple[Fairness, ...]]:
    """Return the measures of each slice of groups."""
    groups = dict.fromkeys(one.groups for one in evidence.fairness)
    return {name: tuple(one for one in evidence.fairness if one.groups == name) for name in groups}


def _clusters(evidence: Evidence) -> tuple[tuple[Cluster, Bar], ...]:
    """Return all rows and the clusters, each with its share of the rows."""
    drawn = bars([(one.rows / evidence.holdout.rows, 0.0) for one in evidence.clusters])
    return tuple(zip(evidence.clusters, drawn, strict=True))


def _timeline(evidence: Evidence) -> Timeline | None:
    if is_random_split(datetime.fromisoformat(evidence.holdout.after)):
        return None
    challenger = evidence.subjects["challenger"]
    rows = [("challenger", "Challenger learned", challenger.train_after, challenger.train_until)]
    if incumbent := evidence.subjects.get("incumbent"):
        rows.append(("incumbent", "Incumbent learned", incumbent.train_after, incumbent.train_until))
    rows.append(("holdout", "All were judged", evidence.holdout.after, evidence.holdout.until))
    return timeline(rows)
