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
    "brier": MetricFacts("classification", False),
    "log_loss": MetricFacts("classification", False),
    "mse": MetricFacts("regression", False),
    "rmse": MetricFacts("regression", False),
    "mae": MetricFacts("regression", False),
    "r2": MetricFacts("regression", True),
}
"""What can be measured, by task, and which direction is good."""
