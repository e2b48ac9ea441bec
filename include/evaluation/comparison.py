"""Models side by side on identical rows: metrics with intervals, gains with their distribution, level by level."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.evaluation.evidence import PROBABILITIES, Family, Gain, Measured, PredictionChurn, Role, SliceScores
from include.evaluation.uncertainty.bootstrap import LEAST_UNITS, Resampling, effective_units, expanded
from include.evaluation.uncertainty.delong import delong_interval
from include.evaluation.uncertainty.max_t import critical_values
from include.training.metrics.definitions import DEFINITIONS, sign
from include.training.metrics.multiclass import classes_in, definition, is_shared, terms_of
from include.training.preprocessing.category_encoder import MISSING_CATEGORY, factorize_texts

Array = NDArray[Any]
Scores = dict[Role, dict[str, Measured]]

MIN_DEFINED_SHARE = 0.95
"""A metric that fewer of the resamples can be given is undefined: its interval would leave out the hard cases."""


@dataclass(frozen=True)
class Scored:
    """One model's answers for the holdout rows.

    Parameters
    ----------
    score : array of shape (n_rows,)
        Probabilities of the positive class, values, or numbers of clusters; of more than two classes the probability of
        each, of shape (n_rows, n_classes).
    threshold : float or None
        The score from which a row counts as positive.
    labels : array of shape (n_rows,), optional
        What each row is said to be, where that is not a matter of the threshold.
    terms : dict of str to array of shape (n_rows,)
        Per-row terms of metrics that follow from more than target and score.
    slice_terms : dict of str to array of shape (n_rows,)
        The same for parts of the rows.
    draws : dict of str to array of shape (1 + n_resamples,)
        Metrics that are resampled otherwise than by rows: the value, and draws from its distribution.
    interval : (float, float), optional
        How far the bounds of a prediction interval lie from the score.
    """

    score: Array
    threshold: float | None
    labels: Array | None = None
    terms: Mapping[str, Array] = field(default_factory=dict)
    slice_terms: Mapping[str, Array] = field(default_factory=dict)
    draws: Mapping[str, Array] = field(default_factory=dict)
    interval: tuple[float, float] | None = None

    @property
    def said(self) -> Array | None:
        """What each row is said to be; None for a regression."""
        if self.labels is not None:
            return self.labels
        if self.score.ndim == 2:
            return np.asarray(self.score.argmax(axis=1))
        return None if self.threshold is None else self.score >= self.threshold


@dataclass(frozen=True)
class SliceLevels:
    """The levels of a slice column, and which of them each row is in (an index into the names)."""

    names: tuple[str, ...]
    codes: Array

    @classmethod
    def of(cls, column: pd.Series) -> SliceLevels:
        """Read a column's levels, ascending by name.

        A number has one name whatever type gaps give its column: 7 is ``7`` beside missing values, too. A missing value is
        the level ``(missing)``; a text that says so, or begins with a quotation mark, is quoted.
        """
        rows, texts = factorize_texts(column)
        return cls.named(
            [
                *(_quoted(text) if text == MISSING_CATEGORY else quote_if_ambiguous(text) for text in texts.tolist()),
                MISSING_CATEGORY,
            ],
            rows,
        )

    @classmethod
    def named(cls, names: Sequence[str], codes: Array) -> SliceLevels:
        """Return the levels that rows have, ascending by name; equal names are one level.

        Parameters
        ----------
        codes : array of int, of shape (n_rows,)
            Places in ``names``; -1 is the last.
        """
        used = np.flatnonzero(np.bincount(codes % len(names), minlength=len(names)))
        told = sorted({names[int(code)] for code in used})
        at = {name: number for number, name in enumerate(told)}
        place = np.array([at.get(name, -1) for name in names], dtype=np.intp)
        return cls(tuple(told), place[codes])


def quote_if_ambiguous(name: str, separator: str = "") -> str:
    """Return a name in quotation marks (as JSON) if it could be taken for another: it begins with one, or holds the separator."""
    return _quoted(name) if name.startswith('"') or (separator and separator in name) else name


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


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
    columns = _terms(target, models, metrics, rows)
    if changed is not None:
        columns[None, "changed"] = changed if rows is None else changed[rows]
        columns.setdefault((None, "rows"), np.ones(len(columns[None, "changed"])))
    drawn, without = resampling.sums_and_left_out(list(columns.values()), rows)
    sums = dict(zip(columns, drawn, strict=True))
    classes = classes_in(models["challenger"].score)
    values = _values(models, metrics, sums, 1 + resampling.weights.shape[1], whole=at is None)
    summed = tuple(name for name in metrics if not any(name in scored.draws for scored in models.values()))
    left_out = _values(models, summed, dict(zip(columns, without, strict=True)), without.shape[1], whole=at is None)
    units, support = resampling.present(rows), len(target) if rows is None else len(rows)
    scores = {
        role: {
            metric: interval_of(
                values[role, metric],
                _reason(metric, at, classes),
                units,
                effective_units(left_out[role, metric], units) if (role, metric) in left_out else units,
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


def values_on(
    target: Array, models: Mapping[Role, Scored], metrics: tuple[str, ...], rows: Array, resampling: Resampling
) -> dict[tuple[Role, str], Array]:
    """Return each metric of each model on some of the rows: an array of shape (1 + n_resamples,), its value first.

    Parameters
    ----------
    target : array of shape (n_rows,)
    models : mapping of Role to Scored
        Scores of the same rows, model by model.
    metrics : tuple of str
        Names of the metrics.
    rows : array of int
        Indices of the rows to measure on.
    resampling : Resampling
        The bootstrap's weights of the rows.
    """
    columns = _terms(target, models, metrics, rows)
    sums = dict(zip(columns, resampling.sums(list(columns.values()), rows), strict=True)) if columns else {}
    return _values(models, metrics, sums, 1 + resampling.weights.shape[1], whole=False)


def _values(
    models: Mapping[Role, Scored],
    metrics: tuple[str, ...],
    sums: Mapping[tuple[Role | None, str], Array],
    count: int,
    *,
    whole: bool,
) -> dict[tuple[Role, str], Array]:
    classes = classes_in(models["challenger"].score)
    values: dict[tuple[Role, str], Array] = {}
    for role, metric in ((role, metric) for role in models for metric in metrics):
        defined = definition(metric, classes)
        if defined.whole and not whole:
            values[role, metric] = np.full(count, np.nan)
        elif metric in models[role].draws:
            values[role, metric] = models[role].draws[metric]
        else:
            terms = {term: sums[None if is_shared(term) else role, term] for term in defined.terms}
            values[role, metric] = defined.combine(terms)
    return values


def _terms(
    target: Array, models: Mapping[Role, Scored], metrics: tuple[str, ...], rows: Array | None
) -> dict[tuple[Role | None, str], Array]:
    """Return the per-row terms of each model, and under None those that all of them share."""
    metrics = tuple(name for name in metrics if rows is None or not DEFINITIONS[name].whole)
    classes = classes_in(models["challenger"].score)
    wanted = tuple(dict.fromkeys(term for metric in metrics for term in definition(metric, classes).terms))
    centre = float(target.mean())
    here = target if rows is None else target[rows]
    columns: dict[tuple[Role | None, str], Array] = {}
    for role, scored in models.items():
        score = scored.score if rows is None else scored.score[rows]
        own = tuple(term for term in wanted if not is_shared(term) or (None, term) not in columns)
        known = scored.terms if rows is None else scored.slice_terms
        given = {term: known[term] if rows is None else known[term][rows] for term in own if term in known}
        rest = tuple(term for term in own if term not in given)
        for term, column in (given | terms_of(rest, here, score, scored.threshold, centre)).items():
            columns[None if is_shared(term) else role, term] = column
    return columns


def _delong(gain: float, columns: Mapping[tuple[Role | None, str], Array], against: Role) -> tuple[float, float] | None:
    positive = columns[None, "positive"] == 1
    beating, beaten = (
        (columns["challenger", term] - columns[against, term])[chosen]
        for term, chosen in (("auc_positive", positive), ("auc_negative", ~positive))
    )
    found = delong_interval(gain, beating, beaten)
    return None if found is None else (rounded(found[0]), rounded(found[1]))


def _why_undefined(reason: str, values: Array, units: int) -> str | None:
    if np.isnan(values[0]):
        return reason
    defined = float(np.isfinite(values[1:]).mean())
    if defined < MIN_DEFINED_SHARE:
        return f"too few rows: in {1 - defined:.0%} of the resamples {reason}"
    if units < LEAST_UNITS:
        return f"too few to resample: {units}, where it takes {LEAST_UNITS}"
    return None


def _reason(metric: str, at: tuple[str, str] | None, classes: int | None) -> str:
    defined = definition(metric, classes)
    return "it is of all rows together" if at is not None and defined.whole else defined.undefined


def interval_of(values: Array, reason: str, units: int, effective: float | None = None) -> Measured:
    """Return a value with the 95 % interval of its resamples, or ``reason`` where it has none.

    Parameters
    ----------
    values : array of shape (1 + n_resamples,)
        The value, and what it is in each resample.
    units : int
        How many units were resampled.
    effective : float, optional
        How many units of equal weight tell the spread, by `effective_units`; all of them if left out.
    """
    if why := _why_undefined(reason, values, units):
        value = None if np.isnan(values[0]) else rounded(values[0])
        return Measured(value, None, None, why)
    few = units if effective is None else effective
    low, high = np.nanquantile(values[1:], expanded(np.array([0.025, 0.975]), few))
    return Measured(rounded(values[0]), rounded(low), rounded(high))


def gain_of_draws(
    metric: str,
    against: Role,
    at: tuple[str, str] | None,
    support: int,
    ours: Array,
    theirs: Array,
    units: int,
    effective: float,
    reason: str,
) -> Gain:
    """Return the gain of one model over another by their resampled values, or the reason why there is none.

    Parameters
    ----------
    at : (str, str) or None
        The level of a slice; None for all rows.
    support : int
        How many rows were compared.
    ours, theirs : array of shape (1 + n_resamples,)
        The metric's value, and what it is in each resample.
    units : int
        How many units were resampled.
    effective : float
        How many units of equal weight tell the spread of the gain, by `effective_units`.
    reason : str
        Why the metric may have no value.
    """
    if why := _why_undefined(reason, ours, units) or _why_undefined(reason, theirs, units):
        return Gain(metric, against, at, support, None, (), why)
    gains = sign(metric) * (ours - theirs)
    places = expanded(np.array(PROBABILITIES), effective)
    bounds = np.nanquantile(gains[1:], places)
    # A quantile beyond which not one resample is to be expected would be no more than the most extreme of them.
    reached = np.minimum(places, 1 - places) * (len(gains) - 1) >= 1
    pairs = tuple((p, rounded(q)) for p, q, told in zip(PROBABILITIES, bounds, reached, strict=True) if told)
    return Gain(metric, against, at, support, rounded(gains[0]), pairs)


def rounded(value: float) -> float:
    """Return ten significant digits: what the last bits of a sum depend on is no part of the evidence."""
    # Adding zero turns -0.0, which canonical JSON writes as 0, into what is read back.
    return float(f"{value:.10g}") + 0.0
