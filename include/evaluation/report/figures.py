"""Standalone SVG figures of evidence, for pages that only take images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain
from include.evaluation.report.forest import WIDTH, Forest, Interval
from include.evaluation.report.labels import ROLE_LABELS, metric_name
from include.evaluation.report.model_plots import plots_of
from include.evaluation.report.score_tables import levels_of, slice_columns
from include.templates import templates_beside

MAX_LEVELS_DRAWN = 12
"""How many levels of one slice are drawn: those with most rows."""


@dataclass(frozen=True)
class FigureGroup:
    """Gains on one scale: each with its name, its numbers and how it is drawn."""

    heading: str
    forest: Forest
    lines: tuple[tuple[str, str, Interval | None], ...]


def draw_gains(evidence: Evidence) -> str:
    """Draw each metric's gain, then the primary metric's by slice, with two-sided 95 % intervals."""
    return _environment().get_template("gains.svg").render(groups=tuple(_groups(evidence)))


def draw_curves(evidence: Evidence) -> str:
    """Draw the curves of the model card side by side."""
    shown = {role: name for role, name in ROLE_LABELS.items() if role in evidence.curves}
    return _environment().get_template("curves.svg").render(plots=plots_of(evidence), roles=shown)


FIGURES = {"gains": draw_gains, "curves": draw_curves}


def _groups(evidence: Evidence) -> Iterator[FigureGroup]:
    against = evidence.opponent
    gains = {metric_name(metric): evidence.gain(metric, against) for metric in evidence.metrics}
    yield _group(f"Gain over {ROLE_LABELS[against].lower()}", gains)
    primary = evidence.metrics[0]
    for column in slice_columns(evidence):
        levels = levels_of(evidence, column)[:MAX_LEVELS_DRAWN]
        gains = {level.level: evidence.gain(primary, against, (column, level.level)) for level in levels}
        yield _group(f"{metric_name(primary)} by {column}", gains)


def _group(heading: str, gains: dict[str, Gain | None]) -> FigureGroup:
    ends = {name: None if gain is None else gain.interval for name, gain in gains.items()}
    forest = Forest.of([end for end in ends.values() if end is not None])
    lines = tuple(
        (name, "not measured", None)
        if end is None
        else (name, f"{end[1]:+.4f}  ({end[0]:+.4f} to {end[2]:+.4f})", forest.interval(*end))
        for name, end in ends.items()
    )
    return FigureGroup(heading, forest, lines)


@cache
def _environment() -> Environment:
    environment = templates_beside(__file__)
    environment.globals["width"] = WIDTH
    return environment
