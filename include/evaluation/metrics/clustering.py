"""Metrics of clusterings: every model's clusters of the same rows, in one feature space.

Distances are comparable only in one space. All models are measured in that of the simple baseline: the declared features,
prepared with the challenger's training rows, independently of how a model prepares them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student

from include.data.rare_levels import ALL_NAMED, OTHER_LEVELS, RareLevels
from include.evaluation.compared_models import load_model_file
from include.evaluation.explanation.results import Cluster
from include.evaluation.gains import Role
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.intervals import rounded
from include.storage.store import ObjectStore
from include.training.estimators.predictions import predicted_clusters
from include.training.fit_record import FitRecord
from include.training.metrics.clustering import OF_ALL, agreement, silhouette, silhouette_sample

log = logging.getLogger(__name__)

Array = NDArray[Any]

SHOWN = 30
"""The largest clusters are described; of more, the rest is not."""


def with_clusters(
    store: ObjectStore,
    inputs: Mapping[Role, pd.DataFrame],
    space: Array,
    models: Mapping[Role, Scored],
    fits: Mapping[Role, FitRecord],
    *,
    metrics: tuple[str, ...],
    resamples: int,
    seed: int,
) -> dict[Role, Scored]:
    """Return the models' answers with what the metrics of clusters are made of.

    Parameters
    ----------
    inputs : dict of role to pandas.DataFrame
        The holdout rows as each model reads them.
    space : array of shape (n_rows, n_columns)
        Where distances are measured.
    models : dict of role to Scored
        Numbers of clusters; those of the other models are paired with the challenger's, for churn.
    resamples : int
        The number of draws for the distribution of stability.
    """
    rows = len(space)
    at = silhouette_sample(rows, seed)
    sampled = np.zeros(rows)
    sampled[at] = 1.0
    ours = models["challenger"].score.astype(np.int64)
    answered: dict[Role, Scored] = {}
    for place, (role, scored) in enumerate(models.items()):
        labels = scored.score.astype(np.int64)
        terms: dict[str, Array] = {"sampled": sampled}
        slice_terms: dict[str, Array] = {"sampled": sampled}
        if "silhouette" in metrics:
            each, slope = silhouette(space[at], labels[at])
            slice_terms["silhouette"], terms["silhouette"] = np.zeros(rows), np.zeros(rows)
            slice_terms["silhouette"][at] = each
            terms["silhouette"][at] = each.mean() + len(at) * slope
        for metric in OF_ALL.keys() & set(metrics):
            value, slope = OF_ALL[metric](space, labels)
            terms[metric] = value + len(labels) * (slope - slope.mean())
        draws = {}
        if "stability" in metrics:
            found = np.array([agreement(labels, other) for other in _refitted(store, fits[role], inputs[role])])
            draws["stability"] = _mean_of_few(found, resamples, np.random.default_rng([seed, place]))
        paired = labels if role == "challenger" else _paired(ours, labels)
        answered[role] = replace(scored, labels=paired, terms=terms, slice_terms=slice_terms, draws=draws)
    return answered


def describe_clusters(
    frame: pd.DataFrame, columns: tuple[str, ...], answered: Scored, rare: RareLevels = ALL_NAMED
) -> tuple[Cluster, ...]:
    """Describe all rows, and the largest clusters of a model, by the inputs and by what else tells a person what they are.

    A cluster of too few people is counted and not described, and a level that too few people in it have is not named.

    Parameters
    ----------
    frame : DataFrame
        Holdout rows.
    columns : tuple of str
        What they are described by.
    answered : Scored
        The model's clusters, with the rows that are in the sample for silhouettes.
    rare : RareLevels
        Of these rows.
    """
    labels = answered.score.astype(np.int64)
    each, sampled = answered.slice_terms.get("silhouette"), answered.slice_terms["sampled"]
    numbers, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN]

    def one(number: int | None, rows: Array) -> Cluster:
        measured = rows[sampled[rows] > 0]
        mean = None if each is None or not len(measured) else float(each[measured].mean())
        part, people = frame.iloc[rows], rare.at(rows)
        few = people.among(np.zeros(len(rows), dtype=np.int64), 1)[0]
        means: dict[str, float | None] = {}
        modes: dict[str, str | None] = {}
        for name in columns:
            values = part[name].iloc[:0] if few else part[name].dropna()
            if pd.api.types.is_numeric_dtype(values.dtype):
                known = values.to_numpy(dtype=float)
                known = known[np.isfinite(known)]
                means[name] = rounded(known.mean()) if len(known) else None
            else:
                counted = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
                modes[name] = None
                if len(values):
                    alone = people.among(np.where(part[name] == counted.index[0], 0, -1), 1)[0]
                    level = OTHER_LEVELS if alone else counted.index[0]
                    modes[name] = f"{level} ({counted.iloc[0] / len(part):.0%})"
        silhouette_ = None if mean is None or not np.isfinite(mean) else rounded(mean)
        return Cluster(number, len(rows), silhouette_, means, modes)

    parts = [one(int(numbers[place]), np.flatnonzero(labels == numbers[place])) for place in order]
    return (one(None, np.arange(len(labels))), *parts)


def _refitted(store: ObjectStore, fit: FitRecord, frame: pd.DataFrame) -> list[Array]:
    """Return the clusters that a fit's refits put the rows in."""
    inputs = frame[list(fit.columns)]
    return [predicted_clusters(load_model_file(store, fit.model, digest), inputs) for digest in fit.refits or ()]


def _mean_of_few(values: Array, count: int, rng: np.random.Generator) -> Array:
    """Return the mean of a few values, and draws from Student's distribution of it, in an order of their own."""
    if len(values) < 2:
        return np.full(1 + count, np.nan)
    error = float(values.std(ddof=1)) / sqrt(len(values))
    draws = values.mean() + error * student.ppf((np.arange(count) + 0.5) / count, len(values) - 1)
    return np.asarray(np.r_[values.mean(), rng.permutation(np.minimum(draws, 1.0))])  # agreement is at most 1


def _paired(ours: Array, theirs: Array) -> Array:
    """Return other clusters under the numbers of ours, so that most rows keep theirs (Kuhn 1955); no cluster stays none."""
    names, codes = np.unique(theirs[theirs >= 0], return_inverse=True)
    mine, own = np.unique(ours[theirs >= 0], return_inverse=True)
    shared = np.zeros((len(names), len(mine)))
    np.add.at(shared, (codes, own), 1)
    shared[:, mine < 0] = 0
    matched, to = linear_sum_assignment(-shared)
    number = np.arange(len(names)) + max(int(ours.max(initial=0)), 0) + 1  # of no cluster of ours unless paired
    number[matched] = np.where(mine[to] >= 0, mine[to], number[matched])
    paired = theirs.copy()
    paired[theirs >= 0] = number[codes]
    return np.asarray(paired)
