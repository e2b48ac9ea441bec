"""Contributions in batch scores: they add up to the prediction, and are those that the server gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from chain_run import declare, month, parcels, run_chain
from scipy.special import expit

from include.config.load import load_model
from include.config.sections.score import Score
from include.scoring.attributions import attribute
from include.scoring.predictor import open_predictor
from include.storage.local import LocalStore
from tests.include.scoring.conftest import World

BOOSTED = "{estimator: hist_gradient_boosting, params: {max_iter: 30}}"
FOREST, NEIGHBOURS = "{estimator: random_forest, params: {n_estimators: 10}}", "{estimator: k_neighbors}"


def scored(root: Path, candidate: str) -> World:
    folder = root / "parcels"
    declare(folder, parcels())
    path = folder / "model.yaml"
    head, _, tail = path.read_text().partition("training:")
    tail = tail.partition("evaluation:")[2]
    path.write_text(f"{head}training: {{candidates: [{candidate}]}}\nevaluation:{tail}")
    model = load_model(path).model_copy(update={"score": Score(contributions=True)})
    world = World(folder, LocalStore(root / "store"), model)
    run_chain(world.store, model, folder, month(4))
    assert world.score(5) is not None
    return world


@pytest.mark.parametrize("candidate", [BOOSTED, FOREST], ids=["boosted", "forest"])
def test_contributions_add_up_to_the_prediction_and_are_those_of_the_server(tmp_path: Path, candidate: str) -> None:
    world = scored(tmp_path, candidate)
    scores = world.read(5)
    names = [name for name in scores if name.startswith("contribution_of_")]
    (scale,) = set(scores["contribution_scale"])
    total = scores["contribution_base"] + scores[names].sum(axis=1)
    assert (scores[names].abs().max() > 0).any()
    np.testing.assert_allclose(expit(total) if scale == "log-odds" else total, scores["prediction"], rtol=1e-9)
    manifest = world.publication(5).newest()
    assert manifest is not None
    rows = pd.read_parquet(world.folder / "rows.parquet").set_index("parcel", drop=False).rename_axis(None)
    rows = rows.loc[scores["parcel"]]
    with open_predictor(world.store, world.model, world.folder, manifest.version) as predictor:
        raw = pa.Table.from_pandas(rows[list(predictor.schema)], preserve_index=False)
        served = attribute(predictor, predictor.inputs(raw))
    assert names == [f"contribution_of_{name}" for name in served.columns]
    assert (scores[names].to_numpy() == served.contributions).all()


def test_a_version_without_contributions_is_scored_without_them_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = scored(tmp_path, NEIGHBOURS)
    assert not [name for name in world.read(5) if name.startswith("contribution_")]
    assert "scored without contributions" in caplog.text
