"""Fit every estimator in a fresh store and print the digests of the model files; run as a process by test_determinism."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from include.config.names import ESTIMATORS
from include.storage.local import LocalStore
from include.training.fit import fit_candidate
from tests.include.training.conftest import declare, frame_of, snapshot_of

QUICK = {
    "mlp": {"max_iter": 10, "hidden_layer_sizes": [8]},
    "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8},
    "gradient_boosting": {"n_estimators": 20},
    "ada_boost": {"n_estimators": 10},
    "hist_gradient_boosting": {"max_iter": 10},
}
FEATURES = {
    "numeric": {"columns": ["size", "weight"], "indicator": True, "outliers": {"method": "iqr"}, "scale": "standard"},
    "categorical": {"columns": ["colour"], "encode": "native"},
}


def main(threads: int) -> None:
    """Print {task/candidate: digest}."""
    digests = {}
    for task in ("classification", "regression"):
        names = [name for name, facts in ESTIMATORS.items() if task in facts.tasks]
        candidates = [
            {"estimator": name, "params": QUICK.get(name, {}), "early_stopping": ESTIMATORS[name].early_stopping}
            for name in names
        ]
        candidates[0]["search"] = {"method": "bayesian", "trials": 3, "space": {"tol": {"low": 1e-5, "high": 1e-3}}}
        training = {"candidates": candidates, "cv": {"kind": "k_fold", "folds": 2}}
        model = declare(task, training=training, features=FEATURES)
        with tempfile.TemporaryDirectory() as folder:
            store = LocalStore(Path(folder))
            snapshot = snapshot_of(store, model, frame_of(task, rows=3000))
            for name in [*names, "trivial", "simple"]:
                record = fit_candidate(store, model, Path(folder), snapshot, name, threads=threads)
                digests[f"{task}/{name}"] = [record.key, record.model_file, record.cv and record.cv.mean]
    print(json.dumps(digests))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
