"""Clusterers that can predict the cluster of a new row."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

Array = np.ndarray[Any, Any]

NOISE_LABEL = -1
"""The number of a row that is in no cluster, as scikit-learn has it."""


class RandomClusterer(ClusterMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The trivial baseline: rows are put into clusters by chance.

    Parameters
    ----------
    n_clusters : int
    random_state : int

    Examples
    --------
    >>> import numpy as np
    >>> sorted(set(RandomClusterer(n_clusters=2).fit(np.zeros((50, 1))).predict(np.zeros((50, 1))).tolist()))
    [0, 1]
    """

    def __init__(self, n_clusters: int = 2, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> RandomClusterer:
        """Learn nothing."""
        return self

    def predict(self, X: Any) -> Array:
        """Return a number for each row, for any values."""
        return np.asarray(np.random.default_rng(self.random_state).integers(self.n_clusters, size=X.shape[0]))

    def __sklearn_is_fitted__(self) -> bool:
        return True


class DensityClusterer(HDBSCAN):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's HDBSCAN, with a rule for rows that were not there when it was fitted.

    HDBSCAN says which of the fitted rows form clusters, and nothing of others. A new row joins the cluster of its nearest
    member if it is no farther from it than that member's core distance: the radius within which HDBSCAN found the
    member's ``min_samples`` neighbours. So a new row is in a cluster where the fitted rows were as dense as that, and in
    none elsewhere. A fitted member gets its own cluster back.

    Attributes
    ----------
    members_ : array of shape (n_members, n_columns)
        The fitted rows that are in a cluster.
    clusters_ : array of int, of shape (n_members,)
    reach_ : array of shape (n_members,)
        Core distances.

    Examples
    --------
    >>> import numpy as np
    >>> close = np.linspace(0, 1, 20).reshape(-1, 1)
    >>> fitted = DensityClusterer(min_cluster_size=5, copy=True).fit(np.vstack([close, close + 100]))
    >>> one, other, none = fitted.predict([[0.5], [100.5], [50.0]]).tolist()
    >>> one != other, none
    (True, -1)
    """

    def fit(self, X: Any, y: Any = None) -> DensityClusterer:
        """Find the clusters of some rows."""
        matrix = validate_data(self, X, dtype=np.float64)
        super().fit(matrix)
        inside = self.labels_ >= 0
        count = self.min_cluster_size if self.min_samples is None else self.min_samples
        self.members_, self.clusters_ = matrix[inside], self.labels_[inside].astype(np.int64)
        self.reach_ = np.zeros(0)
        if inside.any():
            near = NearestNeighbors(n_neighbors=min(count, len(matrix)), metric=self.metric).fit(matrix)
            self.reach_ = near.kneighbors(self.members_)[0][:, -1]
        return self

    def predict(self, X: Any) -> Array:
        """Return the number of each row's cluster, -1 for rows in none."""
        check_is_fitted(self, "members_")
        matrix = validate_data(self, X, dtype=np.float64, ensure_min_samples=0, reset=False)
        found = np.full(len(matrix), NOISE_LABEL, dtype=np.int64)
        if len(self.members_) and len(matrix):
            with threadpool_limits(1):  # of two members at equal distance, the first
                nearest, distance = pairwise_distances_argmin_min(matrix, self.members_, metric=self.metric)
            within = distance <= self.reach_[nearest] * (1 + 1e-9)
            found[within] = self.clusters_[nearest[within]]
        return found

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = False  # its own rule for new rows measures dense distances
        return tags


def is_clustering(estimator: Any) -> bool:
    """Tell whether an estimator groups rows without a target."""
    return get_tags(estimator).estimator_type in ("clusterer", "density_estimator")


def drop_training_rows(estimator: Any) -> None:
    """Drop what a fitted clustering keeps of single fitted rows and of the machine, and needs for nothing."""
    for name in ("labels_", "probabilities_", "_single_linkage_tree_"):
        if hasattr(estimator, name):
            delattr(estimator, name)
    if hasattr(estimator, "_n_threads"):
        estimator._n_threads = 1
