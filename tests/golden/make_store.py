"""Make a small store with the code of a release, for the test that later releases open, verify, score from and retrain on.

Run from the root of the release's checkout: ``python tests/golden/make_store.py tests/golden/store-0.1.0.zip``. The models use
every type of ours that a model file can hold. What each fit predicted is in ``expected.json`` beside the store.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from chain_run import _FEATURES, _SOURCE, NOW, month, parcels, run_chain  # noqa: E402

from include.config.load import load_model  # noqa: E402
from include.data.frames import read_rows  # noqa: E402
from include.data.partitions import ingest_window  # noqa: E402
from include.data.snapshots import Snapshot  # noqa: E402
from include.data.windows import Window  # noqa: E402
from include.evaluation.contenders import open_model, score_rows  # noqa: E402
from include.registry.ledger import Ledger  # noqa: E402
from include.registry.rollback import roll_back  # noqa: E402
from include.scoring.score import score  # noqa: E402
from include.storage.content import get_json  # noqa: E402
from include.storage.local import LocalStore  # noqa: E402
from include.training.record import FitRecord  # noqa: E402

HEAD = """
name: {name}
description: Will this parcel be late?
owner: depot
task: {task}
schedule: {{start: 2024-04-01, end: 2025-01-01}}
data:
  source: {{kind: python, reader: source:read}}
  event_time: sent_at
  row_id: parcel
  {target}
  partition: month
  windows: {{train: 2mo, holdout: 1mo}}
quality:
  expectations:
    - expect_column_values_to_be_between: {{column: weight, min_value: 0, quarantine: true}}
"""
FEATURES = """
features:
  derive: features:derive
  numeric:
    - {{columns: [weight], skew: log, outliers: {{method: iqr, action: clip, factor: 3}}, scale: standard}}
    - {{columns: [distance, evening], max_missing: 0.5, scale: standard}}
  categorical:
    - {{columns: [carrier], encode: {encode}}}
    - {{columns: [carrier, size], cross: true}}
  dates: {{columns: [sent_at], parts: [hour, weekday], cyclic: true}}
  text: {{columns: [remark], max_features: 20}}
  select: {{method: k_best, k: 12}}
"""
PARCELS = (
    HEAD.format(name="parcels", task="classification", target="target: late\n  label_delay: 1d")
    + FEATURES.format(encode="target")
    + """
training:
  candidates:
    - {estimator: logistic_regression}
    - {name: tree, estimator: decision_tree, params: {max_depth: 4}, calibration: sigmoid}
    - {name: fair, estimator: logistic_regression, fairness: {method: exponentiated_gradient, column: size, rounds: 5}}
    - {name: thresholds, estimator: decision_tree, params: {max_depth: 3}, fairness: {method: group_thresholds, column: size}}
    - {estimator: stacking, members: [logistic_regression, tree]}
  cv: {kind: time_series, folds: 1}
  cross_fitting: {kind: stratified, folds: 2}
evaluation: {metrics: [roc_auc, brier], slices: [carrier], resamples: 200}
gate:
  primary: {metric: roc_auc, confidence: 0.9}
"""
)
WEIGHTS = (
    HEAD.format(name="weights", task="regression", target="target: hours\n  label_delay: 1d")
    + FEATURES.format(encode="one_hot")
    + """
training:
  candidates:
    - {estimator: ridge}
    - {estimator: decision_tree, params: {max_depth: 6}}
    - {estimator: voting, members: [ridge, decision_tree]}
  cv: {kind: time_series, folds: 1}
evaluation: {metrics: [rmse, mae], slices: [{column: weight, edges: [3, 6]}], resamples: 200}
gate:
  primary: {metric: rmse, confidence: 0.9}
"""
)
GROUPS = (
    HEAD.format(name="groups", task="clustering", target="label_delay: 0d")
    + """
features:
  derive: features:derive
  numeric: {columns: [east, north], scale: standard}
training:
  candidates:
    - {estimator: k_means, params: {n_clusters: 3}}
    - {estimator: hdbscan, params: {min_cluster_size: 20}}
  cv: {kind: time_series, folds: 1}
evaluation: {metrics: [silhouette, stability], slices: [carrier], resamples: 200}
gate:
  primary: {metric: silhouette, rule: not_worse, margin: 0.05}
"""
)


def main(target: Path) -> None:
    rows = parcels(rows=3000)
    rng = np.random.default_rng(5)
    rows["size"] = np.where(rng.random(len(rows)) < 0.6, "small", "large")
    rows["remark"] = rng.choice(["leave at door", "fragile glass", "ring twice", "door code"], len(rows))
    place = rng.integers(0, 3, len(rows))
    rows["east"] = (10.0 * place + rng.normal(0, 1, len(rows))).round(2)
    rows["north"] = (10.0 * (place == 1) + rng.normal(0, 1, len(rows))).round(2)
    crossed = (rows["distance"].fillna(450) > 450) ^ (rows["weight"] > 5)
    rows["hours"] = (20 + rows["weight"] + 8 * crossed + rng.normal(0, 1, len(rows))).round(2)
    expected: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store = LocalStore(work / "store")
        for name, text in {"parcels": PARCELS, "weights": WEIGHTS, "groups": GROUPS}.items():
            place = work / "models" / name
            place.mkdir(parents=True)
            (place / "model.yaml").write_text(text.lstrip())
            (place / "source.py").write_text(_SOURCE)
            (place / "features.py").write_text(_FEATURES)
            rows.to_parquet(place / "rows.parquet", index=False)
            model = load_model(place / "model.yaml")
            for number, on in enumerate((4, 7, 9) if name == "parcels" else (7,)):
                run_chain(store, model, place, month(on), at=NOW + timedelta(days=number))
            ledger = Ledger(store, name)
            if name == "parcels":
                actor = {"trigger": "manual", "dag": "rollback_parcels", "run": "by hand"}
                roll_back(
                    ledger,
                    ledger.timeline().standings[1].version,
                    "tried out",
                    asked=NOW + timedelta(days=9),
                    actor=actor,
                    at=NOW + timedelta(days=9),
                )
            window = Window(month(10), month(11))
            snapshot = ingest_window(store, model, place, window, at=NOW, connections=None)
            assert score(store, model, place, snapshot, at=NOW) is not None, ledger.timeline().standings
            for key in store.list(f"{name}/fits/"):
                fit = FitRecord.from_json(get_json(store, key))
                own = Snapshot.load(store, name, fit.snapshot)
                columns = list(dict.fromkeys([*model.data.row_id, model.data.event_time, *fit.columns]))
                frame = read_rows(store, own, model, place, window="holdout", columns=columns, labelled=False)[:25]
                expected[f"{name}/{fit.key}"] = np.asarray(
                    score_rows(open_model(store, fit), fit, frame).score
                ).tolist()
        (work / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True))
        with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(work.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, file.relative_to(work))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
