"""A regression of rates, and one on a logarithmic scale, with bounds: the whole chain, and one number wherever it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from chain_run import NOW, declare, month, parcels, run_chain

from include.config.load import load_model
from include.config.sections.evaluation import Require
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.evaluation.evidence import Evidence, load_evidence
from include.notebook import load_champion
from include.registry.gate.judgement import judge
from include.registry.version_states import Outcome as Decided
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.predictor import open_predictor
from include.scoring.publication import Publication
from include.scoring.score import score
from include.serving.protocol.bodies import answer_table
from include.storage.content import get_content
from include.storage.local import LocalStore

POISSON = "training: {candidates: [{estimator: hist_gradient_boosting, params: {loss: poisson, max_iter: 60}}], exposure: distance, intervals: {coverage: 0.8}, cv: {kind: k_fold, folds: 3}}"
BOOSTED = "training: {candidates: [{estimator: hist_gradient_boosting, params: {max_iter: 60}}], target: {transform: log1p}, intervals: {coverage: 0.8}, cv: {kind: k_fold, folds: 3}}"
REQUIRED = "gate: {primary: {metric: mae}, require: [{metric: interval_coverage, at_least: 0.7}]}"


def trained(root: Path, training: str) -> tuple[LocalStore, Any, dict[str, Any]]:
    rows = parcels()
    rows["distance"] = rows["distance"].fillna(450.0)
    rng = np.random.default_rng(7)
    rows["stops"] = rng.poisson(rows["distance"] * np.exp(rows["weight"].clip(0, 15) / 5) / 20)
    declare(root / "parcels", rows)
    path = root / "parcels" / "model.yaml"
    text = path.read_text()
    text = text.replace("classification", "regression").replace("target: late", "target: stops")
    head, tail = text.partition("training:")[0], "evaluation: {metrics: [rmse], resamples: 200}\n"
    path.write_text(f"{head}{training}\n{tail}{REQUIRED}\n")
    model, store = load_model(path), LocalStore(root / "store")
    return store, model, run_chain(store, model, root / "parcels", month(4))


def evidence_of(store: LocalStore, done: dict[str, Any]) -> Evidence:
    return load_evidence(store, "parcels", done["evaluate"]["evidence"])


@pytest.mark.parametrize("training", [POISSON, BOOSTED], ids=["exposure", "transform"])
def test_scores_notebook_and_server_give_the_same_numbers_and_bounds(tmp_path: Path, training: str) -> None:
    store, model, done = trained(tmp_path, training)
    folder, window = tmp_path / "parcels", Window(month(5), month(6))
    measured = evidence_of(store, done).scores["challenger"]["interval_coverage"]
    assert measured.low is not None and measured.high is not None
    assert measured.low < 0.8 < measured.high
    assert evidence_of(store, done).scores["simple"]["interval_coverage"].value is None
    card = get_content(store, "parcels/cards", ".html", done["gate"]["card"]).decode()
    assert "Coverage of prediction intervals" in card
    assert done["decide"]["outcome"] == "PROMOTE"
    more = model.gate.model_copy(update={"require": (Require(metric="interval_coverage", at_least=0.95),)})
    assert judge(more, evidence_of(store, done), challenger_is_simple=False).outcome is Decided.REJECT

    snapshot = ingest_window(store, model, folder, window, at=NOW, connections=None)  # type: ignore[arg-type] # a Python source needs none
    manifest = score(store, model, folder, snapshot, at=NOW)
    assert manifest is not None
    published = Publication(store, "parcels", window).read(manifest).to_pandas()
    assert list(published) == [
        *("parcel", "sent_at", "prediction", "lower", "upper", "version", "out_of_domain"),
    ]
    rows = pd.read_parquet(folder / "rows.parquet")
    rows = rows[rows["sent_at"].gt(month(5)) & rows["sent_at"].le(month(6)) & rows["weight"].ge(0)]
    rows = rows.set_index("parcel", drop=False).rename_axis(None).loc[published["parcel"]]
    asked = load_champion("parcels", store=(tmp_path / "store").as_uri()).predict(rows)
    with open_predictor(store, model, folder, done["select"]) as predictor:
        raw = pa.Table.from_pandas(rows[list(predictor.schema)], preserve_index=False)
        served = answer_table(predictor.predict(predictor.inputs(raw))).to_pandas()
    for name in ("prediction", "lower", "upper"):
        assert (published[name].to_numpy() == asked[name].to_numpy()).all()
        assert (published[name].to_numpy() == served[name].to_numpy()).all()
    again = reproduce(store, model, folder, done["select"], at=NOW, connections=None)  # type: ignore[arg-type]
    assert again.outcome is Outcome.IDENTICAL
