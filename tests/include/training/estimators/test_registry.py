from __future__ import annotations

import pytest
from sklearn.utils.validation import has_fit_parameter

from include.config.names import ESTIMATORS, METRICS
from include.errors import ConfigError
from include.training.estimators.construction import build_estimator, check_settings, find_estimator
from include.training.metrics.scoring import score_of

PAIRS = [(name, task) for name, facts in ESTIMATORS.items() for task in facts.tasks]


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_table_of_names_tells_the_truth(name: str, task: str) -> None:
    kind = find_estimator(name, task)
    assert tuple(kind.classes) == ESTIMATORS[name].tasks
    estimator = kind.classes[task]()
    assert ("early_stopping" in estimator.get_params()) == ESTIMATORS[name].early_stopping
    assert has_fit_parameter(estimator, "sample_weight") == ESTIMATORS[name].weights
    check_settings(name, task, {**kind.params, **kind.space})


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_seed_reaches_every_estimator_that_draws(name: str, task: str) -> None:
    params = build_estimator(name, task, {}, seed=7).get_params()
    drawn = [value for key, value in params.items() if key.rpartition("__")[2] == "random_state"]
    assert set(drawn) <= {7}


def test_an_estimator_of_the_other_task_is_answered_with_those_of_this_one() -> None:
    with pytest.raises(ConfigError, match="ridge"):
        find_estimator("logistic_regression", "regression")


@pytest.mark.parametrize(
    "metric",
    [
        name
        for name, facts in METRICS.items()
        if facts.task != "clustering" and name not in ("cost", "interval_coverage")
    ],
)
def test_every_metric_prefers_the_better_of_two_models(metric: str) -> None:
    import numpy as np

    target = np.array([0, 0, 1, 1, 0, 1]) if METRICS[metric].task == "classification" else np.arange(1.0, 7.0)
    good, bad = target * 0.8 + 0.1, 0.9 - target * 0.1 - np.array([0, 0.5, 0.5, 0, 0, 0])
    better, worse = score_of(metric, target, good), score_of(metric, target, bad)
    assert better is not None
    assert worse is not None
    assert (better > worse) == METRICS[metric].greater_is_better
