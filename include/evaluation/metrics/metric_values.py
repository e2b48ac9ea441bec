"""Metrics of several models on the same rows and resamples, from sums of per-row terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.gains import Role
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import Resampling
from include.training.metrics.definitions import DEFINITIONS
from include.training.metrics.multiclass import classes_in, definition, is_shared, terms_of

Array = NDArray[Any]


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
    columns = terms_by_role(target, models, metrics, rows)
    sums = dict(zip(columns, resampling.sums(list(columns.values()), rows), strict=True)) if columns else {}
    return values_of(models, metrics, sums, 1 + resampling.weights.shape[1], whole=False)


def values_of(
    models: Mapping[Role, Scored],
    metrics: tuple[str, ...],
    sums: Mapping[tuple[Role | None, str], Array],
    count: int,
    *,
    whole: bool,
) -> dict[tuple[Role, str], Array]:
    """Return each metric of each model from the sums of its terms; parameters as of `values_on`.

    Parameters
    ----------
    sums : mapping of (Role or None, str) to array of shape (1 + n_resamples,)
        Sums of the terms of `terms_by_role`.
    count : int
        How many values each metric has: one, and one a resample.
    whole : bool
        Whether the rows are all rows; metrics that are of all rows together have no value otherwise.
    """
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


def terms_by_role(
    target: Array, models: Mapping[Role, Scored], metrics: tuple[str, ...], rows: Array | None
) -> dict[tuple[Role | None, str], Array]:
    """Return the per-row terms of each model, and under None those that all of them share.

    Parameters
    ----------
    target : array of shape (n_rows,)
    models : mapping of Role to Scored
    metrics : tuple of str
        Names of the metrics whose terms are wanted.
    rows : array of int or None
        Indices of the rows; None for all.
    """
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


def share_of(
    metric: str, role: Role, classes: int | None, columns: Mapping[tuple[Role | None, str], Array], groups: Array
) -> int | None:
    """Return how many groups of units a metric is a share of; None if it is none. What a constant prediction reaches is no estimate.

    Parameters
    ----------
    metric : str
    role : Role
    classes : int or None
        As `classes_in` returns it.
    columns : mapping of (Role or None, str) to array of shape (n_rows,)
        The rows' terms, as `terms_by_role` returns them.
    groups : array of int of shape (n_rows,)
        What each row is resampled with.
    """
    defined = definition(metric, classes)
    if not defined.share or role == "trivial":
        return None
    told = np.any([columns[None if is_shared(term) else role, term] != 0 for term in defined.terms], axis=0)
    return int(np.count_nonzero(np.bincount(groups[told])))
