"""LightGBM's trees: how they are grown, and what their text must be before LightGBM reads it."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from include.training.estimators.boosting.boosted_trees import (
    NOT_THE_LIBRARYS,
    SHARED_SETTINGS,
    Array,
    BoostedClassifier,
    BoostedRegressor,
    BoostedTrees,
    refused,
)
from include.training.estimators.optional_libraries import import_library

_OWN = [
    ("n_estimators", 100, [Interval(Integral, 1, None, closed="left")]),
    ("learning_rate", 0.1, [Interval(Real, 0, None, closed="neither")]),
    ("num_leaves", 31, [Interval(Integral, 2, 131072, closed="both")]),
    ("max_depth", -1, [Interval(Integral, -1, None, closed="left")]),
    ("min_child_samples", 20, [Interval(Integral, 0, None, closed="left")]),
    ("min_child_weight", 1e-3, [Interval(Real, 0, None, closed="left")]),
    ("min_split_gain", 0.0, [Interval(Real, 0, None, closed="left")]),
    ("subsample", 1.0, [Interval(Real, 0, 1, closed="right")]),
    ("subsample_freq", 1, [Interval(Integral, 0, None, closed="left")]),
    ("colsample_bytree", 1.0, [Interval(Real, 0, 1, closed="right")]),
    ("reg_alpha", 0.0, [Interval(Real, 0, None, closed="left")]),
    ("reg_lambda", 0.0, [Interval(Real, 0, None, closed="left")]),
    ("max_bin", 255, [Interval(Integral, 2, 65535, closed="both")]),
    ("boosting_type", "gbdt", [StrOptions({"gbdt", "dart"})]),
    ("extra_trees", False, ["boolean"]),
    ("cat_smooth", 10.0, [Interval(Real, 0, None, closed="left")]),
    ("cat_l2", 10.0, [Interval(Real, 0, None, closed="left")]),
    ("max_cat_threshold", 32, [Interval(Integral, 1, None, closed="left")]),
]
_END = b"end of trees\n"


class _LightGBM(BoostedTrees):
    LIBRARY = "lightgbm"
    SETTINGS: ClassVar[dict[str, tuple[Any, list[Any]]]] = SHARED_SETTINGS | {
        name: (default, accepted) for name, default, accepted in _OWN
    }

    def _objective(self) -> dict[str, Any]:
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Return the settings by LightGBM's own names."""
        params = {name: getattr(self, name) for name in self.SETTINGS if name not in NOT_THE_LIBRARYS}
        params |= self._objective()
        # One way to build histograms, fixed sums: the same trees for any number of threads.
        params |= {"deterministic": True, "force_row_wise": True, "verbosity": -1}
        params |= {"seed": self.random_state or 0, "num_threads": self.n_jobs or 1}
        if any(self.monotone):
            params["monotone_constraints"] = self.monotone
        return params

    def _grow(self, parts: list[tuple[Array, Array, Array]]) -> bytes:
        lightgbm, params = import_library("lightgbm"), self.parameters()
        levels = list(self.categorical_features or [])
        sets: list[Any] = []
        for X, y, weight in parts:
            reference = sets[0] if sets else None
            sets.append(
                lightgbm.Dataset(X, y, weight=weight, categorical_feature=levels, params=params, reference=reference)
            )
        stop = [lightgbm.early_stopping(self.n_iter_no_change, verbose=False)] if len(sets) > 1 else []
        booster = lightgbm.train(params, sets[0], self.n_estimators, valid_sets=sets[1:] or None, callbacks=stop)
        return trees_of(booster)

    def _open(self, native: bytes) -> Any:
        return import_library("lightgbm").Booster(model_str=native.decode("ascii"))

    def _answer(self, X: Array, *, margin: bool) -> Array:
        return np.asarray(self._trees.predict(X, raw_score=margin, num_threads=self._threads(len(X))))

    def contributions(self, X: Array) -> Array:
        return np.asarray(self._trees.predict(X, pred_contrib=True, num_threads=self._threads(len(X))))

    def _check_trees(self, native: bytes) -> None:
        # LightGBM follows node numbers without bounds checks: crafted ones read foreign memory or never end.
        if not native.endswith(_END):
            raise refused("its trees have no end")
        head, *trees = native.decode("ascii").removesuffix(_END.decode()).split("Tree=")
        facts = _facts(head)
        expected = {
            "version": "v4",
            "num_class": str(self.outputs),
            "num_tree_per_iteration": str(self.outputs),
            "label_index": "0",
            "max_feature_idx": str(self.n_features_in_ - 1),
        }
        if any(facts.get(name) != value for name, value in expected.items()) or not head.startswith("tree\n"):
            raise refused("its trees are of another model")
        if facts["objective"].split(" ")[0] != self._objective()["objective"]:
            raise refused("its trees have another objective")
        if {len(facts[name].split(" ")) for name in ("feature_names", "feature_infos")} != {self.n_features_in_}:
            raise refused("its trees are of another model")
        sizes = _whole(facts["tree_sizes"])
        if len(sizes) != len(trees) or len(trees) % self.outputs or not trees:
            raise refused("it has another number of trees")
        for number, (size, text) in enumerate(zip(sizes, trees, strict=True)):
            if len(text) + len("Tree=") != size:
                raise refused("a tree has another size")
            _check_tree(number, text, self.n_features_in_)


class LightGBMClassifier(BoostedClassifier, _LightGBM):
    """Gradient boosting of classes by LightGBM (Ke et al., 2017).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = LightGBMClassifier(n_estimators=20, min_child_samples=5, n_jobs=1).fit(X, X[:, 0] > 29)
    >>> fitted.predict([[3.0], [50.0]]).tolist()
    [False, True]
    """

    def _objective(self) -> dict[str, Any]:
        many = self.outputs > 1
        return {"objective": "multiclass", "num_class": self.outputs} if many else {"objective": "binary"}


class LightGBMRegressor(BoostedRegressor, _LightGBM):
    """Gradient boosting of values by LightGBM (Ke et al., 2017).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = LightGBMRegressor(n_estimators=100, min_child_samples=5, n_jobs=1).fit(X, np.where(X[:, 0] > 29, 7.0, 1.0))
    >>> fitted.predict([[3.0], [50.0]]).round(2).tolist()
    [1.0, 7.0]
    """

    SETTINGS = _LightGBM.SETTINGS | {
        "objective": (
            "regression",
            [StrOptions({"regression", "regression_l1", "huber", "fair", "poisson", "quantile", "gamma", "tweedie"})],
        ),
        "alpha": (0.9, [Interval(Real, 0, None, closed="neither")]),
    }

    @property
    def additive(self) -> bool:
        """Whether the trees add up to the value itself: these objectives predict by a logarithm."""
        return self.objective not in ("poisson", "gamma", "tweedie")

    def _objective(self) -> dict[str, Any]:
        return {"objective": self.objective} | (
            {"alpha": self.alpha} if self.objective in ("huber", "quantile") else {}
        )


def trees_of(booster: Any) -> bytes:
    """Return a booster's trees as they are kept."""
    text = str(booster.model_to_string(num_iteration=booster.best_iteration)).encode()
    # What follows tells how it was fitted, threads among it, and is not needed to predict.
    return text[: text.index(_END) + len(_END)]


def _facts(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def _whole(text: str) -> Array:
    return np.array([int(part) for part in text.split(" ")] if text else [], dtype=np.int64)


def _check_tree(number: int, text: str, columns: int) -> None:
    own, _, rest = text.partition("\n")
    facts = _facts(rest)
    leaves, sets = int(facts["num_leaves"]), int(facts["num_cat"])
    if own != str(number) or leaves < 1 or sets < 0 or facts.get("is_linear", "0") != "0":
        raise refused("a tree is of another kind")
    values = [float(part) for part in facts["leaf_value"].split(" ")]
    if len(values) != leaves:  # before anything is made that is as large as the file says
        raise refused("a tree has another number of leaves")
    inner = leaves - 1
    places = np.arange(inner)
    feature, kind, left, right = (
        _whole(facts[name] if inner else "") for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    threshold = np.array([float(part) for part in facts["threshold"].split(" ")] if inner else [])
    lengths = {len(part) for part in (feature, kind, left, right, threshold)}
    if lengths != {inner}:
        raise refused("a tree has another number of nodes")
    for children in (left, right):
        # Nodes are numbered after their parents; below zero are leaves, -1 the first.
        if np.any((children >= 0) & (children <= places)) or np.any(children >= inner) or np.any(~children >= leaves):
            raise refused("a tree leads outside its own nodes")
    if np.any(feature < 0) or np.any(feature >= columns) or np.any(kind < 0) or np.any(kind > 15):
        raise refused("a tree reads a column that is not there")
    asked = threshold[(kind & 1) == 1]
    if sets or len(asked):
        starts, words = _whole(facts["cat_boundaries"]), _whole(facts["cat_threshold"])
        if len(starts) != sets + 1 or starts[0] != 0 or starts[-1] != len(words) or np.any(np.diff(starts) < 1):
            raise refused("a tree has other sets of levels")
        if np.any(words < 0) or np.any(words >= 2**32) or np.any(asked != np.floor(asked)):
            raise refused("a tree has other sets of levels")
        if np.any(asked < 0) or np.any(asked >= sets):
            raise refused("a tree asks for a set of levels that is not there")
