from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_iris

from include.training.metrics import clustering
from include.training.metrics.clustering import calinski_harabasz, clustering_value, davies_bouldin, silhouette

SPACE = load_iris().data
LABELS = np.where(np.arange(150) % 11 == 0, 2, load_iris().target)  # a few rows in the wrong cluster

VALUES = {
    "silhouette": sk.silhouette_score,
    "davies_bouldin": sk.davies_bouldin_score,
    "calinski_harabasz": sk.calinski_harabasz_score,
}


@pytest.mark.parametrize("metric", list(VALUES))
def test_values_on_iris_equal_scikit_learn(metric: str) -> None:
    assert clustering_value(metric, SPACE, LABELS, seed=0) == pytest.approx(VALUES[metric](SPACE, LABELS), rel=1e-12)


def weighted_silhouette(weights: np.ndarray) -> float:
    distance, rows, total = sk.pairwise_distances(SPACE), np.arange(len(SPACE)), 0.0
    for row in rows:
        near = {}
        for label in set(LABELS):
            others = (label == LABELS) & (rows != row)
            near[label] = np.average(distance[row, others], weights=weights[others])
        a = near.pop(LABELS[row])
        b = min(near.values())
        total += weights[row] * (b - a) / max(a, b)
    return float(total / weights.sum())


def weighted_davies_bouldin(weights: np.ndarray) -> float:
    centres, widths = [], []
    for label in sorted(set(LABELS)):
        here = label == LABELS
        centres.append(np.average(SPACE[here], axis=0, weights=weights[here]))
        widths.append(np.average(np.linalg.norm(SPACE[here] - centres[-1], axis=1), weights=weights[here]))
    pairs = range(len(centres))
    worst = [
        max((widths[i] + widths[j]) / np.linalg.norm(centres[i] - centres[j]) for j in pairs if j != i) for i in pairs
    ]
    return float(np.mean(worst))


def weighted_calinski_harabasz(weights: np.ndarray) -> float:
    whole = np.average(SPACE, axis=0, weights=weights)
    total, within = (weights * ((SPACE - whole) ** 2).sum(axis=1)).sum(), 0.0
    for label in set(LABELS):
        here = label == LABELS
        centre = np.average(SPACE[here], axis=0, weights=weights[here])
        within += (weights[here] * ((SPACE[here] - centre) ** 2).sum(axis=1)).sum()
    groups = len(set(LABELS))
    return float((total - within) / within * (weights.sum() - groups) / (groups - 1))


@pytest.mark.parametrize(
    ("found", "weighted"),
    [
        (silhouette, weighted_silhouette),
        (davies_bouldin, weighted_davies_bouldin),
        (calinski_harabasz, weighted_calinski_harabasz),
    ],
)
def test_the_derivatives_are_those_of_the_metric_under_other_weights(
    found: Callable, weighted: Callable[[np.ndarray], float]
) -> None:
    direction = np.random.default_rng(1).normal(size=len(SPACE))
    step = 1e-5
    slope = (weighted(1 + step * direction) - weighted(1 - step * direction)) / (2 * step)
    assert found(SPACE, LABELS)[1] @ direction == pytest.approx(slope, rel=1e-5)


def test_a_row_in_no_cluster_counts_as_one_that_is_alone_in_its_own() -> None:
    without = LABELS.copy()
    without[:10] = -1
    each = silhouette(SPACE, without)[0]
    assert (each[:10] == 0).all()
    assert each[10:] == pytest.approx(sk.silhouette_samples(SPACE[10:], without[10:]))
    assert davies_bouldin(SPACE, without)[0] == pytest.approx(sk.davies_bouldin_score(SPACE[10:], without[10:]))
    assert calinski_harabasz(SPACE, without)[0] == pytest.approx(sk.calinski_harabasz_score(SPACE[10:], without[10:]))


@pytest.mark.parametrize("metric", list(VALUES))
@pytest.mark.parametrize("labels", [np.zeros(150, dtype=int), np.full(150, -1)])
def test_of_fewer_than_two_clusters_there_is_no_value(metric: str, labels: np.ndarray) -> None:
    assert clustering_value(metric, SPACE, labels, seed=0) is None


def test_of_many_rows_silhouettes_are_measured_on_a_sample_that_the_seed_draws(monkeypatch) -> None:
    monkeypatch.setattr(clustering, "MAX_SILHOUETTE_ROWS", 60)
    first, again, other = (clustering_value("silhouette", SPACE, LABELS, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first == pytest.approx(sk.silhouette_score(SPACE, LABELS), abs=0.1)
