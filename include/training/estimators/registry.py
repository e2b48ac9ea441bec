"""The table of estimators by short name: classes, settings, capabilities and default search spaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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

from include.config.sections.training import Range, Values
from include.training.estimators.boosting.catboost_trees import CatBoostClassifier, CatBoostRegressor
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier, LightGBMRegressor
from include.training.estimators.boosting.xgboost_trees import XGBoostClassifier, XGBoostRegressor
from include.training.estimators.clusterers import DensityClusterer, RandomClusterer
from include.training.estimators.keras_mlp import KerasMLPClassifier, KerasMLPRegressor

Space = dict[str, Range | Values]

CONSTANT = "constant"
"""The trivial baseline: the share of positives, or the mean, for any row; clusters by chance."""


@dataclass(frozen=True)
class Estimator:
    """The facts of one estimator in the table."""

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

REGISTRY: dict[str, Estimator] = {
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


def spaces() -> dict[str, Space]:
    """Return where a search looks by default, by short name."""
    return {name: kind.space for name, kind in REGISTRY.items() if name != CONSTANT}
