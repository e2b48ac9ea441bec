"""Drift of columns, ranked by its effect on the model, and the rows whose predictions moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from include.monitoring.drift.effect_sizes import Counts, Effect, effect_of, effect_of_sketches
from include.monitoring.drift.periods import Period, Reference
from include.monitoring.sketches.layouts import ColumnLayout
from include.monitoring.sketches.sketches import ColumnSketch

_LEAST_ROWS = 100
"""A level with fewer rows, before or now, is left out: it always differs."""


def effect_in(
    reference: Reference, name: str, before: Sequence[tuple[Period, float]], current: Sequence[Period]
) -> Effect:
    """Return what changed in a column, from some periods, each with a weight, to others.

    Parameters
    ----------
    reference : Reference
        Gives the column's bins.
    name : str
        Name of the column.
    before : sequence of (Period, float)
        Periods to compare with, each with its weight.
    current : sequence of Period
        Periods to compare.
    """
    bins = reference.bins[name]
    weighted = sum(np.array(one.counts[name]) * weight for one, weight in before)
    added = np.sum([one.counts[name] for one in current], axis=0)
    parts = [Counts(np.asarray(one[:-2]), float(one[-2]), float(one[-1])) for one in (weighted, added)]  # type: ignore[index]
    return effect_of(parts[0], parts[1], bins.positions)


@dataclass(frozen=True)
class Moved:
    """A column that changed, and how much that matters.

    ``matters`` is its share of the total variation times its share of the importance; columns without importance count by the least.
    """

    column: str
    effect: Effect
    importance: float | None
    matters: float


def rank(effects: Mapping[str, Effect], importance: Mapping[str, float | None]) -> tuple[Moved, ...]:
    """Return the columns, ordered by the effect of their change on the model: drift times importance.

    Parameters
    ----------
    effects : mapping of column to Effect
    importance : mapping of column to float or None
        From the champion's evidence; what the metric loses when a column is shuffled. Losses below zero are noise around it.
    """
    known = {name: max(loss, 0.0) for name, loss in importance.items() if loss is not None}
    total = sum(known.values()) or 1.0
    least = min((loss for loss in known.values() if loss > 0), default=1.0)
    found = [
        Moved(name, effect, known.get(name), effect.total_variation * known.get(name, least) / total)
        for name, effect in effects.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.matters, -one.effect.total_variation, one.column)))


@dataclass(frozen=True)
class MovedSlice:
    """How predictions changed in one level of a slice; ``rows`` and ``mean`` are of now."""

    slice: str
    level: str
    rows: int
    effect: Effect
    mean_before: float | None
    mean: float | None


def moved_slices(
    layout: ColumnLayout,
    before: Mapping[tuple[str, str], ColumnSketch],
    now: Mapping[tuple[str, str], ColumnSketch],
) -> tuple[MovedSlice, ...]:
    """Return the slices' levels, those first where most predictions moved: rows times total variation.

    Parameters
    ----------
    layout : ColumnLayout
        Of the predictions.
    before, now : mapping of (slice, level) to ColumnSketch
        Predictions in each level.
    """
    found = [
        MovedSlice(
            *key,
            rows=one.rows,
            effect=effect_of_sketches(before[key], one, layout),
            mean_before=before[key].mean(layout),
            mean=one.mean(layout),
        )
        for key, one in now.items()
        if key in before and min(one.rows, before[key].rows) >= _LEAST_ROWS
    ]
    return tuple(sorted(found, key=lambda one: (-one.rows * one.effect.total_variation, one.slice, one.level)))
