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
from include.training.persistence.model_file import predict_scores
from tests.include.training.conftest import declare, fit_at_once, frame_of, snapshot_of

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


@pytest.mark.parametrize("task", ["classification", "many"])
@pytest.mark.parametrize(
    "candidate", [{"estimator": "stacking"}, {"estimator": "decision_tree", "calibration": "isotonic"}]
)
def test_a_class_that_only_the_oldest_rows_have_is_held_out_as_well(task: str, candidate: dict[str, str]) -> None:
    frame = frame_of(task)
    newer, rare = frame.index >= 100, frame["target"].isin([True, "low"])
    frame.loc[newer & rare, "target"] = False if task == "classification" else "middle"
    candidates = [{"estimator": "logistic_regression"}, {"estimator": "naive_bayes"}, candidate]
    model = declare(
        training={"candidates": candidates, "cross_fitting": {"kind": "time_series", "folds": 3}},
        gate={"primary": {"metric": "accuracy"}},
    )
    said = predict_scores(fit_at_once(model, frame, candidate["estimator"]), frame)
    assert said.shape == ((400,) if task == "classification" else (400, 3))
    of_rare = said if task == "classification" else said[:, 1]
    assert of_rare[rare & ~newer].mean() > of_rare[newer].mean() > 0


def test_held_out_groups_of_one_class_alone_are_refused() -> None:
    frame = frame_of()
    frame["place"] = np.where(frame["target"], 0, frame["id"] % 3)
    model = declare(
        training={
            "candidates": [{"estimator": "decision_tree", "calibration": "sigmoid"}],
            "cross_fitting": {"kind": "group", "group": "place", "folds": 3},
        }
    )
    with pytest.raises(TrainingError, match="all of one class"):
        fit_at_once(model, frame)


def test_a_class_of_which_drop_row_leaves_no_row_is_refused(tmp_path: Path) -> None:
    frame = frame_of("many")
    frame["size"] = frame["size"].fillna(0).where(frame["target"] != "low")
    model = declare(
        features={"numeric": {"columns": ["size", "weight"], "impute": "drop_row"}},
        training={"candidates": [{"estimator": "hist_gradient_boosting"}], "cv": {"folds": 1}},
        gate={"primary": {"metric": "accuracy"}},
    )
    store = LocalStore(tmp_path / "store")
    with pytest.raises(TrainingError, match="no row of a class is left"):
        fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "hist_gradient_boosting")


def test_a_mitigation_is_measured_on_the_folds_that_validation_is_of(tmp_path: Path) -> None:
    frame = frame_of()
    older = frame.index < 134  # the first of two folds is fitted to some of these
    frame["target"] = np.where(older, frame.index == 5, frame["target"])
    fairness = {"method": "group_thresholds", "column": "shape"}
    model = declare(
        training={"candidates": [{"estimator": "logistic_regression", "fairness": fairness}], "cv": {"folds": 2}}
    )
    frame["shape"] = np.where(frame["id"] % 2, "round", "square")
    store = LocalStore(tmp_path / "store")
    record = fit_candidate(store, model, tmp_path, snapshot_of(store, model, frame), "logistic_regression")
    assert record.cv is not None and record.cv.folds[0] is None
    assert record.mitigated is not None and record.mitigated["after"]["roc_auc"] is not None
