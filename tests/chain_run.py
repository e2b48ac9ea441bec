"""The chain without Airflow: a small model, and each task of a run as a function that can be repeated, killed or interleaved."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.config.code import code_digest
from include.config.load import load_model
from include.config.model import BASELINES, ModelConfig
from include.data.ingestion.ingest import ingest
from include.data.quality.check import check
from include.data.snapshots import Snapshot
from include.registry.challenger_selection import choose_challenger
from include.registry.decisions import Measure
from include.registry.evaluator import evaluator
from include.registry.history.card_files import save_card
from include.registry.ledger import Ledger
from include.scoring.golden import keep_golden
from include.storage.content import digest_json, from_iso, to_iso
from include.storage.local import LocalStore
from include.storage.remembering import RememberingStore
from include.storage.store import ObjectStore
from include.training.fit_candidate import fit_candidate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BACKFILL = {"trigger": "backfill", "dag": "retrain_parcels", "run": "backfill"}

_YAML = """
name: parcels
description: Will this parcel be late?
owner: depot
task: classification
schedule: {start: 2024-04-01, end: 2025-01-01}
data:
  source: {kind: python, reader: source:read}
  event_time: sent_at
  row_id: parcel
  target: late
  partition: month
  label_delay: 1d
  windows: {train: 2mo, holdout: 1mo}
quality:
  expectations:
    - expect_column_values_to_be_between: {column: weight, min_value: 0, quarantine: true}
    - expect_column_values_to_be_in_set: {column: carrier, value_set: [ant, bee, cat], severity: critical}
features:
  derive: features:derive
  numeric: {columns: [weight, distance, evening], scale: standard}
  categorical: {columns: [carrier]}
training:
  candidates:
    - {estimator: logistic_regression}
    - {estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}
  cv: {kind: time_series, folds: 1}
evaluation: {metrics: [roc_auc, brier], slices: [carrier], resamples: 200}
gate:
  primary: {metric: roc_auc, confidence: 0.9}
  guards: [{slice: carrier, metric: roc_auc, max_loss: 0.1, min_support: 500}]
"""

_SOURCE = """
from pathlib import Path

import pyarrow.parquet as pq


def read(start, end):
    yield pq.read_table(Path(__file__).with_name("rows.parquet"), filters=[("sent_at", ">=", start), ("sent_at", "<", end)])
"""

_FEATURES = """
def derive(frame):
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18)
"""


def parcels(*, rows: int = 3000, seed: int = 3) -> pd.DataFrame:
    """Return rows of 2024; what makes a parcel late turns round in April, so that a champion from before grows old."""
    rng = np.random.default_rng(seed)
    start, end = pd.Timestamp("2024-01-01", tz=UTC), pd.Timestamp("2025-01-01", tz=UTC)
    seconds = np.sort(rng.choice(int((end - start).total_seconds()), rows, replace=False))
    frame = pd.DataFrame({"sent_at": (start + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us, UTC]")})
    frame["parcel"] = np.arange(rows)
    frame["weight"] = rng.gamma(2, 3, rows).round(3)
    frame["distance"] = np.where(rng.random(rows) < 0.05, np.nan, rng.uniform(1, 900, rows).round(1))
    frame["carrier"] = rng.choice(["ant", "bee", "cat"], rows, p=[0.5, 0.3, 0.2])
    # Neither alone tells: a line through them is a weak opponent for a tree.
    far, heavy = frame["distance"].fillna(450) > 450, frame["weight"] > 5
    turned = (frame["sent_at"] >= month(4)) & (frame["carrier"] != "cat")
    chance = 0.1 + 0.15 * far + 0.5 * (far ^ heavy ^ turned)
    frame["late"] = rng.random(rows) < chance
    frame.loc[rng.random(rows) < 0.01, "weight"] = -1.0
    return frame


def declare(folder: Path, rows: pd.DataFrame | None = None, **replaced: str) -> ModelConfig:
    """Write the model's folder, its name being ``parcels``, and return the declaration.

    Parameters
    ----------
    replaced : str
        Texts of the YAML by the key before them, such as ``label_delay="3d"``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _YAML
    for key, value in replaced.items():
        (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        text = text.replace(line, f"{line.partition(key)[0]}{key}: {value}")
    (folder / "model.yaml").write_text(text)
    (folder / "source.py").write_text(_SOURCE)
    (folder / "features.py").write_text(_FEATURES)
    (parcels() if rows is None else rows).to_parquet(folder / "rows.parquet", index=False)
    return load_model(folder / "model.yaml")


def month(number: int) -> datetime:
    """Return the first instant of a month of 2024, or of the years after it."""
    return datetime(2024 + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=UTC)


Done = dict[str, Any]
"""What each task of a run handed over, by its name."""
Step = Callable[["Run", ObjectStore, Done], Any]


@dataclass(frozen=True)
class Run:
    """One run of the DAG: the tasks call what the operators call, in the same order, with what those hand over."""

    model: ModelConfig
    folder: Path
    as_of: datetime
    at: datetime = NOW
    actor: dict[str, Any] = field(default_factory=lambda: dict(BACKFILL))
    connections: Any = None

    @property
    def steps(self) -> dict[str, Step]:
        """The tasks by name, in their order."""
        trained = [*self.model.candidate_names, "baselines"]
        return {
            "ingest": Run.ingest,
            "check": Run.check,
            **{f"train_{name}": _train(name) for name in trained},
            "select": Run.select,
            "evaluate": Run.evaluate,
            "gate": Run.gate,
            "decide": Run.decide,
            "settle": Run.settle,
        }

    def do(self, name: str, store: ObjectStore, done: Mapping[str, Any]) -> Done:
        """Do one task and return what is handed over by then; through JSON, as XCom would."""
        upstream = self.steps[name](self, RememberingStore(store), dict(done))  # as the operators open it
        return {**done, name: json.loads(json.dumps(upstream))}

    def ingest(self, store: ObjectStore, done: Done) -> Any:
        snapshot = ingest(
            store, self.model, self.folder, as_of=self.as_of, at=self.at, connections=self.connections or _Nowhere()
        )
        config = digest_json({"model": self.model.identity, "code": code_digest(self.folder)})
        return {"as_of": to_iso(snapshot.as_of), "config": config, "snapshot": snapshot.digest}

    def check(self, store: ObjectStore, done: Done) -> Any:
        snapshot = Snapshot.load(store, self.model.name, done["ingest"]["snapshot"])
        report = check(store, self.model, self.folder, snapshot)
        return {"snapshot": report.snapshot, "report": report.report, "page": report.page}

    def select(self, store: ObjectStore, done: Done) -> Any:
        fits = {name: key for step, keys in done.items() if step.startswith("train_") for name, key in keys.items()}
        version = choose_challenger(store, self.model, from_iso(done["ingest"]["as_of"]), fits)
        keep_golden(store, self.model, self.folder, version)
        Ledger(store, self.model.name).register(version, actor=self.actor, at=self.at)
        return version.id

    def evaluate(self, store: ObjectStore, done: Done) -> Any:
        measured = Ledger(store, self.model.name).measure(self.model, done["select"], self._measure(store))
        return {"incumbent": measured.incumbent.id if measured.incumbent else None, "evidence": measured.digest}

    def gate(self, store: ObjectStore, done: Done) -> Any:
        measured = Ledger(store, self.model.name).measure(self.model, done["select"], self._measure(store))
        judgement = measured.judge(self.model.gate)
        return {"outcome": judgement.outcome.value, "card": save_card(store, self.model, measured, judgement)}

    def decide(self, store: ObjectStore, done: Done) -> Any:
        ledger, measure = Ledger(store, self.model.name), self._measure(store)
        decision = ledger.decide(self.model, done["select"], measure=measure, actor=self.actor, at=self.at)
        return {"outcome": decision.outcome.value, "incumbent": decision.incumbent}

    def settle(self, store: ObjectStore, done: Done) -> Any:
        ledger = Ledger(store, self.model.name)
        ledger.settle(measure=self._measure(store), actor=self.actor, at=self.at)
        return ledger.timeline(fresh=False).champion

    def _measure(self, store: ObjectStore) -> Measure:
        # A clock that ticks evenly: what predicting takes is the one thing in evidence that no two measurements share.
        ticks = itertools.count()
        return evaluator(store, self.folder, threads=1, clock=lambda: float(next(ticks)))


def _train(name: str) -> Step:
    def train(run: Run, store: ObjectStore, done: Done) -> Any:
        snapshot = Snapshot.load(store, run.model.name, done["check"]["snapshot"])
        names = BASELINES if name == "baselines" else (name,)
        return {name: fit_candidate(store, run.model, run.folder, snapshot, name).key for name in names}

    return train


class _Nowhere:
    """The connections of a model that needs none."""

    def s3(self, connection: str | None) -> Any:
        raise AssertionError(connection)

    def sql(self, connection: str) -> Any:
        raise AssertionError(connection)


def run_chain(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    as_of: datetime,
    at: datetime = NOW,
    actor: dict[str, Any] | None = None,
    connections: Any = None,
) -> Done:
    """Do a whole run and return what its tasks handed over."""
    run = Run(model, folder, as_of, at, dict(BACKFILL) if actor is None else actor, connections)
    done: Done = {}
    for name in run.steps:
        done = run.do(name, store, done)
    return done


def objects(store: ObjectStore) -> dict[str, Any]:
    """Return all that a store holds, but for nonces and recorded instants.

    What follows from those goes with them: an entry's own digest, and the digest of the entry before it. So do the
    checkpoints of logs, caches of which a killed writer leaves out some.
    """
    return {key: _timeless(key, store.get(key)) for key in store.list("") if "-checkpoints/" not in key}


def _timeless(key: str, body: bytes) -> Any:
    folder = key.split("/")[-2]
    if folder not in ("log", "ledger"):
        return body
    value = json.loads(body)
    for fact in ("nonce", "at", "digest", "previous"):
        assert fact in value
        value[fact] = "masked"
    return value


def run_in_child(store: Path, folder: Path, as_ofs: Iterable[datetime]) -> None:
    """Do whole runs, one after the other, in a process of its own."""
    model = load_model(folder / "model.yaml")
    for number, as_of in enumerate(as_ofs):
        run_chain(LocalStore(store), model, folder, as_of, at=NOW + timedelta(seconds=number))


def step_in_child(store: Path, run: Run, name: str, done: Done, ready: Connection) -> None:
    """Do one task in a process of its own, which waits for its start and then for whoever kills it."""
    ready.send(os.getpid())
    ready.recv()
    run.do(name, LocalStore(store), done)
    signal.pause()
