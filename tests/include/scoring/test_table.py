"""Scores of a table without event time: all its rows, once for each instant that a run stands at."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, run_chain
from worlds import MODELS

from include.config.code import load_function
from include.config.load import load_model
from include.registry.ledger import Ledger
from include.scoring.publication import Manifest, Publication
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.local import LocalStore

JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 15, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
EXTRA = "\n\n_all = read\n\n\ndef read() -> pd.DataFrame:\n    rows = _all()\n    return pd.concat([rows, rows.iloc[:1].assign(age=70.5, progression=float('nan'))])\n"


class Patients:
    """The shipped model of a table, with one quick candidate, retrained once."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "diabetes_progression", LocalStore(root / "store")
        shutil.copytree(MODELS / "diabetes_progression", self.folder)
        path = self.folder / "model.yaml"
        head, _, tail = path.read_text().partition("training:")
        gate = tail.partition("gate:")[2].partition("  guards:")[0]
        path.write_text(
            f"{head}training: {{candidates: [{{estimator: ridge}}]}}\nevaluation: {{metrics: [r2], resamples: 200}}\ngate:{gate}"
        )
        self.model = load_model(path)

    def score(self, instant: datetime) -> Manifest | None:
        interval = interval_at(self.model, instant)
        snapshot = ingest_interval(self.store, self.model, self.folder, interval, at=LATER, connections=None)  # type: ignore[arg-type] # a Python source needs none
        return score(self.store, self.model, self.folder, snapshot, at=LATER)

    def publication(self, instant: datetime) -> Publication:
        return Publication(self.store, self.model.name, interval_at(self.model, instant))

    def add_a_row(self) -> None:
        with (self.folder / "source.py").open("a") as source:
            source.write(EXTRA)


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("patients")
    patients = Patients(root)
    run_chain(patients.store, patients.model, patients.folder, JANUARY)
    return root


@pytest.fixture
def patients(retrained: Path, tmp_path: Path) -> Any:
    made = Patients(tmp_path)
    shutil.copytree(retrained / "store", tmp_path / "store")
    return made


def test_every_row_of_a_table_is_scored_once_for_each_instant_by_the_champion_as_of_it(patients: Patients) -> None:
    assert patients.score(JANUARY - timedelta(seconds=1)) is None
    first = patients.score(FEBRUARY + timedelta(microseconds=7))
    assert first is not None
    assert first.version == Ledger(patients.store, patients.model.name).timeline().champion
    assert (first.after, first.until, first.rows) == ("2026-01-15T00:00:00Z", "2026-01-15T00:00:00Z", 442)
    before = set(patients.store.list(""))
    assert patients.score(FEBRUARY) == first
    assert set(patients.store.list("")) == before, "scored again, nothing is written"
    assert patients.score(LATER) is not None
    assert len(patients.publication(FEBRUARY).manifests()) == len(patients.publication(LATER).manifests()) == 1


def test_scores_of_a_table_without_id_stand_beside_the_rows_values_and_never_the_target(patients: Patients) -> None:
    manifest = patients.score(FEBRUARY)
    assert manifest is not None
    scores = patients.publication(FEBRUARY).read(manifest).to_pandas()
    assert next(iter(scores)) == "row" and scores["row"].is_unique
    assert "progression" not in scores and {"age", "sex", "bmi", "prediction", "version"} <= set(scores)
    rows = load_function(patients.folder, "source:read")()
    both = ["age", "sex", "bmi", "glucose"]
    pd.testing.assert_frame_equal(
        *(frame[both].sort_values(both, ignore_index=True) for frame in (scores, rows)), check_dtype=False
    )


def test_a_row_without_a_target_that_came_later_is_scored_and_the_older_scores_stand_beside(patients: Patients) -> None:
    first = patients.score(FEBRUARY)
    patients.add_a_row()
    again = patients.score(FEBRUARY)
    assert first is not None and again is not None
    assert (first.rows, again.rows, again.version) == (442, 443, first.version)
    assert patients.publication(FEBRUARY).manifests() == (first, again)
    scores = patients.publication(FEBRUARY).read(again).to_pandas()
    assert scores.loc[scores["age"] == 70.5, "prediction"].between(25, 350).all()
