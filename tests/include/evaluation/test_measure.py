from __future__ import annotations

import copy
import hashlib
import io
import itertools
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.config.durations import Duration
from include.config.model import ModelConfig
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import Split, Window
from include.errors import EvaluationError
from include.evaluation import challenger_measures, compared_models
from include.evaluation.compared_models import ComparedModel
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.evidence_notes import of_closed_form
from include.evaluation.gains import PROBABILITIES, Gain
from include.evaluation.measure import measure
from include.storage.content import put_content
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate
from tests.faults import FaultyStore, Killed

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS, HOLDOUT = 3000, 1200


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def declare(
    task: str = "classification", columns: tuple[str, ...] = ("size", "weight"), **evaluation: Any
) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "name": "toy",
            "description": "Is it?",
            "owner": "tests",
            "task": task,
            "schedule": {"start": "2024-01-01"},
            "data": {
                "source": {"kind": "python", "reader": "source:read"},
                "event_time": "at",
                "row_id": ["id"],
                "target": "target",
                "partition": "month",
                "windows": {"train": "18d", "holdout": "12d"},
            },
            "features": {"numeric": {"columns": columns}, "categorical": {"columns": ["colour"]}},
            "training": {
                "candidates": [{"estimator": "logistic_regression" if task == "classification" else "ridge"}],
                "cv": {"kind": "time_series", "folds": 1},
            },
            "evaluation": {"slices": ["colour"], "resamples": 200, **evaluation},
            "gate": {"primary": {"metric": "roc_auc" if task == "classification" else "rmse"}},
        }
    )


def rows_of(task: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], ROWS)
    size, weight = rng.normal(size=(2, ROWS))
    signal = size + (colour == "red") + rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "at": [day(30 * (i + 0.5) / ROWS) for i in range(ROWS)],
            "id": np.arange(ROWS),
            "size": size,
            "weight": weight,
            "colour": colour,
            "customer": np.arange(ROWS) % 50,
            "target": signal > 1 if task == "classification" else signal,
        }
    )


class World:
    """A store with one snapshot: 18 days to learn from, 12 to judge on."""

    def __init__(self, root: Path, task: str = "classification") -> None:
        self.task, self.folder = task, root
        self.store = LocalStore(root / "store")
        self.model = declare(task)
        self.snapshot = self.cut(0, 18, 30)
        self.snapshot.save(self.store)
        self.candidate = self.model.candidate_names[0]
        self.challenger = ComparedModel("new", self.fit(self.candidate))
        self.baselines = {name: self.fit(name) for name in ("trivial", "simple")}
        self.incumbent = ComparedModel("old", self.fit(self.candidate, self.cut(0, 10, 18)))

    def cut(self, after: float, until: float, end: float) -> Snapshot:
        frame = rows_of(self.task)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        table = table.set_column(0, "at", table["at"].cast(pa.timestamp("us", "UTC")))
        out = io.BytesIO()
        pq.write_table(table, out, write_page_checksum=True)
        digest = hashlib.sha256(out.getvalue()).hexdigest()
        target = "boolean" if self.task == "classification" else "float"
        schema = {"at": "timestamp", "id": "integer", "size": "float", "weight": "float", "colour": "string"}
        snapshot = Snapshot(
            model="toy",
            as_of=day(end),
            source="0" * 64,
            split=Split(Window(day(after), day(until)), Window(day(until), day(end))),
            partitions=(Pinned("2024-01", digest, digest, ROWS),),
            schema=schema | {"customer": "integer", "target": target},
        )
        self.store.put_if_absent(snapshot.partition_key(snapshot.partitions[0]), out.getvalue())
        return snapshot

    def fit(self, name: str, snapshot: Snapshot | None = None, model: ModelConfig | None = None):
        return fit_candidate(self.store, model or self.model, self.folder, snapshot or self.snapshot, name)

    def measure(self, **changes: Any) -> tuple[Evidence, str]:
        ticks = itertools.count()
        given: dict[str, Any] = {
            "challenger": self.challenger,
            "incumbent": self.incumbent,
            "baselines": self.baselines,
            "snapshot": self.snapshot,
            "clock": lambda: next(ticks) / 1000,
        }
        store, model = changes.pop("store", self.store), changes.pop("model", self.model)
        return measure(store, model, self.folder, **given | changes)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("fitted"))


@pytest.fixture
def world(fitted: World, tmp_path: Path) -> World:
    """A copy of one world whose models are fitted once, with nothing measured yet."""
    shutil.copytree(fitted.folder / "store", tmp_path / "store")
    own = copy.copy(fitted)
    own.folder, own.store = tmp_path, LocalStore(tmp_path / "store")
    return own


def test_every_model_is_measured_on_the_same_rows(world: World) -> None:
    evidence, digest = world.measure()
    assert evidence.comparable and evidence.holdout.rows == HOLDOUT
    assert set(evidence.scores) == {"challenger", "incumbent", "trivial", "simple"}
    assert evidence.scores["trivial"]["roc_auc"].value == 0.5
    assert sum(scores.support for scores in evidence.slice_scores) == HOLDOUT
    assert evidence.gain("roc_auc", "trivial").bound(0.95) > 0.1
    assert load_evidence(world.store, "toy", digest) == evidence


def test_values_are_those_of_the_stored_model_file(world: World) -> None:
    from sklearn.metrics import roc_auc_score

    evidence, _ = world.measure()
    held = rows_of("classification").iloc[ROWS - HOLDOUT :]
    pipeline = compared_models.open_model(world.store, world.challenger.fit)
    score = compared_models.predict_scores(pipeline, held[list(world.challenger.fit.columns)])
    assert evidence.scores["challenger"]["roc_auc"].value == pytest.approx(roc_auc_score(held["target"], score))


def test_each_model_predicts_the_holdout_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    predict = compared_models.predict_scores

    def counted(pipeline: Any, frame: pd.DataFrame) -> Any:
        asked.append(len(frame))
        return predict(pipeline, frame)

    monkeypatch.setattr(compared_models, "predict_scores", counted)
    world.measure()
    assert asked.count(HOLDOUT) == 4


def test_a_repeated_measurement_finds_the_evidence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.measure()
    monkeypatch.setattr(compared_models, "predict_scores", None)
    assert world.measure(clock=None) == first


def test_a_racing_measurement_takes_the_evidence_that_came_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = world.measure()
    monkeypatch.setattr(LocalStore, "exists", lambda store, key: False)
    slower = itertools.count()
    assert world.measure(clock=lambda: next(slower) * 5)[1] == first


def test_equal_inputs_give_equal_bytes_whatever_the_threads(tmp_path: Path) -> None:
    assert World(tmp_path / "one").measure()[1] == World(tmp_path / "two").measure(threads=2)[1]


def test_a_measurement_killed_at_any_store_call_is_repeated_as_if_nothing_happened(tmp_path: Path) -> None:
    expected = World(tmp_path / "whole").measure()[1]
    world = World(tmp_path / "killed")
    for call in itertools.count(1):
        for mode in ("before", "after"):
            faulty = FaultyStore(world.store, fail_at=call, mode=mode)
            try:
                found = world.measure(store=faulty)[1]
            except Killed:
                continue
            assert found == expected
            return


def test_an_incumbent_that_saw_the_holdout_is_not_compared(world: World) -> None:
    late = ComparedModel("late", world.fit(world.candidate, world.cut(0, 25, 30)))
    evidence, _ = world.measure(incumbent=late)
    assert not evidence.comparable and "fitted on rows until 2024-01-26" in evidence.incomparable_because
    assert evidence.remedy and evidence.incumbent == "late" and "incumbent" not in evidence.scores
    assert evidence.scores["challenger"]["roc_auc"].value > 0.7


def test_an_incumbent_that_lacks_its_columns_is_not_compared(world: World) -> None:
    old = replace(world.incumbent.fit, columns=(*world.incumbent.fit.columns, "gone"))
    evidence, _ = world.measure(incumbent=ComparedModel("old", old))
    assert not evidence.comparable and "gone" in evidence.incomparable_because


def test_an_incumbent_with_other_columns_of_the_source_is_compared(world: World) -> None:
    wider = world.fit(world.candidate, world.cut(0, 10, 18), declare(columns=("size", "customer")))
    assert world.measure(incumbent=ComparedModel("wider", wider))[0].comparable


def test_an_incumbent_whose_file_is_refused_is_not_compared(world: World) -> None:
    garbage = put_content(world.store, "toy/models", ".skops", b"no model")
    evidence, _ = world.measure(incumbent=ComparedModel("old", replace(world.incumbent.fit, model_file=garbage)))
    assert not evidence.comparable and "refused" in evidence.incomparable_because


def test_a_challenger_that_saw_the_holdout_is_an_error(world: World) -> None:
    late = world.fit(world.candidate, world.cut(0, 25, 30))
    with pytest.raises(EvaluationError, match="fitted on rows until"):
        world.measure(challenger=ComparedModel("late", late))


def test_a_first_version_is_measured_against_the_baselines(world: World) -> None:
    evidence, _ = world.measure(incumbent=None)
    assert evidence.comparable and evidence.incumbent is None
    assert {gain.against for gain in evidence.gains} == {"trivial", "simple"}


def test_bins_crossings_and_groups_are_measured_with_counts_and_intervals(world: World) -> None:
    slices = [
        "colour",
        {"column": "size", "bins": 3},
        {"column": "weight", "edges": [0]},
        {"cross": ["colour", "weight"]},
    ]
    evidence, _ = world.measure(model=declare(slices=slices, fairness=["colour"]))
    counts = {one.level: one.support for one in evidence.slice_scores if one.column == "size"}
    assert len(counts) == 3 and set(counts.values()) == {HOLDOUT // 3}
    held = rows_of("classification").iloc[ROWS - HOLDOUT :]
    (level,) = [
        one for one in evidence.slice_scores if (one.column, one.level) == ("colour x weight", "red, 0 or more")
    ]
    assert level.support == ((held["colour"] == "red") & (held["weight"] >= 0)).sum()
    measured = level.scores["challenger"]["roc_auc"]
    assert measured.low < measured.value < measured.high
    assert evidence.gain("roc_auc", "incumbent", ("colour x weight", "red, 0 or more")).bound(0.95) is not None
    fair = {one.measure: one.scores for one in evidence.fairness}
    assert fair["demographic_parity_difference"]["challenger"].value > 0.1  # red ones are positive more often
    assert set(fair["group_minimum"]) == {"challenger", "incumbent", "trivial", "simple"}


def test_blocks_of_time_are_the_units_when_declared(world: World) -> None:
    evidence, _ = world.measure(model=declare(block="1d"))
    assert (evidence.units.of, evidence.units.count) == ("1d of time", 12)
    assert evidence.gain("roc_auc", "trivial").error > 0


def test_too_few_units_give_no_interval_and_no_gain_to_rule_on(world: World) -> None:
    model = declare(block="1d")
    few = model.model_copy(update={"evaluation": model.evaluation.model_copy(update={"block": Duration.parse("3d")})})
    evidence, _ = world.measure(model=few)
    assert evidence.units.count == 4
    assert "too few to resample: 4" in evidence.gain("roc_auc", "incumbent").undefined


def test_delongs_closed_form_is_kept_beside_the_bootstrap_and_agrees_on_independent_rows(world: World) -> None:
    evidence, _ = world.measure(model=declare(resamples=1000))
    gain = evidence.gain("roc_auc", "trivial")
    assert gain.delong == pytest.approx((gain.bound(0.975), gain.upper(0.975)), abs=0.1 * 4 * gain.error)
    assert evidence.notes == ()


def test_a_disagreement_with_delong_is_said() -> None:
    quantiles = tuple((p, 0.01 * NormalDist().inv_cdf(p)) for p in PROBABILITIES)
    gain = Gain("roc_auc", "incumbent", None, 100, 0.0, quantiles, delong=(-0.01, 0.01))
    assert "each 1d of time" in next(of_closed_form((gain,), "incumbent", "1d of time"))
    agreeing = replace(gain, delong=(-0.0196, 0.0196))
    assert not list(of_closed_form((agreeing,), "incumbent", "row"))


def test_churn_is_the_share_of_labels_that_change(world: World) -> None:
    evidence, _ = world.measure()
    held = rows_of("classification").iloc[ROWS - HOLDOUT :]
    new, old = (
        compared_models.predict_scores(compared_models.open_model(world.store, one.fit), held[list(one.fit.columns)])
        >= 0.5
        for one in (world.challenger, world.incumbent)
    )
    whole, *levels = evidence.churn
    assert whole.slice is None and whole.share.value == pytest.approx((new != old).mean())
    assert sum(one.share.value * one.support for one in levels) == pytest.approx((new != old).sum())
    assert world.measure(incumbent=None)[0].churn == ()


def test_clusters_are_the_units_when_declared(world: World) -> None:
    evidence, _ = world.measure(model=declare(cluster="customer"))
    assert (evidence.units.of, evidence.units.count) == ("customer", 50)


def test_a_slice_with_too_many_levels_is_answered_with_a_remedy(world: World) -> None:
    with pytest.raises(EvaluationError, match="coarser"):
        world.measure(model=declare(slices=["id"]))


def test_the_column_that_matters_is_the_most_important(world: World) -> None:
    assert world.measure()[0].importance[0].column == "size"


def test_a_regression_is_measured(tmp_path: Path) -> None:
    evidence, _ = World(tmp_path, "regression").measure(model=declare("regression", metrics=["r2", "mae", "mse"]))
    assert evidence.scores["challenger"]["r2"].value > 0.3 and evidence.holdout.positives is None
    assert evidence.gain("rmse", "trivial").bound(0.95) > 0
    assert 0 < evidence.churn[0].share.value < 0.5
    assert evidence.curves["challenger"].residuals and not evidence.curves["challenger"].roc


def test_latency_is_the_median_time_of_five_predictions_by_the_thousand_rows(world: World) -> None:
    readings = iter([0.0, 0.004, 1.0, 1.006, 2.0, 2.009, 3.0, 3.005, 4.0, 5.0])
    fit, frame = world.challenger.fit, rows_of("classification").iloc[:500]
    pipeline = compared_models.open_model(world.store, fit)
    assert challenger_measures.latency(pipeline, fit, frame, lambda: next(readings)) == pytest.approx(
        12.0
    )  # 6 ms of 500 rows
    assert next(readings, None) is None
