"""The estimators behind the short names: their settings, what they take, and where a search looks by default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from include.config.training import Range, Values
from include.errors import ConfigError, nearest

Space = dict[str, Range | Values]

CONSTANT = "constant"
"""The trivial baseline: the share of positives, or the mean, whatever the row."""


@dataclass(frozen=True)
class Estimator:
    """What stands behind a short name."""

    classes: dict[str, type]
    """The scikit-learn class for each task."""
    params: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from scikit-learn's own defaults."""
    space: Space = field(default_factory=dict)
    """Where a search looks, the most important setting first."""
    missing: bool = False
    """Takes missing numbers."""
    native: bool = False
    """Takes levels as numbers."""
    sparse: bool = False
    """Takes sparse matrices, and gains by it."""


_TREE_SPACE: Space = {
    "min_samples_leaf": Range(low=1, high=200, log=True, integer=True),
    "max_features": (0.3, 0.5, 0.8, 1.0),
}
# One row a leaf, scikit-learn's default, makes forests that predict worse and weigh hundreds of times more.
_TREE_PARAMS = {"min_samples_leaf": 5}

_REGISTRY: dict[str, Estimator] = {
    CONSTANT: Estimator(
        {"classification": DummyClassifier, "regression": DummyRegressor}, params={}, missing=True, sparse=True
    ),
    "logistic_regression": Estimator(
        {"classification": LogisticRegression},
        params={"max_iter": 1000},
        space={"C": Range(low=1e-3, high=1e2, log=True)},
        sparse=True,
    ),
    "linear_regression": Estimator({"regression": LinearRegression}),
    "ridge": Estimator({"regression": Ridge}, space={"alpha": Range(low=1e-3, high=1e3, log=True)}),
    "elastic_net": Estimator(
        {"regression": ElasticNet},
        params={"max_iter": 10_000},
        space={"alpha": Range(low=1e-4, high=1e1, log=True), "l1_ratio": (0.1, 0.5, 0.9, 1.0)},
    ),
    "linear_svm": Estimator(
        {"classification": LinearSVC, "regression": LinearSVR},
        params={"max_iter": 10_000, "dual": "auto"},
        space={"C": Range(low=1e-3, high=1e2, log=True)},
        sparse=True,
    ),
    "naive_bayes": Estimator(
        {"classification": GaussianNB}, space={"var_smoothing": Range(low=1e-12, high=1e-1, log=True)}
    ),
    "k_neighbors": Estimator(
        {"classification": KNeighborsClassifier, "regression": KNeighborsRegressor},
        # The other algorithms keep a tree that a model file can't hold; it gains nothing in so many dimensions.
        params={"algorithm": "brute"},
        space={"n_neighbors": Range(low=3, high=100, log=True, integer=True), "weights": ("uniform", "distance")},
    ),
    "decision_tree": Estimator(
        {"classification": DecisionTreeClassifier, "regression": DecisionTreeRegressor},
        params=_TREE_PARAMS,
        space={"max_depth": Range(low=2, high=20, integer=True), **_TREE_SPACE},
        missing=True,
    ),
    "random_forest": Estimator(
        {"classification": RandomForestClassifier, "regression": RandomForestRegressor},
        params=_TREE_PARAMS,
        space=_TREE_SPACE,
        missing=True,
    ),
    "extra_trees": Estimator(
        {"classification": ExtraTreesClassifier, "regression": ExtraTreesRegressor},
        params=_TREE_PARAMS,
        space=_TREE_SPACE,
        missing=True,
    ),
    "hist_gradient_boosting": Estimator(
        {"classification": HistGradientBoostingClassifier, "regression": HistGradientBoostingRegressor},
        space={
            "learning_rate": Range(low=0.02, high=0.3, log=True),
            "max_leaf_nodes": Range(low=8, high=128, log=True, integer=True),
            "min_samples_leaf": Range(low=5, high=200, log=True, integer=True),
            "l2_regularization": Range(low=1e-3, high=1e1, log=True),
            "max_iter": Range(low=50, high=400, log=True, integer=True),
        },
        missing=True,
        native=True,
    ),
    "mlp": Estimator(
        {"classification": MLPClassifier, "regression": MLPRegressor},
        space={
            "alpha": Range(low=1e-6, high=1e-1, log=True),
            "learning_rate_init": Range(low=1e-4, high=1e-2, log=True),
            "hidden_layer_sizes": ([32], [100], [64, 32]),
        },
        sparse=True,
    ),
}

_OURS = {"random_state", "n_jobs", "early_stopping", "categorical_features", "verbose", "warm_start"}
"""Settings that Ratchet decides on: from `seed`, threads, `early_stopping` and `features`."""


def find_estimator(name: str, task: str) -> Estimator:
    """Return what stands behind a short name; raises `ConfigError` when it is unknown or not for this task."""
    found = _REGISTRY.get(name)
    if found is not None and task in found.classes:
        return found
    able = [other for other, kind in _REGISTRY.items() if task in kind.classes and other != CONSTANT]
    close = nearest(name, able)
    raise ConfigError(
        f"`{name}` is no estimator for {task}",
        expected=", ".join(able),
        found=name,
        remedy=f"did you mean `{close}`?" if close else None,
    )


def build_estimator(
    name: str,
    task: str,
    params: dict[str, Any],
    *,
    seed: int,
    threads: int = 1,
    early_stopping: bool = False,
    native: list[int] | None = None,
) -> Any:
    """Build an estimator that is not fitted yet; every classifier gives probabilities.

    Parameters
    ----------
    params : dict
        Settings by scikit-learn's names, over those of the registry; looked at by `check_settings`.
    native : list of int, optional
        Positions of columns whose numbers are levels.

    Notes
    -----
    A linear SVM has no probabilities: its margins are turned into some by Platt's sigmoid, fitted to margins of rows
    that the margin's own model did not see (three folds inside the fitted rows).
    """
    kind = find_estimator(name, task)
    estimator = kind.classes[task]()
    known = estimator.get_params(deep=False)
    settings = kind.params | params | {"random_state": seed, "n_jobs": threads, "early_stopping": early_stopping}
    if native and kind.native:
        settings["categorical_features"] = native
    estimator.set_params(**{key: value for key, value in settings.items() if key in known})
    if name == "linear_svm" and task == "classification":
        return CalibratedClassifierCV(estimator, method="sigmoid", ensemble=False, cv=3)
    return estimator


def check_settings(name: str, task: str, params: dict[str, Any]) -> None:
    """Raise `ConfigError` for a setting that the estimator does not have, or that is Ratchet's to decide on."""
    known = set(find_estimator(name, task).classes[task]().get_params(deep=False)) - _OURS
    for key in params:
        if key not in known:
            close = nearest(key, known)
            own = "it follows from `seed`, `early_stopping`, `features` or the machine" if key in _OURS else None
            raise ConfigError(
                f"`{name}` has no setting `{key}` to give",
                expected=", ".join(sorted(known)),
                found=key,
                where="training.candidates: params or search.space",
                remedy=own or (f"did you mean `{close}`?" if close else None),
            )
