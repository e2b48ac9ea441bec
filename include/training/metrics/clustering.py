"""Clustering metrics, and how they change with the weight of a row.

Each metric comes with its derivative by the weight of every row, at weights of one. That makes it a mean over rows to first
order, so that it can be resampled like any other: all its asymptotic intervals rest on the same expansion. A row in no
cluster counts as Rousseeuw (1987) counts one that is alone in its own: a silhouette of zero. The other two metrics are of
the rows that are in a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import euclidean_distances

Array = np.ndarray[Any, Any]

MAX_SILHOUETTE_ROWS = 3_000
"""The largest number of rows for silhouettes; more rows are sampled, since distances between all pairs are needed."""

_CHUNK = 500


def silhouette_sample(rows: int, seed: int) -> Array:
    """Return the places of the rows that silhouettes are measured on, ascending."""
    if rows <= MAX_SILHOUETTE_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MAX_SILHOUETTE_ROWS, replace=False))


def silhouette(space: Array, labels: Array) -> tuple[Array, Array]:
    """Return each row's silhouette, and the derivative of their mean.

    Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", Journal of
    Computational and Applied Mathematics 20. All NaN with fewer than two clusters.

    Parameters
    ----------
    space : array of shape (n_rows, n_columns)
    labels : array of int, of shape (n_rows,)
        Negative for a row in no cluster.
    """
    rows = len(labels)
    codes, counts = _codes(labels)
    if len(counts) < 2:
        return np.full(rows, np.nan), np.full(rows, np.nan)
    inside = codes >= 0
    member = (codes[:, None] == np.arange(len(counts))).astype(float)
    each, slope = np.zeros(rows), np.zeros(rows)
    judged = np.flatnonzero(inside & (counts[codes] > 1))  # one alone in its cluster has a silhouette of zero
    for start in range(0, len(judged), _CHUNK):
        at = judged[start : start + _CHUNK]
        here, own = np.arange(len(at)), codes[at]
        distance = euclidean_distances(space[at], space)
        distance[here, at] = 0.0
        sums = distance @ member
        mean = sums / counts
        mean[here, own] = np.inf
        other = mean.argmin(axis=1)
        a, b = sums[here, own] / (counts[own] - 1), mean[here, other]
        longer = np.maximum(a, b)
        apart = longer > 0
        each[at[apart]] = ((b - a) / np.where(apart, longer, 1))[apart]
        with np.errstate(divide="ignore", invalid="ignore"):
            by_a = np.where(a < b, -1 / b, -b / a**2)
            by_b = np.where(a < b, a / b**2, 1 / a)
        weight, reference = np.zeros_like(mean), np.zeros_like(mean)
        weight[here, own], reference[here, own] = np.where(apart, by_a, 0) / (counts[own] - 1), a
        weight[here, other], reference[here, other] = np.where(apart, by_b, 0) / counts[other], b
        # The effect of each row on the mean distances of these rows; a row is not its own neighbour.
        pulled = weight[:, codes] * (distance - reference[:, codes]) * inside
        pulled[here, at] = 0.0
        slope += pulled.sum(axis=0)
    return each, (each - each.mean() + slope) / rows


def davies_bouldin(space: Array, labels: Array) -> tuple[float, Array]:
    """Return how wide clusters are for the distance to the nearest like one, and its derivative.

    Davies and Bouldin (1979), "A cluster separation measure", IEEE PAMI 1. NaN with fewer than two clusters.
    """
    codes, counts = _codes(labels)
    inside, groups = codes >= 0, len(counts)
    if groups < 2:
        return np.nan, np.full(len(labels), np.nan)
    points, own = space[inside], codes[inside]
    centre = _means(points, own, counts)
    off = points - centre[own]
    radius = np.sqrt((off**2).sum(axis=1))
    width = np.bincount(own, weights=radius) / counts
    gap = euclidean_distances(centre)
    np.fill_diagonal(gap, np.inf)
    if np.allclose(width, 0) or np.allclose(gap[np.isfinite(gap)], 0):
        return 0.0, np.zeros(len(labels))
    with np.errstate(divide="ignore"):
        ratio = (width[:, None] + width[None, :]) / gap
    worst = ratio.argmax(axis=1)
    value = float(ratio[np.arange(groups), worst].mean())
    unit = np.divide(off, radius[:, None], out=np.zeros_like(off), where=radius[:, None] > 0)
    pull = _means(unit, own, counts)
    by_width, by_centre = np.zeros(groups), np.zeros_like(centre)
    for one, other in enumerate(worst):
        apart = gap[one, other]
        if apart > 0:
            by_width[[one, other]] += 1 / apart / groups
            away = ratio[one, other] / apart**2 / groups * (centre[one] - centre[other])
            by_centre[one] -= away
            by_centre[other] += away
    slope = np.zeros(len(labels))
    moved = ((by_centre - by_width[:, None] * pull)[own] * off).sum(axis=1)
    slope[inside] = (by_width[own] * (radius - width[own]) + moved) / counts[own]
    return value, slope


def calinski_harabasz(space: Array, labels: Array) -> tuple[float, Array]:
    """Return how far clusters lie apart for their own spread, and its derivative.

    Calinski and Harabasz (1974), "A dendrite method for cluster analysis", Communications in Statistics 3. NaN with
    fewer than two clusters, or as many as rows.
    """
    codes, counts = _codes(labels)
    inside, groups, rows = codes >= 0, len(counts), int(counts.sum())
    if not 2 <= groups < rows:
        return np.nan, np.full(len(labels), np.nan)
    points, own = space[inside], codes[inside]
    from_own = ((points - _means(points, own, counts)[own]) ** 2).sum(axis=1)
    from_all = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    within = float(from_own.sum())
    between = float(from_all.sum()) - within
    slope = np.zeros(len(labels))
    if within == 0:
        return 1.0, slope  # as scikit-learn has it
    value = between / within * (rows - groups) / (groups - 1)
    if between > 0:
        slope[inside] = value * ((from_all - from_own) / between - from_own / within + 1 / (rows - groups))
    return float(value), slope


OF_ALL: dict[str, Callable[[Array, Array], tuple[float, Array]]] = {
    "davies_bouldin": davies_bouldin,
    "calinski_harabasz": calinski_harabasz,
}
"""Metrics that are of all rows together, and say nothing of single ones."""


def clustering_value(metric: str, space: Array, labels: Array, *, seed: int) -> float | None:
    """Return a metric, or None where it has no value; silhouettes are of a sample drawn by ``seed``.

    Parameters
    ----------
    metric : str
        Name of the metric.
    space : array of shape (n_rows, n_features)
        The prepared rows.
    labels : array of shape (n_rows,)
        The cluster of each row.
    seed : int
        Draws the sample of the silhouette.
    """
    if metric in OF_ALL:
        value = OF_ALL[metric](space, labels)[0]
    else:
        at = silhouette_sample(len(labels), seed)
        value = float(silhouette(space[at], labels[at])[0].mean())
    return value if np.isfinite(value) else None


def agreement(labels: Array, others: Array) -> float:
    """Return the adjusted Rand index of two clusterings of the same rows: 1 if they are one, 0 by chance.

    Hubert and Arabie (1985), "Comparing partitions", Journal of Classification 2.
    """
    return float(adjusted_rand_score(labels, others))


def _codes(labels: Array) -> tuple[Array, Array]:
    """Return clusters numbered from zero without gaps (-1 for none), and how many rows each has."""
    known = np.unique(labels[labels >= 0])
    codes = np.where(labels >= 0, np.searchsorted(known, labels), -1)
    return codes, np.bincount(codes[codes >= 0], minlength=len(known))


def _means(points: Array, codes: Array, counts: Array) -> Array:
    return np.stack([np.bincount(codes, weights=column) for column in points.T], axis=1) / counts[:, None]
