"""Estimators compiled for one row: linear models by their weights, trees in one table of nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from include.scoring.predictor import Array
from include.serving.compiled.not_compiled import NotCompiled
from include.serving.compiled.preprocessing import Vector

_ALL_AT_ONCE = 20_000
"""Up to how many nodes all splits of all trees are taken at once; in larger forests only those on the way."""
_BITS = np.left_shift(np.uint8(1), np.arange(8, dtype=np.uint8))


def estimator_of(estimator: Any, classes: int) -> Vector:
    """Compile an estimator to a score of shape (1,), or (n_classes,) for more than two classes."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.ensemble._forest import ForestClassifier, ForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.linear_model._base import LinearModel

    match estimator:
        case LogisticRegression() if classes == 2 and len(estimator.classes_) == 2:
            coefficients, intercept = estimator.coef_[0], estimator.intercept_
            return lambda x: expit(coefficients @ x + intercept)
        case LinearModel() if estimator.coef_.ndim == 1 and hasattr(estimator, "intercept_") and not classes:
            coefficients, intercept = estimator.coef_, np.atleast_1d(estimator.intercept_)
            return lambda x: coefficients @ x + intercept
        case HistGradientBoostingClassifier() if classes == 2 and len(estimator.classes_) == 2:
            raw = _boosted(estimator)
            return lambda x: expit(raw(x))
        case HistGradientBoostingRegressor():
            raw, inverse = _boosted(estimator), estimator._loss.link.inverse
            return lambda x: inverse(raw(x))
        case ForestClassifier() | ForestRegressor() if classes <= 2 and estimator.n_outputs_ == 1:
            if classes and len(estimator.classes_) != 2:
                raise NotCompiled("a forest that knows one class only")
            return _forest(estimator, classes)
    if not classes:
        return lambda x: np.asarray(estimator.predict(x.reshape(1, -1)), dtype=float).reshape(-1)
    if len(estimator.classes_) != classes:
        raise NotCompiled("an estimator that does not know all classes")
    both = slice(1, 2) if classes == 2 else slice(None)
    return lambda x: np.asarray(np.asarray(estimator.predict_proba(x.reshape(1, -1)), dtype=float)[0, both])


@dataclass(frozen=True)
class _Trees:
    """Trees in one table of nodes; a leaf leads to itself."""

    feature: Array
    number: Array
    """Of an inner node the threshold: a row goes left where ``x[feature]`` is at most that. Of a leaf its value."""
    missing_left: Array
    left: Array
    right: Array
    roots: Array
    depth: int
    categorical: Array
    """Places of the nodes that ask for levels."""
    goes_left: Array
    """For each of those a bit for level 0, 1, ..., and at last for another level or none: whether such a row goes left."""
    levels: int
    """How many levels have a bit."""

    def leaves(self, x: Array) -> Array:
        """Return the leaf of one row in each tree."""
        if len(self.feature) <= _ALL_AT_ONCE:
            onward = self._onward_everywhere(x)
            here = self.roots
            for _ in range(self.depth):
                here = onward[here]
            return here
        here = self.roots
        for _ in range(self.depth):
            here = self._onward(here, x)
        return here

    def _onward(self, nodes: Array, x: Array) -> Array:
        if len(self.categorical):
            raise NotCompiled("a large model with levels")
        values = x[self.feature[nodes]]
        left = (values <= self.number[nodes]) | (np.isnan(values) & self.missing_left[nodes])
        onward: Array = np.where(left, self.left[nodes], self.right[nodes])
        return onward

    def _onward_everywhere(self, x: Array) -> Array:
        left = x.take(self.feature) <= self.number
        missing = np.isnan(x)
        if missing.any():
            left |= missing.take(self.feature) & self.missing_left
        if len(self.categorical):
            bits = np.where((x >= 0) & (x < self.levels), x, self.levels).astype(np.int64)
            places = (bits >> 3).take(self.levels_of)
            places += self.offsets
            bytes_ = self.goes_left.ravel().take(places)
            left[self.categorical] = bytes_ & _BITS.take(bits & 7).take(self.levels_of)
        onward: Array = np.where(left, self.left, self.right)
        return onward

    @cached_property
    def levels_of(self) -> Array:
        """Which feature each of the nodes that ask for levels reads."""
        return np.asarray(self.feature[self.categorical])

    @cached_property
    def offsets(self) -> Array:
        """Where the bytes of each of these nodes begin in `goes_left`, read as one line."""
        return np.asarray(np.arange(len(self.categorical)) * self.goes_left.shape[1])


def _boosted(estimator: Any) -> Vector:
    """Compile histogram gradient boosting of one output to its raw prediction.

    The nodes are those that scikit-learn's `TreePredictor` keeps (1.9): a level goes left if its bit is in the node's set, and
    a level that the feature never had goes where missing values go.
    """
    if any(len(trees) != 1 for trees in estimator._predictors):
        raise NotCompiled("boosting of several outputs")
    predictors = [trees[0] for trees in estimator._predictors]
    known, place = estimator._bin_mapper.make_known_categories_bitsets()
    # Beyond its last known level a feature has none: tables need not be wider.
    width = 1 + max((int(np.flatnonzero(_bits(words)).max(initial=0)) for words in known), default=0)
    tables, categorical, goes_left, roots, start = [], [], [], [], 0
    for predictor in predictors:
        nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
        for number in np.flatnonzero((nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)):
            node = nodes[number]
            row = np.full(width + 1, bool(node["missing_go_to_left"]))
            left = _bits(bitsets[node["bitset_idx"]])[:width]
            row[:width] = np.where(left | _bits(known[place[node["feature_idx"]]])[:width], left, row[width])
            categorical.append(start + number)
            goes_left.append(row)
        tables.append((nodes, start))
        roots.append(start)
        start += len(nodes)
    leaf = np.concatenate([nodes["is_leaf"] != 0 for nodes, _ in tables])
    own = np.arange(start, dtype=np.int32)
    trees = _Trees(
        feature=np.concatenate([nodes["feature_idx"] for nodes, _ in tables]).astype(np.int32),
        number=np.concatenate(
            [np.where(nodes["is_leaf"] != 0, nodes["value"], nodes["num_threshold"]) for nodes, _ in tables]
        ),
        missing_left=np.concatenate([nodes["missing_go_to_left"] != 0 for nodes, _ in tables]),
        left=np.where(
            leaf, own, np.concatenate([nodes["left"].astype(np.int32) + np.int32(at) for nodes, at in tables])
        ),
        right=np.where(
            leaf, own, np.concatenate([nodes["right"].astype(np.int32) + np.int32(at) for nodes, at in tables])
        ),
        roots=np.array(roots),
        depth=max(int(nodes["depth"].max()) for nodes, _ in tables),
        categorical=np.array(categorical, dtype=np.int64),
        goes_left=np.packbits(np.array(goes_left, dtype=bool).reshape(-1, width + 1), axis=1, bitorder="little"),
        levels=width,
    )
    baseline = np.asarray(estimator._baseline_prediction, dtype=float).reshape(-1)
    reorder = _level_order(estimator)

    def raw(x: Array) -> Array:
        values = trees.number[trees.leaves(reorder(x))]
        # One after the other, as scikit-learn adds them: the same bits.
        return np.add.accumulate(np.concatenate([baseline, values]))[-1:]

    return raw


def _bits(words: Array) -> Array:
    return np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), bitorder="little").astype(bool)


def _level_order(estimator: Any) -> Vector:
    """Compile what scikit-learn does with levels first: their numbers by order, and their columns before all others."""
    preprocessor = estimator._preprocessor
    if preprocessor is None:
        return lambda x: x
    _, encoder, levels = preprocessor.transformers_[0]
    levels = np.flatnonzero(levels) if np.asarray(levels).dtype == bool else np.asarray(levels, dtype=np.int64)
    rest = np.setdiff1d(np.arange(preprocessor.n_features_in_), levels)
    places = [{float(value): float(n) for n, value in enumerate(known)} for known in encoder.categories_]
    pairs = list(zip(levels.tolist(), places, strict=True))

    def reorder(x: Array) -> Array:
        return np.concatenate([[table.get(x[at], math.nan) for at, table in pairs], x[rest]])

    return reorder


def _forest(estimator: Any, classes: int) -> Vector:
    """Compile a forest to the mean of its trees; a tree reads numbers as float32."""
    fitted = [one.tree_ for one in estimator.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in fitted)])[:-1]
    leaf = np.concatenate([tree.children_left == -1 for tree in fitted])
    own = np.arange(len(leaf))

    def every(values: Iterable[Array]) -> Array:
        return np.concatenate(list(values))

    counts = every(tree.value[:, 0, :] for tree in fitted)
    value = counts[:, 1] / counts.sum(axis=1) if classes else counts[:, 0]
    trees = _Trees(
        feature=np.maximum(every(tree.feature for tree in fitted), 0).astype(np.int32),
        number=np.where(leaf, value, every(tree.threshold for tree in fitted)),
        missing_left=every(tree.missing_go_to_left != 0 for tree in fitted),
        left=np.where(leaf, own, every(t.children_left + at for t, at in zip(fitted, starts, strict=True))),
        right=np.where(leaf, own, every(t.children_right + at for t, at in zip(fitted, starts, strict=True))),
        roots=starts,
        depth=max(tree.max_depth for tree in fitted),
        categorical=np.array([], dtype=np.int64),
        goes_left=np.zeros((0, 1), dtype=np.uint8),
        levels=0,
    )

    def mean(x: Array) -> Array:
        # float32, then float64 for the comparison with thresholds.
        values: Array = trees.number[trees.leaves(x.astype(np.float32).astype(np.float64))]
        return np.asarray(values.mean(keepdims=True))

    return mean
