"""A clustering goes through the whole chain, and is measured in one space on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, Done, month, run_chain
from sklearn import metrics as sk

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.compared_models import ComparedModel, load_model_file
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.measure import measure
from include.evaluation.metrics.clustering import _paired
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.registry.versions import load_version
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.estimators.predictions import predicted_clusters, prepared_inputs
from include.training.fit_record import FitRecord, load_fit

YAML = """
name: fleet
description: Which kinds of aircraft are there?
owner: tests
task: clustering
schedule: {start: 2024-03-01}
data:
  source: {kind: python, reader: source:read}
  event_time: seen_at
  row_id: tail
  partition: month
  windows: {train: 2mo, holdout: 1mo}
features:
  numeric: {columns: [seats, range], impute: median, scale: standard}
training:
  candidates:
    - {estimator: k_means, params: {n_clusters: 3}}
    - {estimator: hdbscan, params: {min_cluster_size: 40}}
  cv: {kind: time_series, folds: 1}
evaluation: {metrics: [davies_bouldin, calinski_harabasz, stability], slices: [maker], resamples: 200}
gate:
  primary: {metric: silhouette, rule: not_worse, margin: 0.05}
  require: [{metric: silhouette, at_least: 0.4}, {metric: stability, at_least: 0.6}]
  guards: [{metric: silhouette, slice: maker, max_loss: 0.2, min_support: 20}]
  churn: {at_most: 0.2}
"""
SOURCE = """
from pathlib import Path

import pyarrow.parquet as pq


def read(start, end):
    yield pq.read_table(Path(__file__).with_name("rows.parquet"), filters=[("seen_at", ">=", start), ("seen_at", "<", end)])
"""


def fleet(rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    seconds = np.sort(rng.choice(150 * 86_400, rows, replace=False))
    frame = pd.DataFrame({"seen_at": (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(seconds, unit="s"))})
    frame["seen_at"] = frame["seen_at"].astype("datetime64[us, UTC]")
    frame["tail"] = np.arange(rows)
    frame["seats"] = np.array([6, 150, 380])[kind] + rng.normal(0, 30, rows)
    frame["range"] = np.array([800, 5000, 13000])[kind] + rng.normal(0, 900, rows)
    frame["maker"] = np.where(rng.random(rows) < 0.9, np.array(["piper", "airbus", "boeing"])[kind], "other")
    return frame


def write(folder: Path, text: str = YAML) -> ModelConfig:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(text)
    (folder / "source.py").write_text(SOURCE)
    fleet().to_parquet(folder / "rows.parquet", index=False)
    return load_model(folder / "model.yaml")


class World:
    """Two retrainings of one model."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "fleet", LocalStore(root / "store")
        self.model = write(self.folder)
        self.first, self.second = (run_chain(self.store, self.model, self.folder, month(number)) for number in (4, 5))

    def evidence(self, done: Done) -> Evidence:
        return load_evidence(self.store, "fleet", done["evaluate"]["evidence"])

    def fit(self, done: Done, role: str = "challenger") -> FitRecord:
        version = load_version(self.store, "fleet", done["select"])
        return load_fit(self.store, "fleet", version.fit if role == "challenger" else version.baselines[role])

    def held(self, done: Done) -> pd.DataFrame:
        snapshot = Snapshot.load(self.store, "fleet", done["check"]["snapshot"])
        return read_rows(self.store, snapshot, self.model, self.folder, window="holdout")

    def labels(self, fit: FitRecord, rows: pd.DataFrame) -> np.ndarray:
        return predicted_clusters(load_model_file(self.store, "fleet", fit.model_file), rows)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield World(tmp_path_factory.mktemp("fleet"))


def test_a_clustering_is_promoted_on_evidence_and_the_next_one_is_measured_against_it(world: World) -> None:
    assert world.first["decide"]["outcome"] == Outcome.PROMOTE.value, world.first
    evidence = world.evidence(world.second)
    assert evidence.incumbent == world.first["select"] and evidence.comparable
    assert evidence.gain("silhouette", "incumbent").bound(0.95) is not None
    gain = evidence.gain("silhouette", "trivial")
    assert gain is not None and gain.estimate is not None
    assert gain.bound(0.95) < gain.estimate < gain.upper(0.95)
    assert world.second["decide"]["outcome"] == Outcome.PROMOTE.value
    assert evidence.holdout.positives is None
    timeline = Ledger(world.store, "fleet").timeline()
    assert timeline.champion == world.second["select"]


def test_every_model_is_measured_on_the_same_rows_in_the_simple_baselines_space(world: World) -> None:
    evidence, rows = world.evidence(world.second), world.held(world.second)
    space = prepared_inputs(load_model_file(world.store, "fleet", world.fit(world.second, "simple").model_file), rows)
    fits = {
        "challenger": world.fit(world.second),
        "incumbent": world.fit(world.first),
        "simple": world.fit(world.second, "simple"),
    }
    for role, fit in fits.items():
        labels, found = world.labels(fit, rows), evidence.scores[role]
        assert (labels >= 0).all()
        assert found["silhouette"].value == pytest.approx(sk.silhouette_score(space, labels))
        assert found["davies_bouldin"].value == pytest.approx(sk.davies_bouldin_score(space, labels))
        assert found["calinski_harabasz"].value == pytest.approx(sk.calinski_harabasz_score(space, labels))
        assert all(measured.low <= measured.value <= measured.high for measured in found.values())
    assert abs(evidence.scores["trivial"]["silhouette"].value) < 0.05


def test_stability_is_the_mean_agreement_with_refits_to_resamples(world: World) -> None:
    evidence, rows, fit = world.evidence(world.second), world.held(world.second), world.fit(world.second)
    own = world.labels(fit, rows)
    found = [
        sk.adjusted_rand_score(own, predicted_clusters(load_model_file(world.store, "fleet", one), rows))
        for one in fit.refits
    ]
    assert evidence.scores["challenger"]["stability"].value == pytest.approx(np.mean(found))
    assert abs(evidence.scores["trivial"]["stability"].value) < 0.05
    low, high = np.mean(found) + np.array([-1, 1]) * 2.262 * np.std(found, ddof=1) / np.sqrt(len(found))
    trivial = evidence.scores["trivial"]["stability"]
    assert trivial.low < trivial.value < trivial.high
    challenger = evidence.scores["challenger"]["stability"]
    assert (challenger.low, challenger.high) == pytest.approx((low, high), abs=2e-3)


def test_without_refits_on_record_stability_is_undefined_and_the_gate_does_not_promote(world: World) -> None:
    snapshot = Snapshot.load(world.store, "fleet", world.second["check"]["snapshot"])
    contender = ComparedModel("bare", replace(world.fit(world.second), key="f" * 64, refits=None))
    baselines = {role: world.fit(world.second, role) for role in ("trivial", "simple")}
    evidence, _ = measure(
        world.store,
        world.model,
        world.folder,
        challenger=contender,
        incumbent=None,
        baselines=baselines,
        snapshot=snapshot,
        clock=iter(range(100)).__next__,
    )
    from include.registry.gate.judgement import judge

    assert "refits" in evidence.scores["challenger"]["stability"].undefined
    assert judge(world.model.gate, evidence, challenger_is_simple=True).outcome is Outcome.HOLD


def test_slices_have_silhouettes_of_their_rows_and_nothing_that_is_of_all_rows(world: World) -> None:
    evidence, rows = world.evidence(world.second), world.held(world.second)
    space = prepared_inputs(load_model_file(world.store, "fleet", world.fit(world.second, "simple").model_file), rows)
    each = sk.silhouette_samples(space, world.labels(world.fit(world.second), rows))
    for level in evidence.slice_scores:
        found = level.scores["challenger"]
        assert found["silhouette"].value == pytest.approx(each[(rows["maker"] == level.level).to_numpy()].mean())
        assert found["stability"].undefined == found["davies_bouldin"].undefined == "it is of all rows together"


def test_churn_is_of_rows_that_change_cluster_and_not_of_numbers_that_change() -> None:
    ours = np.array([0, 0, 0, 1, 1, 2, 2, -1])
    theirs = np.array([5, 5, 5, 0, 0, 1, 0, -1])
    paired = _paired(ours, theirs)
    assert (paired != ours).tolist() == [False] * 6 + [True, False]
    more = _paired(np.zeros(4, dtype=int), np.array([0, 0, 0, 1]))
    assert more[:3].tolist() == [0, 0, 0] and more[3] not in (0, -1)


def test_two_versions_of_the_same_clusters_change_few_rows(world: World) -> None:
    (whole,) = [one for one in world.evidence(world.second).churn if one.slice is None]
    assert whole.share.value < 0.1


def test_the_card_describes_the_clusters(world: World) -> None:
    evidence, rows = world.evidence(world.second), world.held(world.second)
    everything, largest, *_ = evidence.clusters
    labels = world.labels(world.fit(world.second), rows)
    assert (everything.number, everything.rows) == (None, len(rows))
    inside = labels == largest.number
    assert largest.rows == inside.sum() and largest.means["seats"] == pytest.approx(rows["seats"][inside].mean())
    assert 400 < largest.means["range"] < 1500
    makers = rows["maker"][inside].value_counts(normalize=True)
    assert largest.modes == {"maker": f"piper ({makers['piper']:.0%})"}  # a slice's column, and no input
    card = get_content(world.store, "fleet/cards", ".html", world.second["gate"]["card"]).decode()
    assert ">Cluster profiles</h2>" in card and "seats" in card and "Davies-Bouldin index" in card
    assert "Share of rows that change cluster" in card and "ROC" not in card


def test_scoring_gives_every_row_the_number_of_its_cluster(world: World) -> None:
    window = Window(month(5), month(6))
    snapshot = ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, world.model, world.folder, snapshot, at=NOW)
    assert manifest is not None
    table = Publication(world.store, "fleet", window).read(manifest).to_pandas()
    assert list(table) == ["tail", "seen_at", "prediction", "version", "out_of_domain"]
    assert table["prediction"].dtype == "int64" and set(table["prediction"]) == {0, 1, 2}
