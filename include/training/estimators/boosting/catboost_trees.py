"""CatBoost's trees: how they are grown, and what is kept of them.

CatBoost grows oblivious trees: all nodes of a level ask the same, so that a row's answers are the bits of its leaf's number. A
level of categories is compared by a statistic of its target, and every such comparison is in the end a set of levels. So a
model file holds thresholds, sets of levels and leaves, and `catboost_leaves` predicts without the library.
"""

from __future__ import annotations

import json
import tempfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions

from include.training.estimators.boosting.boosted_trees import (
    NOT_THE_LIBRARYS,
    SHARED_SETTINGS,
    Array,
    BoostedClassifier,
    BoostedRegressor,
    BoostedTrees,
)
from include.training.estimators.boosting.catboost_leaves import DEEPEST, GAP, Leaves, check_trees
from include.training.estimators.boosting.tree_json import read_json, write_json
from include.training.estimators.optional_libraries import import_library

_FROM_ZERO = [Interval(Real, 0, None, closed="left")]
_SHARE = [Interval(Real, 0, 1, closed="right")]
_OWN = [
    ("n_estimators", 1000, [Interval(Integral, 1, None, closed="left")]),
    ("learning_rate", None, [Interval(Real, 0, None, closed="neither"), None]),
    ("depth", 6, [Interval(Integral, 1, DEEPEST, closed="both")]),
    # Given an `l2_leaf_reg`, CatBoost chooses no `learning_rate` of its own by rows and rounds.
    ("l2_leaf_reg", None, [*_FROM_ZERO, None]),
    ("random_strength", 1.0, _FROM_ZERO),
    ("rsm", 1.0, _SHARE),
    ("subsample", 0.8, _SHARE),
    ("bootstrap_type", "MVS", [StrOptions({"MVS", "Bernoulli"})]),
    ("boosting_type", "Plain", [StrOptions({"Plain", "Ordered"})]),
    ("border_count", 254, [Interval(Integral, 1, 65535, closed="both")]),
    ("one_hot_max_size", 2, [Interval(Integral, 2, 255, closed="both")]),
    ("leaf_estimation_iterations", None, [Interval(Integral, 1, None, closed="left"), None]),
]
_LOGARITHMS = ("Poisson", "Tweedie")


class _CatBoost(BoostedTrees):
    LIBRARY = "catboost"
    PREDICTS_BY_LIBRARY = False
    SETTINGS: ClassVar[dict[str, tuple[Any, list[Any]]]] = SHARED_SETTINGS | {
        name: (default, accepted) for name, default, accepted in _OWN
    }

    def _objective(self) -> str:
        raise NotImplementedError

    def _grow(self, parts: list[tuple[Array, Array, Array]]) -> bytes:
        catboost = import_library("catboost")
        own = set(self.SETTINGS) - NOT_THE_LIBRARYS - {"objective", "alpha", "delta", "variance_power"}
        params = {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        params |= {"iterations": self.n_estimators, "loss_function": self._objective()}
        params |= {"random_seed": self.random_state or 0, "thread_count": self.n_jobs or 1}
        # Sets of levels are of one column: combinations of columns are declared in `features`. No file is written.
        params |= {"max_ctr_complexity": 1, "allow_writing_files": False, "logging_level": "Silent"}
        params |= {"allow_const_label": True, "nan_mode": "Min"}
        if any(self.monotone):
            params["monotone_constraints"] = self.monotone
        levels = self._levels
        pools = [
            catboost.Pool(_table(X, levels), y, cat_features=levels, weight=weight, thread_count=self.n_jobs or 1)
            for X, y, weight in parts
        ]
        stop: dict[str, Any] = {}
        if len(pools) > 1:
            stop = {"eval_set": pools[1], "early_stopping_rounds": self.n_iter_no_change, "use_best_model": True}
        grown = catboost.CatBoost(params).fit(pools[0], **stop)
        most = max(
            (int(X[:, at].max(initial=GAP, where=X[:, at] >= 0)) for X, _, _ in parts for at in levels), default=0
        )
        return write_json(_kept(grown, pools[0], levels, self.n_features_in_, most + 1))

    @property
    def _levels(self) -> list[int]:
        return [int(at) for at in self.categorical_features or []]

    def _open(self, native: bytes) -> Leaves:
        return Leaves.of(read_json(native), self._levels, self.outputs)

    def _answer(self, X: Array, *, margin: bool) -> Array:
        known = self._trees.margins(X)
        known = known[:, 0] if self.outputs == 1 else known
        return known if margin else self._inverse(known)

    def _inverse(self, margins: Array) -> Array:
        raise NotImplementedError

    def contributions(self, X: Array) -> Array:
        return np.asarray(self._trees.contributions(X, self.n_features_in_))

    def _check_trees(self, native: bytes) -> None:
        check_trees(read_json(native), self._levels, self.n_features_in_, self.outputs)


class CatBoostClassifier(BoostedClassifier, _CatBoost):
    """Gradient boosting of classes by CatBoost (Prokhorenkova et al., 2018).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = CatBoostClassifier(n_estimators=20, n_jobs=1).fit(X, X[:, 0] > 29)
    >>> fitted.predict([[3.0], [50.0]]).tolist()
    [False, True]
    """

    def _objective(self) -> str:
        return "MultiClass" if self.outputs > 1 else "Logloss"

    def _inverse(self, margins: Array) -> Array:
        if self.outputs == 1:
            # Written so that neither end overflows.
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margins)))
        raised = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class CatBoostRegressor(BoostedRegressor, _CatBoost):
    """Gradient boosting of values by CatBoost (Prokhorenkova et al., 2018).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(60.0).reshape(-1, 1)
    >>> fitted = CatBoostRegressor(n_estimators=200, n_jobs=1).fit(X, np.where(X[:, 0] > 29, 7.0, 1.0))
    >>> fitted.predict([[3.0], [50.0]]).round(1).tolist()
    [1.0, 7.0]
    """

    SETTINGS = _CatBoost.SETTINGS | {
        "objective": ("RMSE", [StrOptions({"RMSE", "MAE", "Quantile", "Huber", *_LOGARITHMS})]),
        "alpha": (0.5, [Interval(Real, 0, 1, closed="neither")]),
        "delta": (1.0, [Interval(Real, 0, None, closed="neither")]),
        "variance_power": (1.5, [Interval(Real, 1, 2, closed="neither")]),
    }

    @property
    def additive(self) -> bool:
        """Whether the trees add up to the value itself: these objectives predict by a logarithm."""
        return self.objective not in _LOGARITHMS

    def _objective(self) -> str:
        named = {"Quantile": "alpha", "Huber": "delta", "Tweedie": "variance_power"}.get(self.objective)
        return f"{self.objective}:{named}={getattr(self, named)}" if named else str(self.objective)

    def _inverse(self, margins: Array) -> Array:
        return margins if self.additive else np.exp(margins)


def _table(X: Array, levels: list[int]) -> pd.DataFrame:
    """Return rows as CatBoost takes them: levels as whole numbers, a gap among them as one more level."""
    gaps = {at: np.where(X[:, at] >= 0, X[:, at], GAP).astype(np.int64) for at in levels}
    return pd.DataFrame({at: gaps.get(at, X[:, at]) for at in range(X.shape[1])})


def _kept(grown: Any, pool: Any, levels: list[int], columns: int, known: int) -> dict[str, Any]:
    """Return what a file keeps of trees that CatBoost has grown.

    Which levels go right at a split is asked of CatBoost itself: of rows that differ in one column's level, the numbers of
    their leaves tell it bit by bit.
    """
    with tempfile.TemporaryDirectory() as folder:
        # CatBoost writes JSON into files only; what it knows of place and time is left out of ours.
        path = Path(folder) / "trees.json"
        grown.save_model(str(path), format="json", pool=pool)
        written = json.loads(path.read_text())
    features = written["features_info"]
    numbers = [one["flat_feature_index"] for one in features.get("float_features", [])]
    categories = [one["flat_feature_index"] for one in features.get("categorical_features", [])]
    # Questions are numbered: all of numbers, then all of single levels, then those of statistics, which name no column.
    before = sum(len(one.get("borders") or ()) for one in features.get("float_features", []))
    before += sum(len(one.get("values") or ()) for one in features.get("categorical_features", []))
    statistics = [one["elements"][0]["cat_feature_index"] for one in features.get("ctrs", []) for _ in one["borders"]]
    codes = np.array([*range(known), GAP])
    asked: dict[int, Array] = {}
    for at in levels:
        rows = np.zeros((len(codes), columns))
        rows[:, levels] = GAP
        rows[:, at] = codes
        asked[at] = np.asarray(grown.calc_leaf_indexes(_table(rows, levels)), dtype=np.int64)
    trees = []
    for number, tree in enumerate(written["oblivious_trees"]):
        splits: list[list[Any]] = []
        for place, split in enumerate(tree["splits"] or []):
            if split["split_type"] == "FloatFeature":
                splits.append([numbers[split["float_feature_index"]], split["border"]])
                continue
            category = split.get("cat_feature_index")
            at = categories[statistics[split["split_index"] - before] if category is None else category]
            splits.append([at, sorted(codes[(asked[at][:, number] >> place) & 1 == 1].tolist())])
        trees.append({"splits": splits, "values": tree["leaf_values"], "weights": tree["leaf_weights"]})
    scale, bias = written["scale_and_bias"]
    if scale != 1:
        raise ValueError(f"CatBoost scales its trees by {scale}, which Ratchet does not expect")
    return {"bias": [float(one) for one in bias], "trees": trees}
