"""The model card: one page, without scripts or outside files, that tells a person what was found and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from jinja2 import Environment

from include.data.random_split import is_random_split
from include.evaluation.evidence import Evidence, UnlabelledRows
from include.evaluation.explanations import Cluster
from include.evaluation.gains import Fairness, Gain, Measured, PredictionChurn, Role, SliceScores
from include.evaluation.report import explanation_panels, plots
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

    Returns
    -------
    str
        An HTML document.
    """
    against = evidence.opponent
    return (
        _environment()
        .get_template("card.html")
        .render(
            evidence=evidence,
            title=title,
            verdict=verdict,
            outcome=outcome.lower(),
            rules=rules,
            lineage=lineage,
            failed=failed,
            about={ABOUT_LABELS[name]: text for name, text in about.items()},
            roles={role: name for role, name in ROLE_LABELS.items() if role in evidence.scores},
            against=against,
            primary=evidence.metrics[0],
            primary_gain=evidence.gain(evidence.metrics[0], against),
            comparison=_comparison(evidence, against),
            gaps=_gaps(evidence),
            plots=tuple(plots_of(evidence)),
            slices=tuple(_slice(evidence, column, against) for column in _slice_columns(evidence)),
            importance=explanation_panels.importance(evidence),
            dependence=explanation_panels.dependence(evidence),
            weights=explanation_panels.weights(evidence),
            learning=explanation_panels.learning(evidence),
            timeline=_timeline(evidence),
            churn=_churn(evidence),
            clusters=_clusters(evidence),
            fairness=_fairness(evidence),
            unlabelled=_unlabelled(evidence),
            closed_form=next((gain.delong for gain in evidence.gains if gain.delong and gain.against == against), None),
        )
    )


def _environment() -> Environment:
    environment = templates_beside(__file__)
    environment.filters |= {
        "metric": metric_name,
        "number": format_number,
        "gain": format_signed,
        "day": format_instant,
        "short": short_digest,
    }
    environment.globals |= {"width": plots.WIDTH, "shown_levels": SHOWN_LEVELS, "greater_is_better": greater_is_better}
    environment.globals |= {"units_of": units_of, "between": format_window, "tripwire_questions": QUESTIONS}
    return environment


@dataclass(frozen=True)
class Row:
    """One line of a table of gains: its name, the scores of each role, and the gain drawn on the table's scale."""

    name: str
    support: int
    positives: int | None
    scores: Mapping[Role, Measured]
    gain: Gain | None
    interval: plots.Interval | None


@dataclass(frozen=True)
class Table:
    """Lines that share one scale."""

    heading: str
    rows: tuple[Row, ...]
    forest: plots.Forest


def _interval(gain: Gain | None) -> tuple[float, float, float] | None:
    if gain is None or gain.estimate is None:
        return None
    low, high = gain.bound(0.975), gain.upper(0.975)
    return None if low is None or high is None else (low, gain.estimate, high)


def _table(heading: str, rows: Sequence[tuple[str, int, int | None, Mapping[Role, Measured], Gain | None]]) -> Table:
    intervals = [_interval(gain) for *_, gain in rows]
    forest = plots.Forest.of([interval for interval in intervals if interval is not None])
    drawn = (
        Row(*row, None if interval is None else forest.interval(*interval))
        for row, interval in zip(rows, intervals, strict=True)
    )
    return Table(heading, tuple(drawn), forest)


def _comparison(evidence: Evidence, against: Role) -> Table:
    rows = []
    for metric in evidence.metrics:
        scores = {role: of_role[metric] for role, of_role in evidence.scores.items()}
        rows.append((metric, evidence.holdout.rows, None, scores, evidence.gain(metric, against)))
    return _table("All rows", rows)


@dataclass(frozen=True)
class Gap:
    """One metric on training rows and on the holdout, and how far it is better on training rows."""

    metric: str
    train: Measured
    held: Measured
    gap: Measured
    interval: plots.Interval | None


def _gaps(evidence: Evidence) -> tuple[plots.Forest, tuple[Gap, ...]] | None:
    if evidence.train is None:
        return None
    held, found = evidence.scores["challenger"], {}
    for metric in evidence.metrics:
        if (gap := evidence.gap(metric)) is not None:
            found[metric] = (evidence.train.scores[metric], held[metric], gap)
    ends = {metric: (gap.low, gap.value, gap.high) for metric, (*_, gap) in found.items()}
    known = {
        m: (low, at, high)
        for m, (low, at, high) in ends.items()
        if low is not None and at is not None and high is not None
    }
    forest = plots.Forest.of(list(known.values()))

    def drawn(metric: str) -> plots.Interval | None:
        if metric not in known:
            return None
        placed = forest.interval(*known[metric])
        # A gap is no verdict: only the gate's rule says how large it may be.
        return replace(placed, style="unclear" if placed.style == "unclear" else "challenger")

    return forest, tuple(Gap(metric, *three, drawn(metric)) for metric, three in found.items())


def _slice_columns(evidence: Evidence) -> list[str]:
    return list(dict.fromkeys(scores.column for scores in evidence.slice_scores))


def _slice(evidence: Evidence, column: str, against: Role) -> Table:
    """Return the levels of a column, the largest first."""
    metric = evidence.metrics[0]
    levels: list[SliceScores] = [scores for scores in evidence.slice_scores if scores.column == column]
    rows = []
    for scores in sorted(levels, key=lambda one: -one.support):
        of_metric = {role: of_role[metric] for role, of_role in scores.scores.items()}
        gain = evidence.gain(metric, against, (column, scores.level))
        rows.append((scores.level, scores.support, scores.positives, of_metric, gain))
    return _table(column, rows)


def _churn(evidence: Evidence) -> tuple[PredictionChurn, ...]:
    """Return the churn of all rows, then that of the levels, the most changed first."""
    return tuple(sorted(evidence.churn, key=lambda one: (one.slice is not None, -(one.share.value or 0.0))))


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


def _clusters(evidence: Evidence) -> tuple[tuple[Cluster, plots.Bar], ...]:
    """Return all rows and the clusters, each with its share of the rows."""
    drawn = plots.bars([(one.rows / evidence.holdout.rows, 0.0) for one in evidence.clusters])
    return tuple(zip(evidence.clusters, drawn, strict=True))


def _timeline(evidence: Evidence) -> plots.Timeline | None:
    if is_random_split(datetime.fromisoformat(evidence.holdout.after)):
        return None
    challenger = evidence.subjects["challenger"]
    rows = [("challenger", "Challenger learned", challenger.train_after, challenger.train_until)]
    if incumbent := evidence.subjects.get("incumbent"):
        rows.append(("incumbent", "Incumbent learned", incumbent.train_after, incumbent.train_until))
    rows.append(("holdout", "All were judged", evidence.holdout.after, evidence.holdout.until))
    return plots.timeline(rows)


def plots_of(evidence: Evidence) -> list[plots.Plot]:
    """Return the plots that tell most of a task: curves, calibration, errors."""
    order: tuple[Role, ...] = ("simple", "incumbent", "challenger")  # the challenger is drawn last, on top
    curves = [(role, ROLE_LABELS[role], evidence.curves[role]) for role in order if role in evidence.curves]
    if "challenger" not in evidence.curves:
        return []
    ours = evidence.curves["challenger"]
    found = []
    if ours.roc:
        share = (evidence.holdout.positives or 0) / evidence.holdout.rows
        found.append(
            plots.lines(
                "roc",
                "ROC curve",
                "True positive rate against false positive rate at every threshold; the diagonal is guessing.",
                ("False positive rate", "True positive rate"),
                [(role, name, curve.roc) for role, name, curve in curves],
                diagonal=True,
            )
        )
        found.append(
            plots.lines(
                "precision-recall",
                "Precision and recall",
                f"Precision against recall at every threshold; guessing would be at {share:.2f}, the share of positives.",
                ("Recall", "Precision"),
                [(role, name, curve.precision_recall) for role, name, curve in curves],
                level=share,
            )
        )
    compared = [(role, name, curve.calibration) for role, name, curve in curves if role != "simple"]
    axes = ("Mean prediction", "Mean target")
    if evidence.task == "classification":
        axes = ("Predicted probability", "Share of positives")
    if ours.matrix:
        axes = ("Probability of the likeliest class", "Share that is of it")
    found.append(
        plots.calibration(
            "calibration",
            "Calibration",
            "Ten groups of rows by predicted value, with two-sided 95 % intervals; a model that means what it says is on the diagonal.",
            axes,
            compared,
        )
    )
    if ours.residuals:
        found.append(
            plots.histogram(
                "residuals",
                "Errors of the challenger",
                "How many rows were predicted too low (left) and too high (right).",
                ("Prediction minus target", "Rows"),
                ours.residuals,
            )
        )
    return found
