"""What a model declares of its metrics reaches evidence, gate, card and scores: three classes, costs, quantiles."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, Done, month, run_chain
from pydantic import ValidationError
from sklearn import metrics as sk

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import EvaluationError
from include.evaluation.compared_models import open_model
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.metrics.business_cost import costs_of
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.content import get_content
from include.storage.local import LocalStore
from include.training.fit_record import FitRecord, load_fit
from include.training.persistence.model_file import predict_scores

YAML = """
name: calls
description: Which desk?
owner: tests
task: classification
schedule: {start: 2024-03-01}
data:
  source: {kind: python, reader: source:read}
  event_time: at
  row_id: id
  target: desk
  partition: month
  windows: {train: 2mo, holdout: 1mo}
features: {numeric: {columns: [tone, length], scale: standard}}
training:
  candidates: [{estimator: logistic_regression}]
  cv: {kind: time_series, folds: 1}
evaluation:
  metrics: [accuracy, f1_weighted, calibration_error, cost]
  cost: {function: "costs:of", columns: [length]}
  resamples: 200
gate:
  primary: {metric: roc_auc}
  require: [{metric: cost, at_most: 9}]
"""
SOURCE = """
from pathlib import Path

import pyarrow.parquet as pq


def read(start, end):
    yield pq.read_table(Path(__file__).with_name("rows.parquet"), filters=[("at", ">=", start), ("at", "<", end)])
"""
COSTS = """
def of(rows, actual, predicted):
    return rows["length"].to_numpy() ** 2 * (actual != predicted) * {factor}
"""


def calls(rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.choice(120 * 86_400, rows)), unit="s")
    tone, length = rng.normal(size=(2, rows))
    desk = np.array(["bills", "repairs", "sales"])[np.digitize(tone + 0.5 * rng.normal(size=rows), [-0.6, 0.6])]
    return pd.DataFrame(
        {"at": at.astype("datetime64[us, UTC]"), "id": np.arange(rows), "tone": tone, "length": length, "desk": desk}
    )


class World:
    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "calls", LocalStore(root / "store")
        self.folder.mkdir(parents=True)
        (self.folder / "model.yaml").write_text(YAML)
        (self.folder / "source.py").write_text(SOURCE)
        self.price(1)
        calls().to_parquet(self.folder / "rows.parquet", index=False)
        self.model: ModelConfig = load_model(self.folder / "model.yaml")

    def price(self, factor: int) -> None:
        (self.folder / "costs.py").write_text(COSTS.format(factor=factor))

    def run(self) -> Done:
        return run_chain(self.store, self.model, self.folder, month(4))

    def evidence(self, done: Done) -> Evidence:
        return load_evidence(self.store, "calls", done["evaluate"]["evidence"])

    def predicted(self, done: Done) -> tuple[pd.DataFrame, np.ndarray, FitRecord]:
        snapshot = Snapshot.load(self.store, "calls", done["check"]["snapshot"])
        rows = read_rows(self.store, snapshot, self.model, self.folder, window="holdout")
        fit = load_fit(self.store, "calls", load_version(self.store, "calls", done["select"]).fit)
        return rows, predict_scores(open_model(self.store, fit), rows), fit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("calls"))


@pytest.fixture(scope="module")
def done(world: World) -> Done:
    return world.run()


def test_three_classes_are_judged_promoted_and_drawn(world: World, done: Done) -> None:
    evidence = world.evidence(done)
    rows, score, fit = world.predicted(done)
    said, found = np.array(fit.classes)[score.argmax(axis=1)], evidence.scores["challenger"]
    assert fit.classes == evidence.classes == ("bills", "repairs", "sales")
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(rows["desk"], score, multi_class="ovr"))
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(rows["desk"], said))
    assert found["f1_weighted"].value == pytest.approx(sk.f1_score(rows["desk"], said, average="weighted"))
    assert evidence.curves["challenger"].matrix == tuple(map(tuple, sk.confusion_matrix(rows["desk"], said)))
    assert evidence.holdout.positives is None and evidence.importance[0].column == "tone"
    assert done["decide"]["outcome"] == "PROMOTE"
    card = get_content(world.store, "calls/cards", ".html", done["gate"]["card"]).decode()
    assert "In fact repairs" in card and "Said sales" in card and "Probability of the likeliest class" in card


def test_scores_of_three_classes_are_the_likeliest_and_its_probability(world: World, done: Done) -> None:
    window = Window(month(4), month(5))
    snapshot = ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, world.model, world.folder, snapshot, at=NOW)
    assert manifest is not None
    table = Publication(world.store, "calls", window).read(manifest).to_pandas()
    assert list(table) == ["id", "at", "prediction", "label", "version", "out_of_domain"]
    assert set(table["label"]) == {"bills", "repairs", "sales"}
    assert table["prediction"].between(1 / 3, 1).all()
    actual = calls().set_index("id")["desk"][table["id"]]
    assert (table["label"].to_numpy() == actual.to_numpy()).mean() > 0.6


def test_costs_are_those_of_the_models_own_function(world: World, done: Done) -> None:
    rows, score_, fit = world.predicted(done)
    wrong = np.array(fit.classes)[score_.argmax(axis=1)] != rows["desk"].to_numpy().astype(str)
    measured = world.evidence(done).scores["challenger"]["cost"]
    assert measured.value == pytest.approx((rows["length"] ** 2 * wrong).mean())
    assert measured.low < measured.value < measured.high
    gain = world.evidence(done).gain("cost", "trivial")
    assert gain is not None and gain.estimate is not None and gain.estimate > 0  # less is better


def test_other_code_of_costs_is_other_evidence_and_no_other_model(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = world.evidence(world.run())
    world.price(2)
    second = world.evidence(world.run())
    assert second.subjects == first.subjects
    doubled = 2 * first.scores["challenger"]["cost"].value
    assert second.scores["challenger"]["cost"].value == pytest.approx(doubled)


def test_a_decision_made_again_is_priced_by_the_code_that_it_was_made_with(tmp_path: Path) -> None:
    world = World(tmp_path)
    done = world.run()
    first, version = world.evidence(done), Ledger(world.store, "calls").version(done["select"])
    world.price(2)
    for name in ("evidence/index", "alone", "tripwires"):  # as with another incumbent, it is measured anew
        shutil.rmtree(world.store.root / "calls" / name)
    ask = evaluator(world.store, world.folder, threads=1)
    again, _ = ask(world.model, version, None, again=done["evaluate"]["evidence"])
    assert again.costs == first.costs and again.scores == first.scores and again.train == first.train
    today, _ = ask(world.model, version, None)
    assert today.costs != first.costs
    assert today.scores["challenger"]["cost"].value == pytest.approx(2 * first.scores["challenger"]["cost"].value)


def declared(**evaluation: Any) -> ModelConfig:
    from include.config.yaml_text import read_yaml

    value, _ = read_yaml(YAML, "model.yaml")
    value["evaluation"] |= evaluation
    return ModelConfig.model_validate(value)


def test_a_cost_matrix_charges_each_kind_of_error(tmp_path: Path) -> None:
    cost = declared(cost={"matrix": {"False": {"True": 1}, "True": {"False": 8, "True": -2}}}).evaluation.cost
    actual, said = np.array([0, 0, 1, 1]), np.array([False, True, False, True])
    assert cost is not None
    assert costs_of(cost, tmp_path, pd.DataFrame(index=range(4)), actual, said, (False, True)).tolist() == [0, 1, 8, -2]
    with pytest.raises(EvaluationError, match="does not know"):
        costs_of(cost, tmp_path, pd.DataFrame(index=range(4)), actual, said, ("no", "yes"))


def test_a_cost_function_must_give_a_number_for_each_row(tmp_path: Path) -> None:
    (tmp_path / "costs.py").write_text("def of(rows, actual, predicted):\n    return [1.0]\n")
    cost = declared().evaluation.cost
    assert cost is not None
    with pytest.raises(EvaluationError, match="number for each row"):
        costs_of(cost, tmp_path, pd.DataFrame({"length": [1.0, 2.0]}), np.zeros(2), np.zeros(2), None)


@pytest.mark.parametrize(
    "evaluation", [{"cost": None}, {"metrics": ["accuracy"]}, {"cost": {"matrix": {}, "function": "a:b"}}]
)
def test_costs_are_declared_once_and_where_they_are_asked_for(evaluation: dict[str, Any]) -> None:
    if evaluation == {"metrics": ["accuracy"]}:
        assert "cost" in declared(**evaluation).metrics  # the gate asks
        return
    with pytest.raises(ValidationError, match="cost|matrix"):
        declared(**evaluation)
