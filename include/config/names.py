"""The short names that model.yaml may use, as plain data, so that a DAG file is parsed without the libraries behind them."""

from __future__ import annotations

from typing import NamedTuple


class MetricFacts(NamedTuple):
    """What a rule must know of a metric."""

    task: str
    greater_is_better: bool


METRICS: dict[str, MetricFacts] = {
    "roc_auc": MetricFacts("classification", True),
    "average_precision": MetricFacts("classification", True),
    "f1": MetricFacts("classification", True),
    "precision": MetricFacts("classification", True),
    "recall": MetricFacts("classification", True),
    "accuracy": MetricFacts("classification", True),
    "balanced_accuracy": MetricFacts("classification", True),
    "f1_macro": MetricFacts("classification", True),
    "f1_weighted": MetricFacts("classification", True),
    "precision_macro": MetricFacts("classification", True),
    "precision_weighted": MetricFacts("classification", True),
    "recall_macro": MetricFacts("classification", True),
    "recall_weighted": MetricFacts("classification", True),
    "brier": MetricFacts("classification", False),
    "log_loss": MetricFacts("classification", False),
    "calibration_error": MetricFacts("classification", False),
    "mse": MetricFacts("regression", False),
    "rmse": MetricFacts("regression", False),
    "mae": MetricFacts("regression", False),
    "mape": MetricFacts("regression", False),
    "pinball": MetricFacts("regression", False),
    "r2": MetricFacts("regression", True),
    "interval_coverage": MetricFacts("regression", True),
    "silhouette": MetricFacts("clustering", True),
    "davies_bouldin": MetricFacts("clustering", False),
    "calinski_harabasz": MetricFacts("clustering", True),
    "stability": MetricFacts("clustering", True),
    "cost": MetricFacts("classification or regression", False),
}
"""What can be measured, by task, and which direction is good."""


class EstimatorFacts(NamedTuple):
    """What a recipe must know of an estimator."""

    tasks: tuple[str, ...]
    early_stopping: bool = False
    """Whether it can stop adding rounds by itself."""
    weights: bool = True
    """Whether rows can count more or less than others."""
    library: str = ""
    """The library of the extra `learners` that it needs."""


_BOTH = ("classification", "regression")

_CLASSES = ("classification",)
_VALUES = ("regression",)
_GROUPS = ("clustering",)

ESTIMATORS: dict[str, EstimatorFacts] = {
    "logistic_regression": EstimatorFacts(_CLASSES),
    "linear_regression": EstimatorFacts(_VALUES),
    "ridge": EstimatorFacts(_VALUES),
    "lasso": EstimatorFacts(_VALUES),
    "elastic_net": EstimatorFacts(_VALUES),
    "bayesian_ridge": EstimatorFacts(_VALUES),
    "huber": EstimatorFacts(_VALUES),
    "quantile": EstimatorFacts(_VALUES),
    "poisson": EstimatorFacts(_VALUES),
    "gamma": EstimatorFacts(_VALUES),
    "sgd": EstimatorFacts(_BOTH, early_stopping=True),
    "linear_discriminant": EstimatorFacts(_CLASSES, weights=False),
    "quadratic_discriminant": EstimatorFacts(_CLASSES, weights=False),
    "linear_svm": EstimatorFacts(_BOTH),
    "svm": EstimatorFacts(_BOTH),
    "naive_bayes": EstimatorFacts(_CLASSES),
    "bernoulli_naive_bayes": EstimatorFacts(_CLASSES),
    "k_neighbors": EstimatorFacts(_BOTH, weights=False),
    "decision_tree": EstimatorFacts(_BOTH),
    "random_forest": EstimatorFacts(_BOTH),
    "extra_trees": EstimatorFacts(_BOTH),
    "ada_boost": EstimatorFacts(_BOTH),
    "gradient_boosting": EstimatorFacts(_BOTH),
    "hist_gradient_boosting": EstimatorFacts(_BOTH, early_stopping=True),
    "lightgbm": EstimatorFacts(_BOTH, early_stopping=True, library="lightgbm"),
    "mlp": EstimatorFacts(_BOTH, early_stopping=True),
    "k_means": EstimatorFacts(_GROUPS),
    "gaussian_mixture": EstimatorFacts(_GROUPS, weights=False),
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
        "check",
        "decide",
        "evaluate",
        "gate",
        "ingest",
        "keep_champion",
        "promote",
        "reconsider",
        "reproduce",
        "score",
        "select",
        "settle",
        "train",
        "withdraw",
    }
)
"""The tasks of a model's DAGs."""

FORMER_TASKS: frozenset[str] = frozenset({"announce"})
"""Tasks of earlier releases: what is declared for them stays valid, and asks for nothing."""
