"""Check that the compiled parts of a loaded model stay inside their own arrays.

scikit-learn follows the node numbers of a tree without bounds checks: crafted numbers read foreign memory or never end
(https://github.com/scikit-learn/scikit-learn/pull/34558). The same is true of the arrays that libsvm reads. A list of
permitted types can't detect this, so the numbers are checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.svm._base import BaseLibSVM
from sklearn.tree._tree import Tree

from include.errors import ModelFileRefused
from include.training.estimators.boosting.boosted_trees import BoostedTrees
from include.training.estimators.keras_mlp import KerasMLP
from include.training.estimators.meta_estimator import estimators_in
from include.training.estimators.optional_libraries import library_version


def check_bounds(pipeline: Any) -> None:
    """Raise `ModelFileRefused` unless every tree and support vector machine reads only what is its own.

    Every node of a tree leads to later nodes of that tree and reads a column that the estimator's input has.
    """
    for estimator in estimators_in(pipeline):
        if not isinstance(estimator, BaseEstimator):
            raise _refused()
        if isinstance(estimator, BoostedTrees | KerasMLP):
            estimator.check()
        if isinstance(estimator, BoostedTrees) and estimator.PREDICTS_BY_LIBRARY:
            library_version(estimator.LIBRARY)
        columns = int(getattr(estimator, "n_features_in_", 0))
        for part in _parts(estimator):
            if isinstance(part, Tree):
                nodes = part.__getstate__()["nodes"]
                inner = nodes["left_child"] != -1
                _check(nodes["left_child"], nodes["right_child"], nodes["feature"], inner, columns)
            elif isinstance(part, TreePredictor):
                _check_predictor(part, columns)
            else:
                _check_vectors(part, columns)


def _parts(estimator: Any) -> Iterator[Any]:
    """Yield the compiled objects inside an estimator."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, Tree | TreePredictor):
            yield here
        elif isinstance(here, list | tuple):
            waiting.extend(here)
        elif isinstance(here, dict):
            waiting.extend(here.values())
        elif isinstance(here, np.ndarray):
            waiting.extend(here.ravel().tolist() if here.dtype == object else ())
        elif isinstance(here, BaseEstimator):
            if isinstance(here, BaseLibSVM) and hasattr(here, "support_vectors_"):
                yield here
            waiting.extend(vars(here).values())


def _check_predictor(predictor: Any, columns: int) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    _check(nodes["left"], nodes["right"], nodes["feature_idx"], inner, columns)
    sets = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)].astype(np.int64)
    if len(sets) and sets.max() >= min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets)):
        raise _refused()
    # An array that is read is a view of another, and that has a description of its own, of three kilobytes with its header's
    # texts. Copies need neither, and all trees share one description.
    predictor.nodes = nodes.view(PREDICTOR_RECORD_DTYPE).copy()
    predictor.raw_left_cat_bitsets = predictor.raw_left_cat_bitsets.copy()
    predictor.binned_left_cat_bitsets = predictor.binned_left_cat_bitsets.copy()


def _check(left: Any, right: Any, feature: Any, inner: Any, columns: int) -> None:
    own = np.flatnonzero(inner)
    for children in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        # Children are numbered after their parents, so that following them ends.
        if np.any(children <= own) or np.any(children >= len(left)):
            raise _refused()
    read = feature[inner].astype(np.int64)
    if len(left) == 0 or np.any(read < 0) or np.any(read >= columns):
        raise _refused()


def _check_vectors(machine: Any, columns: int) -> None:
    vectors = machine.support_vectors_
    classes = len(machine.classes_) if hasattr(machine, "classes_") else 2
    counts = np.asarray(machine._n_support)
    pairs = classes * (classes - 1) // 2
    expected = [
        not machine._sparse,
        vectors.ndim == 2 and vectors.shape[1] == columns == machine.shape_fit_[1],
        machine.support_.shape == (len(vectors),),
        machine._dual_coef_.shape == (classes - 1, len(vectors)),
        machine._intercept_.shape == (pairs,),
        counts.shape == (classes,) and bool(np.all(counts >= 0)),
        # A regression has all its vectors in the first place.
        (counts if hasattr(machine, "classes_") else counts[:1]).sum() == len(vectors),
        machine.kernel in ("linear", "poly", "rbf", "sigmoid"),
    ]
    if not all(expected):
        raise _refused()


def _refused() -> ModelFileRefused:
    return ModelFileRefused(
        "the model file is refused: a tree or support vector leads outside its own arrays",
        remedy="model files are written by Ratchet only; find out where this one comes from",
    )
