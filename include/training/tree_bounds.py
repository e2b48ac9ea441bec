"""Whether the trees of a loaded model stay inside their own arrays.

scikit-learn follows the node numbers of a tree without bounds checks: crafted numbers read foreign memory or never end
(https://github.com/scikit-learn/scikit-learn/pull/34558). A type list can't see that, so the numbers are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from include.errors import ModelFileRefused


def check_trees(pipeline: Any) -> None:
    """Raise `ModelFileRefused` unless every node leads to later nodes of its own tree and reads an existing column."""
    estimator = pipeline[-1]
    columns = int(getattr(estimator, "n_features_in_", 0))
    for tree in _trees(estimator):
        nodes = tree.__getstate__()["nodes"]
        inner = nodes["left_child"] != -1
        _check(nodes["left_child"], nodes["right_child"], nodes["feature"], inner, columns)
    for predictor in _predictors(estimator):
        nodes = predictor.nodes
        inner = nodes["is_leaf"] == 0
        _check(nodes["left"], nodes["right"], nodes["feature_idx"], inner, columns)
        sets = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)].astype(np.int64)
        if len(sets) and sets.max() >= min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets)):
            raise _refused()


def _check(left: Any, right: Any, feature: Any, inner: Any, columns: int) -> None:
    own = np.flatnonzero(inner)
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        # Children are numbered after their parents, so that following them ends.
        if np.any(children <= own) or np.any(children >= len(left)):
            raise _refused()
    read = feature[inner].astype(np.int64)
    if len(left) == 0 or np.any(read < 0) or np.any(read >= columns):
        raise _refused()


def _trees(estimator: Any) -> Iterator[Any]:
    if hasattr(estimator, "tree_"):
        yield estimator.tree_
    elif hasattr(estimator, "estimators_"):
        for one in estimator.estimators_:
            yield from _trees(one)


def _predictors(estimator: Any) -> Iterator[Any]:
    for iteration in getattr(estimator, "_predictors", ()):
        yield from iteration


def _refused() -> ModelFileRefused:
    return ModelFileRefused(
        "the model file is refused: a tree leads outside its own nodes or columns",
        remedy="model files are written by Ratchet only; find out where this one comes from",
    )
