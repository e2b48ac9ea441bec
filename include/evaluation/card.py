"""The model card: one page, without scripts or outside files, that tells a person what was found and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jinja2 import Environment

from include.data.lots import by_lot, said
from include.evaluation import plots
from include.evaluation.evidence import (
    Churn,
    Cluster,
    Coefficient,
    Dependence,
    Evidence,
    Fairness,
    Gain,
    LearningPoint,
    Measured,
    Role,
    SliceScores,
)
from include.evaluation.metrics import sign
from include.leaks.tripwire import QUESTIONS
from include.templates import templates_beside

Rule = tuple[str, str, str]

ROLES: dict[Role, str] = {
    "challenger": "Challenger",
    "unmitigated": "Without mitigation",
    "incumbent": "Incumbent",
    "simple": "Simple baseline",
    "trivial": "Trivial baseline",
}
NAMES = {
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "mape": "Mean absolute percentage error",
    "pinball": "Pinball loss",
    "cost": "Cost per row",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "f1": "F1",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "mse": "Mean squared error",
    "rmse": "Root mean squared error",
    "mae": "Mean absolute error",
    "r2": "R²",
    "davies_bouldin": "Davies-Bouldin index",
    "calinski_harabasz": "Calinski-Harabasz index",
}
SHOWN_LEVELS = 16


def render_card(
    evidence: Evidence,
    *,
    title: str,
    verdict: str,
    rules: Sequence[Rule],
    lineage: Mapping[str, object],
    outcome: str = "",
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

    Returns
    -------
    str
        An HTML document.
    """
    against: Role = "incumbent" if "incumbent" in evidence.scores else "simple"
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
            roles={role: name for role, name in ROLES.items() if role in evidence.scores},
            against=against,
            primary=evidence.metrics[0],
            primary_gain=evidence.gain(evidence.metrics[0], against),
            comparison=_comparison(evidence, against),
            gaps=_gaps(evidence),
            plots=tuple(plots_of(evidence)),
            slices=tuple(_slice(evidence, column, against) for column in _slice_columns(evidence)),
            importance=_importance(evidence),
            dependence=_dependence(evidence),
            weights=_weights(evidence),
            learning=_learning(evidence),
            timeline=_timeline(evidence),
            churn=_churn(evidence),
            clusters=_clusters(evidence),
            fairness=_fairness(evidence),
            closed_form=next((gain.delong for gain in evidence.gains if gain.delong and gain.against == against), None),
        )
    )


def _environment() -> Environment:
    environment = templates_beside(__file__)
    environment.filters |= {"metric": metric_name, "number": _number, "gain": _signed, "day": _day, "short": _short}
    environment.globals |= {"width": plots.WIDTH, "shown_levels": SHOWN_LEVELS, "greater_is_better": _greater_is_better}
    environment.globals |= {"units_of": _units_of, "between": _between, "tripwire_questions": QUESTIONS}
    return environment


def metric_name(metric: str) -> str:
    """Return how a person calls a metric."""
    return NAMES.get(metric) or metric.replace("_", " ").capitalize()


def _greater_is_better(metric: str) -> bool:
    return sign(metric) > 0


def _number(value: Any, digits: int = 4) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.{max(0, digits - 3)}f}"


def _signed(value: float) -> str:
    text = _number(abs(value))
    return text if float(text.replace(",", "")) == 0 else ("+" if value > 0 else "\N{MINUS SIGN}") + text


def _day(instant: str) -> str:
    when = datetime.fromisoformat(instant)
    clock = f"{when:, %H:%M} UTC" if when.time().replace(second=0, microsecond=0) != datetime.min.time() else ""
    return f"{when.day} {when:%B %Y}{clock}"


def _short(digest: str) -> str:
    return digest[:12]


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


def _units_of(unit: str) -> str:
    if unit == "row":
        return "rows"
    return f"blocks of {unit}" if unit.endswith(" of time") else f"clusters by {unit}"


def _churn(evidence: Evidence) -> tuple[Churn, ...]:
    """Return the churn of all rows, then that of the levels, the most changed first."""
    return tuple(sorted(evidence.churn, key=lambda one: (one.slice is not None, -(one.share.value or 0.0))))


def _fairness(evidence: Evidence) -> dict[str, tuple[Fairness, ...]]:
    """Return the measures of each slice of groups."""
    groups = dict.fromkeys(one.groups for one in evidence.fairness)
    return {name: tuple(one for one in evidence.fairness if one.groups == name) for name in groups}


def _clusters(evidence: Evidence) -> tuple[tuple[Cluster, plots.Bar], ...]:
    """Return all rows and the clusters, each with its share of the rows."""
    drawn = plots.bars([(one.rows / evidence.holdout.rows, 0.0) for one in evidence.clusters])
    return tuple(zip(evidence.clusters, drawn, strict=True))


def _importance(evidence: Evidence) -> tuple[tuple[str, float, float, plots.Bar], ...]:
    known = [(one.column, one.loss, one.spread or 0.0) for one in evidence.importance if one.loss is not None]
    bars = plots.bars([(loss, spread) for _, loss, spread in known])
    return tuple((column, loss, spread, bar) for (column, loss, spread), bar in zip(known, bars, strict=True))


@dataclass(frozen=True)
class Depends:
    """How the mean prediction depends on a column: drawn as a line over numbers, or as a bar for each level."""

    column: str
    of: str
    plot: plots.Plot | None
    levels: tuple[tuple[str, float, plots.Bar], ...]


def _dependence(evidence: Evidence) -> tuple[Depends, ...]:
    """Return the pictures of all columns on one scale, so that a flat line is one that hardly matters."""
    named = dict(enumerate(evidence.classes))
    told: list[tuple[Dependence, int, list[float]]] = []
    for one in evidence.dependence:
        # Of more than two classes the one whose probability moves most.
        spreads = [max(values) - min(values) for values in zip(*one.predicted, strict=True)]
        place = spreads.index(max(spreads))
        told.append((one, place, [values[place] for values in one.predicted]))
    every = [value for *_, values in told for value in values]
    found = []
    for number, (one, place, values) in enumerate(told):
        of = "prediction"
        if evidence.task == "classification":
            of = f"probability of {named[place if len(one.predicted[0]) > 1 else 1]}"
        plot: plots.Plot | None = None
        levels: tuple[tuple[str, float, plots.Bar], ...] = ()
        if one.numbers:
            points = [(x, y, y, y, f"{x:.4g}: {y:.4g}") for x, y in zip(one.numbers, values, strict=True)]
            plot = plots.course(
                f"dependence-{number}",
                one.column,
                f"Mean {of} when {one.column} has the same value in all rows.",
                (one.column, f"Mean {of}"),
                points,
                x_range=(one.numbers[0], one.numbers[-1]),
                y_range=(min(every), max(every)),
            )
        else:
            bars = plots.bars([(value, 0.0) for value in [*values, max(every)]])
            levels = tuple(zip(one.levels, values, bars, strict=False))
        found.append(Depends(one.column, of, plot, levels))
    return tuple(found)


_ADDED_UP = {
    "logistic_regression": "log-odds",
    "poisson": "logarithm of the prediction",
    "gamma": "logarithm of the prediction",
}


@dataclass(frozen=True)
class Weights:
    """The weights of a linear model: what they move, and each with what one standard deviation of its column moves it by."""

    moved: str
    rows: tuple[tuple[Coefficient, tuple[float, ...], plots.Bar], ...]


def _weights(evidence: Evidence) -> Weights | None:
    if evidence.linear is None:
        return None
    moved = "prediction" if evidence.task == "regression" else "decision score"
    moves = [tuple(weight * one.spread for weight in one.weights) for one in evidence.linear.largest]
    drawn = plots.bars([(max(of_classes, key=abs), 0.0) for of_classes in moves])
    rows = tuple(zip(evidence.linear.largest, moves, drawn, strict=True))
    return Weights(_ADDED_UP.get(evidence.subjects["challenger"].estimator, moved), rows)


def _learning(evidence: Evidence) -> tuple[plots.Plot, str] | None:
    """Return the learning curve and what it says."""
    known = [point for point in evidence.learning if point.score.value is not None]
    if len(known) < 2:
        return None
    metric, points = metric_name(evidence.metrics[0]), []
    for point in known:
        value = point.score.value or 0.0
        low, high = (value if end is None else end for end in (point.score.low, point.score.high))
        points.append((float(point.rows), value, low, high, f"{point.rows:,} rows: {metric} {_number(value)}"))
    ends = [end for point in points for end in point[2:4]]
    description = f"{metric} on the holdout of the same recipe with the same settings, fitted to a share of the training rows drawn at random; with 95 % intervals."
    plot = plots.course(
        "learning-curve",
        "Learning curve",
        description,
        ("Training rows", metric),
        points,
        x_range=(0.0, float(known[-1].rows)),
        y_range=(min(ends), max(ends)),
    )
    return plot, _what_more_rows_do(known, metric)


def _what_more_rows_do(points: Sequence[LearningPoint], metric: str) -> str:
    last, whole = points[-2], points[-1]
    gain = last.gain
    if gain is None or gain.value is None or gain.low is None or gain.high is None:
        return f"What more rows do can't be told: {gain.undefined if gain else 'nothing was measured'}."
    change = f"From {last.rows:,} to {whole.rows:,} rows {metric} gains {_signed(gain.value)} ({_signed(gain.low)} to {_signed(gain.high)})"
    if gain.low > 0:
        return f"{change}: more rows still help. A longer training window, or more of the same, is worth trying."
    if gain.high < 0:
        return f"{change}: more rows make it worse. The recipe may be too simple for them, or part of them misleads it."
    return f"{change}: that more rows of this kind help is not shown. Other columns or another recipe may help more."


def _between(after: str, until: str) -> str:
    """Return how a person would call a window: by its days, or by its share of a table without time."""
    lots = said(datetime.fromisoformat(after), datetime.fromisoformat(until))
    return lots or f"after {_day(after)} until {_day(until)}"


def _timeline(evidence: Evidence) -> plots.Timeline | None:
    if by_lot(datetime.fromisoformat(evidence.holdout.after)):
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
    curves = [(role, ROLES[role], evidence.curves[role]) for role in order if role in evidence.curves]
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
            "Ten groups of rows by predicted value, with 95 % intervals; a model that means what it says is on the diagonal.",
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
