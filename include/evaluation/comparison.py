"""Models side by side on identical rows: metrics with intervals, gains with their distribution, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.gains import Family, Gain, Measured, PredictionChurn, Role, SliceScores
from include.evaluation.metrics.metric_values import share_of, terms_by_role, values_of
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import Resampling, effective_units
from include.evaluation.uncertainty.delong import delong_interval
from include.evaluation.uncertainty.intervals import gain_of_draws, interval_of, rounded
from include.evaluation.uncertainty.max_t import critical_values
from include.training.metrics.definitions import sign
from include.training.metrics.multiclass import classes_in, definition

Array = NDArray[Any]
Scores = dict[Role, dict[str, Measured]]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    scores: Scores
    gains: tuple[Gain, ...]
    slice_scores: tuple[SliceScores, ...]
    families: tuple[Family, ...]
    churn: tuple[PredictionChurn, ...]


@dataclass(frozen=True)
class _Part:
    """Some rows, measured; ``deviations`` are the resampled gains over the incumbent, in standard errors."""

    scores: Scores
    gains: list[Gain]
    churn: list[PredictionChurn]
    deviations: dict[str, Array]
    effective: dict[str, float]
    """By metric: how many units of equal weight tell the spread of the gain over the incumbent."""


def compare(
    target: Array,
    models: Mapping[Role, Scored],
    metrics: tuple[str, ...],
    slices: Mapping[str, SliceLevels],
    resampling: Resampling,
    *,
    positives: bool,
) -> Comparison:
    """Measure every model, and the challenger's gain over each other one, on all rows and on each level of the slices.

    Parameters
    ----------
    target : array of shape (n_rows,)
    models : dict of role to Scored
        Must hold the challenger. On slices gains are against the incumbent, or where there is none the baselines.
    metrics : tuple of str
    slices : dict of column to SliceLevels
    resampling : Resampling
        The same weights serve every model, metric and slice, so that all gains are paired.
    positives : bool
        Whether the target is 0 or 1, so that its ones are counted.
    """
    changed = _changed(target, models)
    whole = _on_rows(target, models, changed, metrics, None, None, resampling)
    gains, churn = whole.gains, whole.churn
    slice_scores: list[SliceScores] = []
    families: list[Family] = []
    shown = dict(models) if changed is None else {role: models[role] for role in ("challenger", "incumbent")}
    for column, levels in slices.items():
        order = np.argsort(levels.codes, kind="stable")
        counts = np.bincount(levels.codes, minlength=len(levels.names))
        parts: list[tuple[int, _Part]] = []
        for level, rows in zip(levels.names, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            part = _on_rows(target, shown, changed, metrics, (column, level), rows, resampling)
            parts.append((len(rows), part))
            gains += part.gains
            churn += part.churn
            count = int(target[rows].sum()) if positives else None
            slice_scores.append(SliceScores(column, level, len(rows), count, part.scores))
        parts.sort(key=lambda sized: -sized[0])  # stable: of equal ones, by name
        families += [family for metric in metrics if (family := _family(metric, column, parts)) is not None]
    return Comparison(whole.scores, tuple(gains), tuple(slice_scores), tuple(families), tuple(churn))


def _changed(target: Array, models: Mapping[Role, Scored]) -> Array | None:
    """Return how much each row's prediction changes from the incumbent's, or None without an incumbent."""
    if "incumbent" not in models:
        return None
    ours, theirs = models["challenger"].said, models["incumbent"].said
    if ours is not None and theirs is not None:
        return np.asarray(ours != theirs, dtype=float)
    spread = float(target.std())
    return (
        np.abs(models["challenger"].score - models["incumbent"].score) / spread
        if spread > 0
        else np.full(len(target), np.nan)
    )


def _family(metric: str, column: str, parts: list[tuple[int, _Part]]) -> Family | None:
    told = [part for _, part in parts if metric in part.deviations]
    if not told:
        return None
    deviations = np.stack([part.deviations[metric] for part in told])
    return Family(metric, column, critical_values(deviations, np.array([part.effective[metric] for part in told])))


def _on_rows(
    target: Array,
    models: Mapping[Role, Scored],
    changed: Array | None,
    metrics: tuple[str, ...],
    at: tuple[str, str] | None,
    rows: Array | None,
    resampling: Resampling,
) -> _Part:
    columns = terms_by_role(target, models, metrics, rows)
    if changed is not None:
        columns[None, "changed"] = changed if rows is None else changed[rows]
        columns.setdefault((None, "rows"), np.ones(len(columns[None, "changed"])))
    drawn, without = resampling.sums_and_left_out(list(columns.values()), rows)
    sums = dict(zip(columns, drawn, strict=True))
    classes = classes_in(models["challenger"].score)
    values = values_of(models, metrics, sums, 1 + resampling.weights.shape[1], whole=at is None)
    summed = tuple(name for name in metrics if not any(name in scored.draws for scored in models.values()))
    left_out = values_of(models, summed, dict(zip(columns, without, strict=True)), without.shape[1], whole=at is None)
    groups = resampling.group_of if rows is None else resampling.group_of[rows]
    units, support = resampling.present(rows), len(target) if rows is None else len(rows)
    scores = {
        role: {
            metric: interval_of(
                values[role, metric],
                _reason(metric, at, classes),
                units,
                effective_units(left_out[role, metric], units) if (role, metric) in left_out else units,
                share_of(metric, role, classes, columns, groups),
            )
            for metric in metrics
        }
        for role in models
    }
    gains: list[Gain] = []
    deviations: dict[str, Array] = {}
    effective: dict[str, float] = {}
    for metric in metrics:
        ours = values["challenger", metric]
        for role in models:
            if role == "challenger":
                continue
            reason, few = _reason(metric, at, classes), float(units)
            if metric in summed:
                few = effective_units(left_out["challenger", metric] - left_out[role, metric], units)
            gain = gain_of_draws(metric, role, at, support, ours, values[role, metric], units, few, reason)
            if metric == "roc_auc" and classes is None and at is None and gain.estimate is not None:
                gain = replace(gain, delong=_delong(gain.estimate, columns, role))
            if role == "incumbent" and at is not None and gain.error is not None and gain.estimate is not None:
                off = sign(metric) * (ours - values[role, metric])[1:] - gain.estimate
                effective[metric] = few
                deviations[metric] = off / gain.error if gain.error > 0 else np.zeros(len(off))
            gains.append(gain)
    churn = []
    if changed is not None:
        rows_in = sums[None, "rows"]
        share = np.divide(sums[None, "changed"], rows_in, out=np.full(len(rows_in), np.nan), where=rows_in > 0)
        churn.append(PredictionChurn(at, support, interval_of(share, "every target is the same", units)))
    return _Part(scores, gains, churn, deviations, effective)


def _delong(gain: float, columns: Mapping[tuple[Role | None, str], Array], against: Role) -> tuple[float, float] | None:
    positive = columns[None, "positive"] == 1
    beating, beaten = (
        (columns["challenger", term] - columns[against, term])[chosen]
        for term, chosen in (("auc_positive", positive), ("auc_negative", ~positive))
    )
    found = delong_interval(gain, beating, beaten)
    return None if found is None else (rounded(found[0]), rounded(found[1]))


def _reason(metric: str, at: tuple[str, str] | None, classes: int | None) -> str:
    defined = definition(metric, classes)
    return "it is of all rows together" if at is not None and defined.whole else defined.undefined
