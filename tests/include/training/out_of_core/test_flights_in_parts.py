"""Real flights: what two workers fit to a month of them beside what one process fits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.leakage.preparation import _NEAR, _differences
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier
from include.training.fit_pipeline import fit_model
from include.training.out_of_core.parted_rows import open_parted_rows
from include.training.persistence.model_file import predict_scores
from include.training.training_rows import read_training_rows
from tests.chain_run import Run
from tests.worlds import FLIGHTS, MODELS


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, ModelConfig, Path, Snapshot]:
    said = FLIGHTS.to_json()
    said["data"] |= {"windows": {"train": "1mo", "holdout": "10d"}, "partition": "day"}
    said["training"] |= {"engine": "dask", "candidates": [{"estimator": "lightgbm", "params": {"n_estimators": 50}}]}
    model, store = ModelConfig.model_validate(said), LocalStore(tmp_path_factory.mktemp("flights"))
    folder = MODELS / "flight_delay"
    done = Run(model, folder, datetime(2013, 6, 20, tzinfo=UTC)).do("ingest", store, {})
    return store, model, folder, Snapshot.load(store, model.name, done["ingest"]["snapshot"])


@pytest.mark.parametrize(("name", "close"), [("simple", 1e-4), ("lightgbm", 0.01)])
def test_flights_are_prepared_alike_and_told_apart_as_well(
    name: str,
    close: float,
    shelf: tuple[LocalStore, ModelConfig, Path, Snapshot],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = LightGBMClassifier.parameters
    # Rows whose bins are those of a sample are in no bundles.
    monkeypatch.setattr(LightGBMClassifier, "parameters", lambda self: own(self) | {"enable_bundle": False})
    store, model, folder, snapshot = shelf
    recipe = recipe_of(model, name)
    alone = fit_model(recipe, recipe.settings, read_training_rows(store, model, folder, snapshot, recipe))
    with open_parted_rows(store, model, folder, snapshot, recipe, address) as parted:
        assert len(parted.parts) > 20
        together = fit_model(recipe, recipe.settings, parted)
    assert list(_differences(together["prepare"], alone["prepare"], (), _NEAR)) == []
    held = read_rows(store, snapshot, model, folder, window="holdout", columns=[*recipe.inputs, "late"])
    late = held.pop("late").to_numpy(bool)
    scores = [roc_auc_score(late, predict_scores(fitted, held)) for fitted in (alone, together)]
    assert scores[1] == pytest.approx(scores[0], abs=close)
