"""XGBoost's trees: how they are grown, and what their JSON must be before XGBoost reads it."""

from __future__ import annotations

import json
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
from include.training.estimators.boosting.tree_json import (
    are_floats,
    read_json,
    require_only,
    whole_numbers,
    write_json,
)
from include.training.estimators.boosting.xgboost_nodes import check_tree
from include.training.estimators.optional_libraries import import_library

_SHARE = [Interval(Real, 0, 1, closed="right")]
_FROM_ZERO = [Interval(Real, 0, None, closed="left")]
_OWN = [
    ("n_estimators", 100, [Interval(Integral, 1, None, closed="left")]),
    ("learning_rate", 0.3, [Interval(Real, 0, None, closed="neither")]),
    ("max_depth", 6, [Interval(Integral, 0, None, closed="left")]),
    ("max_leaves", 0, [Interval(Integral, 0, None, closed="left")]),
    ("grow_policy", "depthwise", [StrOptions({"depthwise", "lossguide"})]),
    ("min_child_weight", 1.0, _FROM_ZERO),
    ("gamma", 0.0, _FROM_ZERO),
    ("subsample", 1.0, _SHARE),
    ("colsample_bytree", 1.0, _SHARE),
    ("colsample_bylevel", 1.0, _SHARE),
    ("colsample_bynode", 1.0, _SHARE),
    ("reg_alpha", 0.0, _FROM_ZERO),
    ("reg_lambda", 1.0, _FROM_ZERO),
    ("max_delta_step", None, [*_FROM_ZERO, None]),
    ("max_bin", 256, [Interval(Integral, 2, 65535, closed="both")]),
    ("max_cat_to_onehot", 4, [Interval(Integral, 1, None, closed="left")]),
    ("max_cat_threshold", 64, [Interval(Integral, 1, None, closed="left")]),
]
_LOGARITHMS = ("count:poisson", "reg:gamma", "reg:tweedie")


class _XGBoost(BoostedTrees):
    LIBRARY = "xgboost"
    SETTINGS: ClassVar[dict[str, tuple[Any, list[Any]]]] = SHARED_SETTINGS | {
        name: (default, accepted) for name, default, accepted in _OWN
    }

    def _objective(self) -> dict[str, Any]:
        raise NotImplementedError

    def _matrix(self, X: Array, **labels: Any) -> Any:
        levels = set(self.categorical_features or [])
        types = ["c" if place in levels else "q" for place in range(X.shape[1])]
        return import_library("xgboost").DMatrix(
            X, feature_types=types, enable_categorical=True, nthread=self.n_jobs or 1, **labels
        )

    def _grow(self, parts: list[tuple[Array, Array, Array]]) -> bytes:
        params = {name: getattr(self, name) for name in self.SETTINGS if name not in NOT_THE_LIBRARYS}
        params = {name: value for name, value in params.items() if value is not None}
        params |= self._objective()
        params |= {"tree_method": "hist", "seed": self.random_state or 0, "nthread": self.n_jobs or 1, "verbosity": 0}
        if any(self.monotone):
            params["monotone_constraints"] = f"({','.join(map(str, self.monotone))})"
        sets = [self._matrix(X, label=y, weight=weight) for X, y, weight in parts]
        stop: dict[str, Any] = {}
        if len(sets) > 1:
            stop = {"evals": [(sets[1], "inner")], "early_stopping_rounds": self.n_iter_no_change}
        booster = import_library("xgboost").train(params, sets[0], self.n_estimators, verbose_eval=False, **stop)
        if stop:
            booster = booster[: booster.best_iteration + 1]
        model = json.loads(bytes(booster.save_raw("json")))
        model["learner"]["attributes"] = {}  # how stopping went is not needed to predict
        return write_json(model)

    def _open(self, native: bytes) -> Any:
        # Its settings can't be changed while other threads predict: one thread a call, and configured before the first.
        trees = import_library("xgboost").Booster({"nthread": 1}, model_file=bytearray(native))
        trees.inplace_predict(np.zeros((1, self.n_features_in_)), validate_features=False)
        return trees

    def _answer(self, X: Array, *, margin: bool) -> Array:
        kind = "margin" if margin else "value"
        return np.asarray(self._trees.inplace_predict(X, predict_type=kind, validate_features=False))

    def contributions(self, X: Array) -> Array:
        return np.asarray(self._trees.predict(self._matrix(X), pred_contribs=True), dtype=np.float64)

    def _check_trees(self, native: bytes) -> None:
        # XGBoost follows node numbers without bounds checks, and makes what is as long as its numbers say.
        model = read_json(native)
        require_only(model, "learner", "version")
        learner = model["learner"]
        parts = ("attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective")
        require_only(learner, *parts)
        self._check_learner(model["version"], learner)
        booster = learner["gradient_booster"]
        require_only(booster, "model", "name")
        grown = booster["model"]
        require_only(grown, "cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees")
        trees, each = grown["trees"], self.outputs
        rounds = len(trees) // each
        expected: list[tuple[Any, Any]] = [
            (booster["name"], "gbtree"),
            (grown["cats"], {"enc": [], "feature_segments": [], "sorted_idx": []}),
            (grown["gbtree_model_param"], {"num_parallel_tree": "1", "num_trees": str(len(trees))}),
            (grown["iteration_indptr"], list(range(0, len(trees) + 1, each))),
            (grown["tree_info"], list(range(each)) * rounds),
        ]
        if not trees or any(found != wanted for found, wanted in expected):
            raise refused("its trees are of another model")
        for number, tree in enumerate(trees):
            check_tree(number, tree, self.n_features_in_)

    def _check_learner(self, version: Any, learner: dict[str, Any]) -> None:
        numbers, objective = learner["learner_model_param"], learner["objective"]
        require_only(numbers, "base_score", "boost_from_average", "num_class", "num_feature", "num_target")
        base = json.loads(numbers["base_score"])
        levels, columns = set(self.categorical_features or []), self.n_features_in_
        expected: list[tuple[Any, Any]] = [
            (whole_numbers(version, 3)[0], 3),
            (learner["attributes"], {}),
            (learner["feature_names"], []),
            (learner["feature_types"], ["c" if place in levels else "q" for place in range(columns)]),
            (numbers["num_class"], str(self.outputs if self.outputs > 1 else 0)),
            (numbers["num_feature"], str(columns)),
            (numbers["num_target"], "1"),
            (objective["name"], self._objective()["objective"]),
        ]
        settings = [one for name, part in objective.items() if name != "name" for one in part.items()]
        good = all(name != "num_class" or value in ("0", "1", str(self.outputs)) for name, value in settings)
        known = all(type(value) is str and len(value) < 32 for _, value in settings)
        if any(found != wanted for found, wanted in expected) or not (good and known):
            raise refused("its trees are of another model")
        if numbers["boost_from_average"] not in ("0", "1") or not are_floats(base, self.outputs):
            raise refused("its trees are of another model")


class XGBoostClassifier(BoostedClassifier, _XGBoost):
    """Gradient boosting of classes by XGBoost (Chen and Guestrin, 2016).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = XGBoostClassifier(n_estimators=20, n_jobs=1).fit(X, X[:, 0] > 29)
    >>> fitted.predict([[3.0], [50.0]]).tolist()
    [False, True]
    """

    def _objective(self) -> dict[str, Any]:
        many = self.outputs > 1
        return {"objective": "multi:softprob", "num_class": self.outputs} if many else {"objective": "binary:logistic"}


class XGBoostRegressor(BoostedRegressor, _XGBoost):
    """Gradient boosting of values by XGBoost (Chen and Guestrin, 2016).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = XGBoostRegressor(n_estimators=50, n_jobs=1).fit(X, np.where(X[:, 0] > 29, 7.0, 1.0))
    >>> fitted.predict([[3.0], [50.0]]).round(2).tolist()
    [1.0, 7.0]
    """

    SETTINGS = _XGBoost.SETTINGS | {
        "objective": (
            "reg:squarederror",
            [StrOptions({"reg:squarederror", "reg:absoluteerror", "reg:quantileerror", *_LOGARITHMS})],
        ),
        "quantile_alpha": (0.5, [Interval(Real, 0, 1, closed="neither")]),
    }

    @property
    def additive(self) -> bool:
        """Whether the trees add up to the value itself: these objectives predict by a logarithm."""
        return self.objective not in _LOGARITHMS

    def _objective(self) -> dict[str, Any]:
        alpha = {"quantile_alpha": self.quantile_alpha} if self.objective == "reg:quantileerror" else {}
        return {"objective": self.objective} | alpha
