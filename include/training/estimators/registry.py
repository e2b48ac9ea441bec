"""The estimators behind the short names: their settings, what they take, and where a search looks by default."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from include.config.sections.training import Range, Values
from include.errors import ConfigError, nearest
from include.training.estimators.boosting.catboost_trees import CatBoostClassifier, CatBoostRegressor
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier, LightGBMRegressor
from include.training.estimators.boosting.xgboost_trees import XGBoostClassifier, XGBoostRegressor
from include.training.estimators.clusterers import DensityClusterer, RandomClusterer, is_clustering
from include.training.estimators.keras_mlp import KerasMLPClassifier, KerasMLPRegressor
from include.training.estimators.optional_libraries import library_version
from include.training.persistence.trusted_types import is_trusted

Space = dict[str, Range | Values]

CONSTANT = "constant"
"""The trivial baseline: the share of positives, or the mean, for any row; clusters by chance."""


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
    weights: bool = True
    """Can count rows more or less than others."""
    margins: bool = False
    """A classifier whose margins are turned into probabilities by Platt's sigmoid."""
    libraries: tuple[str, ...] = ()
    """The libraries that a fit needs, of an extra; `check_settings` asks whether they are installed."""


_TREE_SPACE: Space = {
    "min_samples_leaf": Range(low=1, high=200, log=True, integer=True),
    "max_features": (0.3, 0.5, 0.8, 1.0),
}
# One row a leaf, scikit-learn's default, makes forests that predict worse and weigh hundreds of times more.
_TREE_PARAMS = {"min_samples_leaf": 5}

_REGISTRY: dict[str, Estimator] = {
    CONSTANT: Estimator(
        {"classification": DummyClassifier, "regression": DummyRegressor, "clustering": RandomClusterer},
        params={},
        missing=True,
        sparse=True,
    ),
    "logistic_regression": Estimator(
        {"classification": LogisticRegression},
        params={"max_iter": 1000},
        space={"C": Range(low=1e-3, high=1e2, log=True)},
        sparse=True,
    ),
    "linear_regression": Estimator({"regression": LinearRegression}),
    "ridge": Estimator({"regression": Ridge}, space={"alpha": Range(low=1e-3, high=1e3, log=True)}),
    "lasso": Estimator(
        {"regression": Lasso}, params={"max_iter": 10_000}, space={"alpha": Range(low=1e-4, high=1e1, log=True)}
    ),
    "elastic_net": Estimator(
        {"regression": ElasticNet},
        params={"max_iter": 10_000},
        space={"alpha": Range(low=1e-4, high=1e1, log=True), "l1_ratio": (0.1, 0.5, 0.9, 1.0)},
    ),
    "bayesian_ridge": Estimator(
        {"regression": BayesianRidge},
        space={"alpha_1": Range(low=1e-8, high=1e-2, log=True), "lambda_1": Range(low=1e-8, high=1e-2, log=True)},
    ),
    "huber": Estimator(
        {"regression": HuberRegressor},
        params={"max_iter": 1000},
        space={"epsilon": Range(low=1.05, high=3), "alpha": Range(low=1e-6, high=1e1, log=True)},
    ),
    "quantile": Estimator(
        {"regression": QuantileRegressor},
        # scikit-learn's own penalty of 1 leaves hardly any column a coefficient.
        params={"alpha": 1e-3},
        space={"alpha": Range(low=1e-5, high=1, log=True)},
    ),
    "poisson": Estimator(
        {"regression": PoissonRegressor},
        params={"max_iter": 1000},
        space={"alpha": Range(low=1e-6, high=1e1, log=True)},
        sparse=True,
    ),
    "gamma": Estimator(
        {"regression": GammaRegressor},
        params={"max_iter": 1000},
        space={"alpha": Range(low=1e-6, high=1e1, log=True)},
        sparse=True,
    ),
    "sgd": Estimator(
        {"classification": SGDClassifier, "regression": SGDRegressor},
        params={"average": True},
        space={
            "alpha": Range(low=1e-6, high=1e-1, log=True),
            "penalty": ("l2", "l1", "elasticnet"),
            "learning_rate": ("optimal", "invscaling"),
            "eta0": Range(low=1e-3, high=1e-1, log=True),
        },
        sparse=True,
    ),
    "linear_discriminant": Estimator(
        {"classification": LinearDiscriminantAnalysis},
        params={"solver": "lsqr"},
        space={"shrinkage": Range(low=0, high=1)},
        weights=False,
    ),
    "quadratic_discriminant": Estimator(
        {"classification": QuadraticDiscriminantAnalysis},
        # One-hot columns are collinear: without any regularisation there is no inverse.
        params={"reg_param": 1e-3},
        space={"reg_param": Range(low=1e-6, high=1, log=True)},
        weights=False,
    ),
    "linear_svm": Estimator(
        {"classification": LinearSVC, "regression": LinearSVR},
        params={"max_iter": 10_000, "dual": "auto"},
        space={"C": Range(low=1e-3, high=1e2, log=True)},
        sparse=True,
        margins=True,
    ),
    "svm": Estimator(
        {"classification": SVC, "regression": SVR},
        space={
            "C": Range(low=1e-2, high=1e3, log=True),
            "gamma": Range(low=1e-4, high=1e1, log=True),
            "kernel": ("rbf", "poly", "sigmoid"),
        },
        margins=True,
    ),
    "naive_bayes": Estimator(
        {"classification": GaussianNB}, space={"var_smoothing": Range(low=1e-12, high=1e-1, log=True)}
    ),
    "bernoulli_naive_bayes": Estimator(
        {"classification": BernoulliNB}, space={"alpha": Range(low=1e-3, high=1e1, log=True)}, sparse=True
    ),
    "k_neighbors": Estimator(
        {"classification": KNeighborsClassifier, "regression": KNeighborsRegressor},
        # The other algorithms keep a tree that a model file can't hold; it gains nothing in so many dimensions.
        params={"algorithm": "brute"},
        space={"n_neighbors": Range(low=3, high=100, log=True, integer=True), "weights": ("uniform", "distance")},
        weights=False,
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
    "ada_boost": Estimator(
        {"classification": AdaBoostClassifier, "regression": AdaBoostRegressor},
        space={
            "learning_rate": Range(low=0.02, high=2, log=True),
            "n_estimators": Range(low=25, high=400, log=True, integer=True),
        },
    ),
    "gradient_boosting": Estimator(
        {"classification": GradientBoostingClassifier, "regression": GradientBoostingRegressor},
        space={
            "learning_rate": Range(low=0.02, high=0.3, log=True),
            "max_depth": Range(low=2, high=8, integer=True),
            "n_estimators": Range(low=50, high=400, log=True, integer=True),
            "subsample": (0.5, 0.8, 1.0),
            "min_samples_leaf": Range(low=1, high=100, log=True, integer=True),
        },
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
    "lightgbm": Estimator(
        {"classification": LightGBMClassifier, "regression": LightGBMRegressor},
        space={
            "learning_rate": Range(low=0.02, high=0.3, log=True),
            "num_leaves": Range(low=8, high=128, log=True, integer=True),
            "min_child_samples": Range(low=5, high=200, log=True, integer=True),
            "reg_lambda": Range(low=1e-3, high=1e1, log=True),
            "colsample_bytree": (0.5, 0.8, 1.0),
            "n_estimators": Range(low=50, high=400, log=True, integer=True),
        },
        missing=True,
        native=True,
        libraries=("lightgbm",),
    ),
    "xgboost": Estimator(
        {"classification": XGBoostClassifier, "regression": XGBoostRegressor},
        space={
            "learning_rate": Range(low=0.02, high=0.3, log=True),
            "max_depth": Range(low=3, high=10, integer=True),
            "min_child_weight": Range(low=1, high=100, log=True),
            "reg_lambda": Range(low=1e-3, high=1e1, log=True),
            "subsample": (0.5, 0.8, 1.0),
            "colsample_bytree": (0.5, 0.8, 1.0),
            "n_estimators": Range(low=50, high=400, log=True, integer=True),
        },
        missing=True,
        native=True,
        libraries=("xgboost",),
    ),
    "catboost": Estimator(
        {"classification": CatBoostClassifier, "regression": CatBoostRegressor},
        space={
            "depth": Range(low=4, high=8, integer=True),
            "learning_rate": Range(low=0.02, high=0.3, log=True),
            "l2_leaf_reg": Range(low=1, high=30, log=True),
            "random_strength": Range(low=0.1, high=10, log=True),
            "rsm": (0.5, 0.8, 1.0),
            "n_estimators": Range(low=50, high=1000, log=True, integer=True),
        },
        missing=True,
        native=True,
        libraries=("catboost",),
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
    "keras_mlp": Estimator(
        {"classification": KerasMLPClassifier, "regression": KerasMLPRegressor},
        space={
            "learning_rate": Range(low=1e-4, high=1e-2, log=True),
            "layers": ([32], [64, 32], [128, 64], [128, 64, 32]),
            "dropout": (0.0, 0.2, 0.4),
            "batch_size": (32, 64, 256),
            "l2": Range(low=1e-6, high=1e-2, log=True),
        },
        libraries=("keras", "tensorflow"),
    ),
    "k_means": Estimator(
        {"clustering": KMeans},
        params={"n_init": 10},
        space={"n_clusters": Range(low=2, high=12, integer=True)},
    ),
    "gaussian_mixture": Estimator(
        {"clustering": GaussianMixture},
        # scikit-learn's own single start often ends in a poor place.
        params={"n_components": 8, "n_init": 5, "reg_covar": 1e-4},
        space={
            "n_components": Range(low=2, high=12, integer=True),
            "covariance_type": ("full", "tied", "diag", "spherical"),
        },
        weights=False,
    ),
    "hdbscan": Estimator(
        {"clustering": DensityClusterer},
        params={"copy": True},
        space={
            "min_cluster_size": Range(low=5, high=200, log=True, integer=True),
            "min_samples": Range(low=2, high=50, log=True, integer=True),
        },
        weights=False,
    ),
}

_OURS = {"random_state", "n_jobs", "early_stopping", "categorical_features", "verbose", "warm_start"}
"""Settings that Ratchet decides on: from `seed`, threads, `early_stopping` and `features`."""


def spaces() -> dict[str, Space]:
    """Return where a search looks by default, by short name."""
    return {name: kind.space for name, kind in _REGISTRY.items() if name != CONSTANT}


def find_estimator(name: str, task: str) -> Estimator:
    """Return what stands behind a name; raises `ConfigError` when it is unknown, not permitted or not for this task."""
    if "." in name:
        return _by_path(name, task)
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
    A support vector machine has no probabilities: its margins are turned into some by Platt's sigmoid, fitted to
    margins of rows that the margin's own model did not see (three folds inside the fitted rows).
    """
    kind = find_estimator(name, task)
    estimator = kind.classes[task]()
    known = estimator.get_params(deep=False)
    settings = kind.params | params | {"random_state": seed, "n_jobs": threads, "early_stopping": early_stopping}
    if name == "sgd" and task == "classification":
        settings["loss"] = "log_loss"  # the loss with probabilities
    if native and kind.native:
        settings["categorical_features"] = native
    estimator.set_params(**{key: value for key, value in settings.items() if key in known})
    if kind.margins and task == "classification":
        return CalibratedClassifierCV(estimator, method="sigmoid", ensemble=False, cv=3)
    return estimator


def check_settings(name: str, task: str, params: dict[str, Any]) -> None:
    """Raise `ConfigError` for a setting that the estimator does not have or Ratchet decides on, or a library that is missing."""
    kind = find_estimator(name, task)
    for library in kind.libraries:
        library_version(library)
    known = set(kind.classes[task]().get_params(deep=False)) - _OURS
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
        for value in _values(params[key]):
            _check_value(name, task, key, value)


def _values(given: Any) -> list[Any]:
    """Return the values that a setting may take: one, those of a search, or the ends of a range."""
    if isinstance(given, Range):
        return [int(end) if given.integer else end for end in (given.low, given.high)]
    return list(given) if isinstance(given, tuple) else [given]


def _check_value(name: str, task: str, key: str, value: Any) -> None:
    made = find_estimator(name, task).classes[task]().set_params(**{key: value})
    try:
        # What scikit-learn does first of all when it fits; classes of others may do without.
        getattr(made, "_validate_params", lambda: None)()
    except ValueError as error:
        raise ConfigError(
            f"`{name}` can't take this value of `{key}`",
            expected=str(error).partition(" Got ")[0],
            found=repr(value),
            where="training.candidates: params or search.space",
        ) from error


def _by_path(path: str, task: str) -> Estimator:
    """Return the class that a dotted path names, with what it says of itself."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"there is no class `{path}`", found=error, remedy="correct the path, or install the library"
        ) from error
    if not isinstance(found, type) or not hasattr(found, "get_params"):
        raise ConfigError(f"`{path}` does not work like scikit-learn's classes", expected="a class with `get_params`")
    kept = f"{found.__module__}.{found.__qualname__}"
    if not is_trusted("ObjectNode", kept):
        raise ConfigError(
            f"`{path}` is not among the types that a model file may hold",
            expected="a type of `include.training.persistence.trusted_types`, or one that the deployment permits",
            found=kept,
            remedy=f"who runs this deployment can add it: RATCHET_PERMITTED_TYPES={kept}",
        )
    try:
        made = found()
    except TypeError as error:
        raise ConfigError(f"`{path}` can't be made without arguments", found=error) from error
    if not {"classification": is_classifier, "regression": is_regressor, "clustering": is_clustering}[task](made):
        raise ConfigError(f"`{path}` is no estimator for {task}")
    if task == "clustering" and not hasattr(made, "predict"):
        raise ConfigError(
            f"`{path}` can't say which cluster a new row is in",
            expected="a class with `predict`",
            remedy="`hdbscan` is there by its short name, with a rule for new rows",
        )
    tags = get_tags(made).input_tags
    return Estimator(
        {task: found},
        missing=bool(tags.allow_nan),
        sparse=bool(tags.sparse),
        weights=has_fit_parameter(made, "sample_weight"),
        margins=not hasattr(made, "predict_proba"),
    )
