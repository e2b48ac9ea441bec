"""A class of a few rows among hundreds is learned, whatever learns from scores of rows held out (LightAutoML#64, imbalanced-learn#572)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.config.load import load_model
from include.data.ingestion.ingest import ingest
from include.errors import TrainingError
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate
from include.training.fit_record import FitRecord

_YAML = """
name: frauds
description: Is this payment a fraud?
owner: payments
task: classification
schedule: {{start: 2025-01-01}}
data:
  source:
    kind: files
    path: rows.csv
    format: csv
    columns: {{id: {{type: integer}}, x: {{type: float}}, fraud: {{type: string}}, at: {{type: timestamp}}}}
  row_id: id
  target: fraud
  {windows}
features: {{numeric: {{columns: [x]}}}}
training:
  candidates: [{{estimator: logistic_regression}}, {{estimator: gaussian, calibration: sigmoid}}, {{estimator: stacking}}]
  {training}
gate: {{primary: {{metric: average_precision}}}}
""".replace("estimator: gaussian", "estimator: naive_bayes")
BY_TIME = "event_time: at\n  windows: {train: 120d, holdout: 30d}"


def fit(folder: Path, frauds: int, *, windows: str = BY_TIME, training: str = "seed: 0") -> FitRecord:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"id": range(400), "x": rng.normal(size=400).round(4), "fraud": "no"})
    rows["at"] = pd.date_range("2025-01-01", periods=400, freq="9h").strftime("%Y-%m-%dT%H:%M:%SZ")
    drawn = rng.choice(300, frauds, replace=False)
    rows.loc[drawn, ["fraud", "x"]] = ["yes", 2.5]
    rows.to_csv(folder / "rows.csv", index=False)
    (folder / "model.yaml").write_text(_YAML.format(windows=windows, training=training))
    model, store = load_model(folder / "model.yaml"), LocalStore(folder / "store")
    as_of = datetime(2025, 5, 30, tzinfo=UTC)
    snapshot = ingest(store, model, folder, as_of=as_of, at=as_of, connections=None)
    return fit_candidate(store, model, folder, snapshot, "stacking")


@pytest.mark.parametrize(
    ("windows", "training"),
    [
        (BY_TIME, "cv: {kind: time_series, folds: 3}"),
        (BY_TIME, "cv: {kind: stratified, folds: 5}"),
        (BY_TIME, "imbalance: smote"),
        (BY_TIME, "threshold: {objective: f1}"),
        ("holdout: 0.25", "cv: {kind: stratified, folds: 5}"),
    ],
)
def test_seven_frauds_in_four_hundred_rows_are_stacked(tmp_path: Path, windows: str, training: str) -> None:
    folder = tmp_path / "frauds"
    folder.mkdir()
    record = fit(folder, 7, windows=windows, training=training)
    assert record.cv is not None
    assert record.cv.mean > 0.5  # where one row in sixty is a fraud


def test_too_few_rows_of_a_class_are_counted_and_the_way_out_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "frauds"
    folder.mkdir()
    with pytest.raises(
        TrainingError, match=r"(?s)(too few rows to learn from scores|undefined on every fold).*what to do"
    ):
        fit(folder, 2)
