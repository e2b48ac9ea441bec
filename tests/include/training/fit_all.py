"""Fit every estimator in a fresh store and print the digests of the model files; run as a process by test_determinism."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from include.config.names import ESTIMATORS
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate
from tests.include.training.conftest import declare, frame_of, snapshot_of

QUICK = {
    "mlp": {"max_iter": 10, "hidden_layer_sizes": [8]},
    "keras_mlp": {"epochs": 2, "layers": [8], "dropout": 0.2, "batch_size": 256},
    "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8},
    "gradient_boosting": {"n_estimators": 20},
    "ada_boost": {"n_estimators": 10},
    "hist_gradient_boosting": {"max_iter": 10},
    "lightgbm": {"n_estimators": 10, "subsample": 0.8, "colsample_bytree": 0.8},
    "xgboost": {"n_estimators": 10, "subsample": 0.8, "colsample_bytree": 0.8},
    "catboost": {"n_estimators": 10, "subsample": 0.8, "rsm": 0.8},
}
ROWS = 1500
"""More than the thousand below which LightGBM uses one thread."""
FEATURES = {
    "numeric": {"columns": ["size", "weight"], "indicator": True, "outliers": {"method": "iqr"}, "scale": "standard"},
    "categorical": {"columns": ["colour"], "encode": "native"},
}

FOLDS = {"kind": "stratified", "folds": 2}
ONCE = {"kind": "time_series", "folds": 1}
EVERY_STEP = {
    "numeric": {"columns": ["size", "weight"], "skew": "power", "scale": "robust", "degree": 2},
    "categorical": [{"columns": ["colour"], "encode": "target"}],
    "dates": {"columns": ["at"], "parts": ["hour", "weekday"], "cyclic": True},
    "text": {"columns": ["note"], "unit": "character"},
    "select": [
        {"method": "variance"},
        {"method": "k_best", "k": 9, "score": "mutual_information"},
        {"method": "model"},
    ],
}
FEW_STEPS = {
    "numeric": {"columns": ["size", "weight"], "scale": "standard"},
    "categorical": [{"columns": ["colour"], "encode": "target"}],
}
"""For candidates that are fitted many times."""
EVERY_LAYER = [
    {"estimator": "random_forest", "params": {"n_estimators": 8}, "calibration": "isotonic"},
    {"estimator": "k_neighbors", "search": {"method": "halving", "trials": 3}},
    {"estimator": "naive_bayes", "fairness": {"method": "group_thresholds", "column": "colour"}},
    {"estimator": "stacking", "members": ["random_forest", "k_neighbors"]},
]


def options(threads: int) -> dict[str, list]:
    """Return the same of models that use what the estimators' own loop does not."""
    frame = frame_of(rows=400).assign(note=[f"note {number % 7}" for number in range(400)])
    reduced = {
        "estimator": "decision_tree",
        "fairness": {"method": "exponentiated_gradient", "column": "colour", "rounds": 5},
    }
    found = {}
    for name, features, parts in (
        ("smote", FEW_STEPS, {"candidates": EVERY_LAYER, "imbalance": "smote"}),
        ("reduced", FEW_STEPS, {"candidates": [reduced]}),
        ("steps", EVERY_STEP, {"candidates": [{"estimator": "naive_bayes"}], "imbalance": "smote"}),
    ):
        model = declare(features=features, training=parts | {"cv": ONCE, "cross_fitting": FOLDS})
        with tempfile.TemporaryDirectory() as folder:
            store = LocalStore(Path(folder))
            snapshot = snapshot_of(store, model, frame)
            for candidate in model.candidate_names:
                record = fit_candidate(store, model, Path(folder), snapshot, candidate, threads=threads)
                found[f"{name}/{candidate}"] = [record.key, record.model_file, record.cv and record.cv.mean]
    return found


def main(threads: int) -> None:
    """Print {task/candidate: digest}."""
    digests = options(threads)
    for task in ("classification", "regression", "clustering"):
        names = [name for name, facts in ESTIMATORS.items() if task in facts.tasks]
        candidates = [
            {"estimator": name, "params": QUICK.get(name, {}), "early_stopping": ESTIMATORS[name].early_stopping}
            for name in names
        ]
        candidates[0]["search"] = {"method": "bayesian", "trials": 3, "space": {"tol": {"low": 1e-5, "high": 1e-3}}}
        training = {"candidates": candidates, "cv": ONCE}
        model = declare(task, training=training, features=FEATURES)
        with tempfile.TemporaryDirectory() as folder:
            store = LocalStore(Path(folder))
            snapshot = snapshot_of(store, model, frame_of(task, rows=ROWS))
            for name in [*names, "trivial", "simple"]:
                record = fit_candidate(store, model, Path(folder), snapshot, name, threads=threads)
                digests[f"{task}/{name}"] = [record.key, record.model_file, record.cv and record.cv.mean]
    print(json.dumps(digests))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
