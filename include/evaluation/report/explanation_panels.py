"""Panels of the model card that explain a model: importance, effects of columns, and the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.evaluation.evidence import Evidence
from include.evaluation.explanation.results import Coefficient, Dependence, LearningPoint
from include.evaluation.report import plots
from include.evaluation.report.forest import Bar, bars
from include.evaluation.report.labels import format_number, format_signed, metric_name


def importance(evidence: Evidence) -> tuple[tuple[str, float, float, Bar], ...]:
    """Return each column, what is lost without it, the spread of that, and its bar."""
    known = [(one.column, one.loss, one.spread or 0.0) for one in evidence.importance if one.loss is not None]
    drawn = bars([(loss, spread) for _, loss, spread in known])
    return tuple((column, loss, spread, bar) for (column, loss, spread), bar in zip(known, drawn, strict=True))


@dataclass(frozen=True)
class DependencePanel:
    """How the mean prediction depends on a column: drawn as a line over numbers, or as a bar for each level."""

    column: str
    of: str
    plot: plots.Plot | None
    levels: tuple[tuple[str, float, Bar], ...]


def dependence(evidence: Evidence) -> tuple[DependencePanel, ...]:
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
    for place_on_page, (one, place, values) in enumerate(told):
        of = "prediction"
        if evidence.task == "classification":
            of = f"probability of {named[place if len(one.predicted[0]) > 1 else 1]}"
        plot: plots.Plot | None = None
        levels: tuple[tuple[str, float, Bar], ...] = ()
        if one.numbers:
            points = [(x, y, y, y, f"{x:.4g}: {y:.4g}") for x, y in zip(one.numbers, values, strict=True)]
            plot = plots.course(
                f"dependence-{place_on_page}",
                one.column,
                f"Mean {of} when {one.column} has the same value in all rows.",
                (one.column, f"Mean {of}"),
                points,
                x_range=(one.numbers[0], one.numbers[-1]),
                y_range=(min(every), max(every)),
            )
        else:
            drawn = bars([(value, 0.0) for value in [*values, max(every)]])
            levels = tuple(zip(one.levels, values, drawn, strict=False))
        found.append(DependencePanel(one.column, of, plot, levels))
    return tuple(found)


_ADDED_UP = {
    "logistic_regression": "log-odds",
    "poisson": "logarithm of the prediction",
    "gamma": "logarithm of the prediction",
}


@dataclass(frozen=True)
class CoefficientPanel:
    """The weights of a linear model: what they move, and each with what one standard deviation of its column moves it by."""

    moved: str
    rows: tuple[tuple[Coefficient, tuple[float, ...], Bar], ...]


def weights(evidence: Evidence) -> CoefficientPanel | None:
    """Return the largest weights of a linear model; None of any other."""
    if evidence.linear is None:
        return None
    moved = "prediction" if evidence.task == "regression" else "decision score"
    moves = [tuple(weight * one.spread for weight in one.weights) for one in evidence.linear.largest]
    drawn = bars([(max(of_classes, key=abs), 0.0) for of_classes in moves])
    rows = tuple(zip(evidence.linear.largest, moves, drawn, strict=True))
    return CoefficientPanel(_ADDED_UP.get(evidence.subjects["challenger"].estimator, moved), rows)


def learning(evidence: Evidence) -> tuple[plots.Plot, str] | None:
    """Return the learning curve and its interpretation."""
    known = [point for point in evidence.learning if point.score.value is not None]
    if len(known) < 2:
        return None
    metric, points = metric_name(evidence.metrics[0]), []
    for point in known:
        value = point.score.value or 0.0
        low, high = (value if end is None else end for end in (point.score.low, point.score.high))
        points.append((float(point.rows), value, low, high, f"{point.rows:,} rows: {metric} {format_number(value)}"))
    ends = [end for point in points for end in point[2:4]]
    description = f"{metric} on the holdout of the same recipe with the same settings, fitted to a share of the training rows drawn at random; with two-sided 95 % intervals."
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
    change = f"From {last.rows:,} to {whole.rows:,} rows {metric} gains {format_signed(gain.value)} ({format_signed(gain.low)} to {format_signed(gain.high)})"
    if gain.low > 0:
        return f"{change}: more rows still help. A longer training window, or more of the same, is worth trying."
    if gain.high < 0:
        return f"{change}: more rows make it worse. The recipe may be too simple for them, or part of them misleads it."
    return f"{change}: that more rows of this kind help is not shown. Other columns or another recipe may help more."
