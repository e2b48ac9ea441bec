from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from include.config.names import ESTIMATORS
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.fit import fit_candidate
from include.training.model_file import load, predict_scores
from tests.include.training.conftest import declare, frame_of, snapshot_of

PAIRS = [(name, task) for name, facts in ESTIMATORS.items() for task in facts.tasks]
QUICK = {
    "mlp": {"max_iter": 100, "hidden_layer_sizes": [8], "learning_rate_init": 0.02},
    "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8},
    "hist_gradient_boosting": {"max_iter": 15},
}


def candidate(name: str, **parts: object) -> dict:
    return {"candidates": [{"estimator": name, "params": QUICK.get(name, {}), **parts}], "cv": {"folds": 1}}


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_every_estimator_fits_and_its_model_file_predicts_the_same(
    name: str, task: str, store: LocalStore, tmp_path: Path
) -> None:
    model = declare(task, training=candidate(name))
    frame = frame_of(task)
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), name)
    pipeline = load(get_content(store, "toy/models", ".skops", record.model_file), record.model_file)
    scores = predict_scores(pipeline, frame)
    assert scores.shape == (len(frame),)
    if task == "classification":
        assert scores.min() >= 0
        assert scores.max() <= 1
        assert scores[frame.target].mean() > scores[~frame.target].mean() + 0.1
    else:
        assert np.corrcoef(scores, frame.target)[0, 1] > 0.5
