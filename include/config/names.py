"""The short names that model.yaml may use, as plain data, so that a DAG file is parsed without the libraries behind them."""

from __future__ import annotations

from typing import NamedTuple


class MetricFacts(NamedTuple):
    """What a rule must know of a metric."""

    task: str
    greater_is_better: bool
    label: str = ""
    """The name shown to people; by default the name with blanks instead of underscores."""


METRICS: dict[str, MetricFacts] = {
    "roc_auc": MetricFacts("classification", True, "ROC AUC"),
    "average_precision": MetricFacts("classification", True),
    "f1": MetricFacts("classification", True, "F1"),
    "precision": MetricFacts("classification", True),
    "recall": MetricFacts("classification", True),
    "accuracy": MetricFacts("classification", True),
    "balanced_accuracy": MetricFacts("classification", True),
    "f1_macro": MetricFacts("classification", True, "F1, macro"),
    "f1_weighted": MetricFacts("classification", True, "F1, weighted"),
    "precision_macro": MetricFacts("classification", True),
    "precision_weighted": MetricFacts("classification", True),
    "recall_macro": MetricFacts("classification", True),
    "recall_weighted": MetricFacts("classification", True),
    "brier": MetricFacts("classification", False, "Brier score"),
    "log_loss": MetricFacts("classification", False),
    "calibration_error": MetricFacts("classification", False),
    "mse": MetricFacts("regression", False, "Mean squared error"),
    "rmse": MetricFacts("regression", False, "Root mean squared error"),
    "mae": MetricFacts("regression", False, "Mean absolute error"),
    "mape": MetricFacts("regression", False, "Mean absolute percentage error"),
    "pinball": MetricFacts("regression", False, "Pinball loss"),
    "r2": MetricFacts("regression", True, "R²"),
    "interval_coverage": MetricFacts("regression", True, "Coverage of prediction intervals"),
    "silhouette": MetricFacts("clustering", True),
    "davies_bouldin": MetricFacts("clustering", False, "Davies-Bouldin index"),
    "calinski_harabasz": MetricFacts("clustering", True, "Calinski-Harabasz index"),
    "stability": MetricFacts("clustering", True),
    "cost": MetricFacts("classification or regression", False, "Cost per row"),
}
"""The metrics by name, with their task and the direction of improvement."""


class EstimatorFacts(NamedTuple):
    """What a recipe must know of an estimator."""

    tasks: tuple[str, ...]
    early_stopping: bool = False
    """Whether it supports early stopping."""
    weights: bool = True
    """Whether it supports sample weights."""
    stores: tuple[str, ...] = ()
    """The classes that its model files hold beside what every file may hold, as they are stored: the loader trusts them."""


_BOTH = ("classification", "regression")

_CLASSES = ("classification",)
_VALUES = ("regression",)
_GROUPS = ("clustering",)

ESTIMATORS: dict[str, EstimatorFacts] = {
    "logistic_regression": EstimatorFacts(_CLASSES, stores=("sklearn.linear_model._logistic.LogisticRegression",)),
    "linear_regression": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._base.LinearRegression",)),
    "ridge": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._ridge.Ridge",)),
    "lasso": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._coordinate_descent.Lasso",)),
    "elastic_net": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._coordinate_descent.ElasticNet",)),
    "bayesian_ridge": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._bayes.BayesianRidge",)),
    "huber": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._huber.HuberRegressor",)),
    "quantile": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._quantile.QuantileRegressor",)),
    "poisson": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._glm.glm.PoissonRegressor",)),
    "gamma": EstimatorFacts(_VALUES, stores=("sklearn.linear_model._glm.glm.GammaRegressor",)),
    "sgd": EstimatorFacts(
        _BOTH,
        early_stopping=True,
        stores=(
            "sklearn.linear_model._stochastic_gradient.SGDClassifier",
            "sklearn.linear_model._stochastic_gradient.SGDRegressor",
        ),
    ),
    "linear_discriminant": EstimatorFacts(
        _CLASSES, weights=False, stores=("sklearn.discriminant_analysis.LinearDiscriminantAnalysis",)
    ),
    "quadratic_discriminant": EstimatorFacts(
        _CLASSES, weights=False, stores=("sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",)
    ),
    "linear_svm": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.svm._classes.LinearSVC",
            "sklearn.svm._classes.LinearSVR",
        ),
    ),
    "svm": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.svm._classes.SVC",
            "sklearn.svm._classes.SVR",
        ),
    ),
    "naive_bayes": EstimatorFacts(_CLASSES, stores=("sklearn.naive_bayes.GaussianNB",)),
    "bernoulli_naive_bayes": EstimatorFacts(_CLASSES, stores=("sklearn.naive_bayes.BernoulliNB",)),
    "k_neighbors": EstimatorFacts(
        _BOTH,
        weights=False,
        stores=(
            "sklearn.neighbors._classification.KNeighborsClassifier",
            "sklearn.neighbors._regression.KNeighborsRegressor",
        ),
    ),
    "decision_tree": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.tree._classes.DecisionTreeClassifier",
            "sklearn.tree._classes.DecisionTreeRegressor",
        ),
    ),
    "random_forest": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.ensemble._forest.RandomForestClassifier",
            "sklearn.ensemble._forest.RandomForestRegressor",
        ),
    ),
    "extra_trees": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.ensemble._forest.ExtraTreesClassifier",
            "sklearn.ensemble._forest.ExtraTreesRegressor",
        ),
    ),
    "ada_boost": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.ensemble._weight_boosting.AdaBoostClassifier",
            "sklearn.ensemble._weight_boosting.AdaBoostRegressor",
        ),
    ),
    "gradient_boosting": EstimatorFacts(
        _BOTH,
        stores=(
            "sklearn.ensemble._gb.GradientBoostingClassifier",
            "sklearn.ensemble._gb.GradientBoostingRegressor",
        ),
    ),
    "hist_gradient_boosting": EstimatorFacts(
        _BOTH,
        early_stopping=True,
        stores=(
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
        ),
    ),
    "lightgbm": EstimatorFacts(_BOTH, early_stopping=True),
    "xgboost": EstimatorFacts(_BOTH, early_stopping=True),
    "catboost": EstimatorFacts(_BOTH, early_stopping=True),
    "mlp": EstimatorFacts(
        _BOTH,
        early_stopping=True,
        stores=(
            "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
            "sklearn.neural_network._multilayer_perceptron.MLPRegressor",
        ),
    ),
    "keras_mlp": EstimatorFacts(_BOTH, early_stopping=True),
    "k_means": EstimatorFacts(_GROUPS, stores=("sklearn.cluster._kmeans.KMeans",)),
    "gaussian_mixture": EstimatorFacts(
        _GROUPS, weights=False, stores=("sklearn.mixture._gaussian_mixture.GaussianMixture",)
    ),
    "hdbscan": EstimatorFacts(_GROUPS, weights=False),
}
"""What can be fitted, by task."""

ENSEMBLES: tuple[str, ...] = ("voting", "stacking")
"""What joins other candidates."""

SIMPLE_BASELINE: dict[str, str] = {
    "classification": "logistic_regression",
    "regression": "ridge",
    "clustering": "k_means",
}
"""The simple, interpretable estimator that every challenger of another kind must beat."""

ROW_EXPECTATIONS: frozenset[str] = frozenset(
    {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_pair_values_to_be_in_set",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_json_parseable",
        "expect_column_values_to_be_null",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_match_json_schema",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_not_be_outliers",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_not_match_regex_list",
        "expect_compound_columns_to_be_unique",
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
)
"""Great Expectations that judge single rows, so that the offending ones can be set aside."""

EXPECTATIONS: frozenset[str] = ROW_EXPECTATIONS | frozenset(
    {
        "expect_column_distinct_values_to_be_in_set",
        "expect_column_distinct_values_to_contain_set",
        "expect_column_distinct_values_to_equal_set",
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_max_to_be_between",
        "expect_column_mean_to_be_between",
        "expect_column_median_to_be_between",
        "expect_column_min_to_be_between",
        "expect_column_most_common_value_to_be_in_set",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_quantile_values_to_be_between",
        "expect_column_stdev_to_be_between",
        "expect_column_sum_to_be_between",
        "expect_column_to_exist",
        "expect_column_type_to_be",
        "expect_column_unique_value_count_to_be_between",
        "expect_table_column_count_to_be_between",
        "expect_table_column_count_to_equal",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
    }
)
"""Great Expectations that a data frame can answer; those that need a SQL database are not among them."""

TASKS: frozenset[str] = frozenset(
    {
        "approve",
        "audit",
        "check",
        "decide",
        "deliver",
        "evaluate",
        "gate",
        "ingest",
        "mirror",
        "monitor",
        "keep_champion",
        "list_segments",
        "promote",
        "reconsider",
        "reproduce",
        "retract",
        "retrain_segment",
        "score",
        "select",
        "send",
        "settle",
        "tidy",
        "train",
        "withdraw",
    }
)
"""The tasks of a model's DAGs."""

FORMER_TASKS: frozenset[str] = frozenset({"announce"})
"""Tasks of earlier releases: what is declared for them stays valid, and asks for nothing."""

REBUILD_TOLERANCE = 0.001
"""The largest accepted difference between predictions of a rebuilt version and its original: for probabilities in their own unit, for values in standard deviations of the target."""
