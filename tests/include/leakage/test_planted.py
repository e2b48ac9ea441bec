"""Five leaks, each planted in a whole training and measured as a run does: its own wire trips and no other."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import Split, Window
from include.evaluation.compared_models import ComparedModel, open_model
from include.evaluation.evidence import Evidence
from include.evaluation.measure import measure
from include.leakage.preparation import preparation_of_training_rows
from include.leakage.tripwire import QUESTIONS
from include.registry.gate.judgement import judge
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome
from include.storage.content import put_content
from include.storage.local import LocalStore
from include.training import fit_inputs, fit_pipeline
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_inputs import FitInputs
from include.training.persistence.model_file import dump
from include.training.provenance import Provenance
from include.training.training_rows import training_rows
from tests.include.training.conftest import declare, fit_at_once, frame_of
from tests.include.training.conftest import rows_of as rows_of_declared

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = 2400
WORDS = {
    "object": "string",
    "str": "string",
    "bool": "boolean",
    "int64": "integer",
    "Int64": "integer",
    "float64": "float",
}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def rows_of(task: str = "classification") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size, weight = rng.normal(size=(2, ROWS))
    signal = size + rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "at": [day(30 * (i + 0.5) / ROWS) for i in range(ROWS)],
            "id": np.arange(ROWS),
            "size": size,
            "weight": weight,
            "colour": rng.choice(["red", "green", "blue"], ROWS),
            "customer": np.arange(ROWS),
            "target": signal > 0.5 if task == "classification" else signal,
        }
    )


@dataclass
class Training:
    """One model over some rows, trained and measured like in a run."""

    folder: Path
    rows: pd.DataFrame
    task: str = "classification"
    entity: str | None = None
    trusted: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    code: str | None = None
    partition: str = "month"

    @property
    def model(self) -> ModelConfig:
        derive = {"derive": "features:derive"} if self.code else {}
        return ModelConfig.model_validate(
            {
                "name": "toy",
                "description": "Is it?",
                "owner": "tests",
                "task": self.task,
                "schedule": {"start": "2024-01-01"},
                "data": {
                    "source": {"kind": "python", "reader": "source:read"},
                    "event_time": "at",
                    "row_id": "id",
                    "target": "target",
                    "entity": self.entity,
                    "partition": self.partition,
                    "windows": {"train": "18d", "holdout": "12d"},
                },
                "features": {
                    **derive,
                    "numeric": {"columns": ["size", "weight", *self.more], "impute": "median", "scale": "standard"},
                    "categorical": {"columns": ["colour"]},
                },
                "training": {
                    "candidates": [{"estimator": "decision_tree", "params": {"max_depth": 3}}],
                    "cv": {"kind": "time_series", "folds": 1},
                },
                "evaluation": {"resamples": 200, "trusted": self.trusted},
                "gate": {"primary": {"metric": "roc_auc" if self.task == "classification" else "rmse"}},
            }
        )

    def __post_init__(self) -> None:
        self.store = LocalStore(self.folder / "store")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.code:
            (self.folder / "features.py").write_text(self.code)
        self.snapshot = Snapshot(
            model="toy",
            as_of=day(30),
            source="0" * 64,
            split=Split(Window(day(0), day(18)), Window(day(18), day(30))),
            partitions=(),
            schema={name: "timestamp" if name == "at" else WORDS[str(self.rows[name].dtype)] for name in self.rows},
        )
        slots = self.rows["at"].dt.strftime("%Y-%m" if self.partition == "month" else "%Y-%m-%d")
        for slot, rows in self.rows.groupby(slots):
            table = pa.Table.from_pandas(rows, preserve_index=False)
            table = table.set_column(0, "at", table["at"].cast(pa.timestamp("us", "UTC")))
            out = io.BytesIO()
            pq.write_table(table, out, write_page_checksum=True)
            digest = hashlib.sha256(out.getvalue()).hexdigest()
            pinned = Pinned(str(slot), digest, digest, len(rows))
            self.snapshot = replace(self.snapshot, partitions=(*self.snapshot.partitions, pinned))
            self.store.put_if_absent(self.snapshot.partition_key(pinned), out.getvalue())
        self.snapshot.save(self.store)

    def fit(self, name: str = "decision_tree") -> Any:
        return fit_candidate(self.store, self.model, self.folder, self.snapshot, name)

    def measure(self, challenger: Any = None) -> Evidence:
        evidence, _ = measure(
            self.store,
            self.model,
            self.folder,
            challenger=ComparedModel("new", challenger or self.fit()),
            incumbent=None,
            baselines={name: self.fit(name) for name in ("trivial", "simple")},
            snapshot=self.snapshot,
            clock=lambda: 0.0,
        )
        return evidence


def tripped(evidence: Evidence) -> list[str]:
    assert evidence.tripwires is not None and {wire.name for wire in evidence.tripwires} == set(QUESTIONS)
    return [wire.name for wire in evidence.tripwires if wire.state not in ("clear", "not_asked")]


def lesson(evidence: Evidence, name: str) -> str:
    return next(wire.reason for wire in evidence.tripwires or () if wire.name == name)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_honest_training_trips_none(tmp_path: Path, task: str) -> None:
    evidence = Training(
        tmp_path, rows_of(task), task, code="def derive(frame):\n    return frame.assign(a=1)\n"
    ).measure()
    assert tripped(evidence) == []
    assert {wire.state for wire in evidence.tripwires or ()} == {"clear"}


_TEXTS = """
import pandas as pd


def derive(frame):
    shade = "dark " + frame["colour"].astype(str)
    return frame.assign(shade=shade.astype("category"), half=frame["size"] / 2)
"""


def test_part_by_part_training_rows_say_the_same_and_few_are_held_with_all_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []

    def counted(*given: Any, **how: Any) -> pd.DataFrame:
        frame = read_rows(*given, **how)
        read.append(frame.shape)
        return frame

    monkeypatch.setattr(fit_inputs, "read_rows", counted)
    said = []
    for folder, part in (("whole", 10**6), ("parts", 200)):
        read.clear()
        monkeypatch.setattr(fit_inputs, "PART", part)
        training = Training(tmp_path / folder, rows_of(), more=("half",), code=_TEXTS, partition="day")
        said.append(training.measure())
        columns = len(training.snapshot.schema)
        assert sum(rows for rows, wide in read if wide == columns) == ROWS * 18 / 30
        assert max(rows for rows, wide in read if wide == columns) < part + ROWS / 30 * 2
    assert said[0].to_json() == said[1].to_json()
    assert tripped(said[0]) == []


def test_what_a_preparation_makes_of_all_rows_is_not_held_to_look_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Counting(ColumnTransformer):  # type: ignore[misc]  # scikit-learn has no types
        def fit_transform(self, *given: Any, **how: Any) -> Any:
            made.append(len(given[0]))
            return super().fit_transform(*given, **how)

    training = Training(tmp_path, rows_of())
    challenger = training.fit()
    monkeypatch.setattr("include.training.preprocessing.column_transformer.ColumnTransformer", Counting)
    with Provenance(training.store, challenger, tmp_path) as origin:
        learned = FitInputs(training.store, origin)
        pipeline = open_model(training.store, challenger)
        wire = preparation_of_training_rows(pipeline, learned.recipe, learned.rows)
    assert wire.state == "clear" and "all 4 steps know the same" in wire.reason
    assert made == []


def test_a_row_of_training_that_comes_again_in_the_holdout_trips_its_wire(tmp_path: Path) -> None:
    rows = rows_of()
    rows.loc[2000:2004, "id"] = rows.loc[100:104, "id"].to_numpy()
    evidence = Training(tmp_path, rows).measure()
    assert tripped(evidence) == ["shared_rows"]
    assert lesson(evidence, "shared_rows").startswith("5 of 960 holdout rows have an id (id) that training rows have")


def test_an_entity_on_both_sides_trips_the_wire_only_if_it_is_declared(tmp_path: Path) -> None:
    rows = rows_of()
    rows.loc[2000:2006, "customer"] = 7
    assert tripped(Training(tmp_path / "open", rows).measure()) == []
    evidence = Training(tmp_path / "declared", rows, entity="customer").measure()
    assert tripped(evidence) == ["shared_rows"]
    assert "7 holdout rows are about the same `customer`" in lesson(evidence, "shared_rows")


def test_an_entity_on_both_sides_is_found_whatever_gaps_make_of_its_column(tmp_path: Path) -> None:
    rows = rows_of()
    rows["customer"] = np.where(rows["at"] <= day(18), np.arange(ROWS) % 7, 1000 + np.arange(ROWS))
    rows.loc[rows.index[-3:], "customer"] = [1, 2, 3]
    rows["customer"] = rows["customer"].astype("Int64").mask(rows.index == 5)
    training = Training(tmp_path, rows, entity="customer")
    assert training.snapshot.schema["customer"] == "integer"
    (shared, *_) = training.measure().tripwires
    assert shared.state == "tripped" and "3 holdout rows are about the same `customer`" in shared.reason


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_column_that_is_the_answer_in_other_words_trips_its_wire_until_it_is_trusted(
    tmp_path: Path, task: str
) -> None:
    rows = rows_of(task)
    rng = np.random.default_rng(1)
    rows["refund"] = rows["target"] * 10 + rng.normal(size=ROWS) * (1 if task == "classification" else 0.01)
    evidence = Training(tmp_path / "leaky", rows, task, more=("refund",)).measure()
    assert tripped(evidence) == ["single_column"]
    assert "`refund` (" in lesson(evidence, "single_column") and "`size`" not in lesson(evidence, "single_column")
    assert tripped(Training(tmp_path / "trusted", rows, task, more=("refund",), trusted=("refund",)).measure()) == []


def test_a_column_that_is_filled_in_only_afterwards_trips_the_wire_by_its_gaps(tmp_path: Path) -> None:
    rows = rows_of()
    rows["closed_after"] = np.where(rows["target"], np.random.default_rng(2).normal(size=ROWS), np.nan)
    assert tripped(Training(tmp_path, rows, more=("closed_after",)).measure()) == ["single_column"]


def test_a_recipe_that_remembers_rows_from_fit_to_fit_trips_its_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(tmp_path, rows_of())
    challenger = training.fit()
    seen: dict[int, int] = {}

    class Remembering:
        """A cache that outlives a fit: rows that were fitted once are never predicted again."""

        def __init__(self, model: Any) -> None:
            self.model, self.feature_names_in_ = model, model.feature_names_in_

        def predict_proba(self, frame: pd.DataFrame) -> Any:
            known = self.model.predict_proba(frame)
            for place, row in enumerate(frame.index):
                if row in seen:
                    known[place] = [1 - seen[row], seen[row]]
            return known

    def fit_model(recipe: Any, settings: Any, rows: Any, **how: Any) -> Any:
        model = Remembering(fit_pipeline.fit_model(recipe, settings, rows, **how))
        seen.update(zip(rows.frame.index, rows.target, strict=True))
        return model

    monkeypatch.setattr("include.leakage.inputs.fit_model", fit_model)
    evidence = training.measure(challenger)
    assert tripped(evidence) == ["shuffled_labels"]
    assert "standard errors above no skill" in lesson(evidence, "shuffled_labels")


# A look at the next row, but only from rows so rare that none of the few that are derived alone as they are read has one.
_AHEAD = """
import numpy as np


def derive(frame):
    following = frame["size"].shift(-1)
    return frame.assign(ahead=np.where(frame["id"] % 76 == 40, following, 0.0))
"""


def test_a_feature_that_looks_at_the_next_row_trips_its_wire(tmp_path: Path) -> None:
    evidence = Training(tmp_path, rows_of(), more=("ahead",), code=_AHEAD).measure()
    assert tripped(evidence) == ["later_rows"]
    assert "`ahead` (" in lesson(evidence, "later_rows")


def test_a_preparation_that_saw_the_holdout_trips_its_wire(tmp_path: Path) -> None:
    training = Training(tmp_path, rows_of())
    recipe = recipe_of(training.model, "decision_tree")
    both = read_rows(
        training.store, training.snapshot, training.model, tmp_path, window="both", columns=list(recipe.columns)
    )
    honest = training.fit()
    body = dump(fit_pipeline.fit_model(recipe, honest.params, training_rows(both, recipe)))
    forged = replace(honest, model_file=put_content(training.store, "toy/models", ".skops", body))
    evidence = training.measure(forged)
    assert tripped(evidence) == ["preparation"]
    assert "statistics_" in lesson(evidence, "preparation") and "instead of" in lesson(evidence, "preparation")


def test_a_fit_to_other_rows_than_its_windows_trips_the_wire_by_their_digest(tmp_path: Path) -> None:
    training = Training(tmp_path, rows_of())
    honest = training.fit()
    forged = replace(honest, train=replace(honest.train, rows_digest="0" * 64))
    assert tripped(training.measure(forged)) == ["preparation"]


def test_a_tripped_wire_rejects_whatever_the_metrics_say_and_an_unknown_one_holds(tmp_path: Path) -> None:
    training = Training(tmp_path, rows_of())
    evidence, policy = training.measure(), training.model.gate
    assert judge(policy, evidence, challenger_is_simple=True).outcome is Outcome.PROMOTE

    def with_state(state: str) -> Any:
        wires = tuple(replace(w, state=state) if w.name == "single_column" else w for w in evidence.tripwires or ())
        return judge(policy, replace(evidence, tripwires=wires), challenger_is_simple=True)

    rejected, held = with_state("tripped"), with_state("unknown")
    assert rejected.outcome is Outcome.REJECT and rejected.reason.startswith("leak tripwire single_column")
    assert held.outcome is Outcome.HOLD and held.verdicts[0].answer is RuleResult.OPEN
    assert with_state("not_asked").outcome is Outcome.PROMOTE


def test_evidence_from_before_there_were_tripwires_is_judged_as_it_was(tmp_path: Path) -> None:
    training = Training(tmp_path, rows_of())
    evidence = training.measure()
    stored = evidence.to_json()
    del stored["tripwires"]
    old = Evidence.from_json(stored)
    judgement = judge(training.model.gate, old, challenger_is_simple=True)
    assert old.tripwires is None and not [v for v in judgement.verdicts if "leak" in v.rule]
    assert judgement.outcome is Outcome.PROMOTE


def test_answers_are_found_again_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(tmp_path, rows_of())
    first = training.measure()
    for index in (tmp_path / "store/toy/evidence/index").iterdir():
        index.unlink()
    monkeypatch.setattr("include.leakage.checks._ask", None)
    assert training.measure() == first


@pytest.mark.parametrize("planted", ["remainder", "weights"])
def test_what_a_column_transformer_holds_beside_its_groups_trips_the_wire_of_preparation(
    tmp_path: Path, planted: str
) -> None:
    training = Training(tmp_path, rows_of())
    challenger = training.fit()
    with Provenance(training.store, challenger, tmp_path) as origin:
        learned = FitInputs(training.store, origin)
        pipeline = open_model(training.store, challenger)
        prepare = pipeline.named_steps["prepare"]
        if planted == "remainder":
            elsewhere = StandardScaler().fit(np.arange(10.0).reshape(-1, 1))
            prepare.remainder = StandardScaler()
            prepare.transformers_ = [*prepare.transformers_, ("remainder", elsewhere, ["size"])]
        else:
            prepare.transformer_weights = {prepare.transformers_[0][0]: 5.0}
        assert preparation_of_training_rows(pipeline, learned.recipe, learned.rows).state == "tripped"


def test_large_ids_of_rows_that_are_read_part_by_part_keep_their_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of()
    again = int(ROWS * 18 / 30) + 5
    customers = pd.array(np.arange(ROWS) + 2**60 + 1, dtype="Int64")
    customers[again:] = customers[: ROWS - again]  # each customer of the holdout is one of training
    customers[rows["at"].dt.day <= 6] = pd.NA  # the column came later
    rows["customer"] = customers
    found = []
    for folder, part in (("whole", 10**6), ("parts", 200)):
        monkeypatch.setattr(fit_inputs, "PART", part)
        evidence = Training(
            tmp_path / folder, rows, entity="customer", more=("half",), code=_TEXTS, partition="day"
        ).measure()
        assert "shared_rows" in tripped(evidence)
        found.append(lesson(evidence, "shared_rows"))
    assert found[0] == found[1]


@pytest.mark.parametrize("scale", [1.0, 1e-14])
def test_a_preparation_that_saw_other_rows_trips_its_wire_at_any_scale_of_a_column(scale: float) -> None:
    model, frame = declare(), frame_of()
    frame["weight"] *= scale
    recipe, rows = recipe_of(model, "logistic_regression"), rows_of_declared(model, frame)
    assert preparation_of_training_rows(fit_at_once(model, frame), recipe, rows).state == "clear"
    more = frame.assign(weight=frame["weight"] * 1.01)
    found = preparation_of_training_rows(fit_at_once(model, more), recipe, rows)
    assert found.state == "tripped" and "instead of other values" not in found.reason
