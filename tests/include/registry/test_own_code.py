"""Every fit is asked with the code that it was fitted with: whatever the model's folder says by now, the evidence is the same."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, declare, month, run_chain
from earlier_release import as_release_0_1

from include.config.code import code_digest
from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import DataError
from include.evaluation.evidence import Evidence, load_evidence
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.registry.versions import fit_of
from include.storage.local import LocalStore
from include.training import provenance
from include.training.provenance import Provenance

BEFORE = """
def derive(frame):
    return frame.assign(evening=frame["weight"])
"""
AFTER = """
def derive(frame):
    return frame.assign(evening=-10 * frame["weight"])
"""
COLUMNS = "{columns: [distance, evening], scale: standard}"
EVALUATION = (
    "{metrics: [roc_auc, brier], slices: [carrier], resamples: 200, "
    "behaviour: [{kind: direction, name: heavy, column: weight, by: 1, must_not: fall, may_break: 0.9}]}"
)


@dataclass(frozen=True)
class World:
    """A version of July that was fitted before `features.py` was edited, and one of April that was backfilled after it."""

    root: Path

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    @property
    def folder(self) -> Path:
        return self.root / "parcels"

    @property
    def model(self) -> ModelConfig:
        return load_model(self.folder / "model.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    def edit(self, code: str) -> None:
        (self.folder / "features.py").write_text(code)

    def forget(self) -> None:
        """Remove the answers that were kept, so that all is measured again."""
        for name in ("evidence/index", "alone", "tripwires"):
            shutil.rmtree(self.store.root / "parcels" / name)

    def measure(self, version: str, incumbent: str | None, **at: Any) -> tuple[Evidence, str]:
        ticks = itertools.count()
        ask = evaluator(self.store, self.folder, threads=1, clock=lambda: float(next(ticks)), **at)
        ledger = self.ledger
        return ask(self.model, ledger.version(version), ledger.version(incumbent) if incumbent else None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own")
    model = declare(root / "parcels", numeric=COLUMNS, evaluation=EVALUATION)
    for number, code in ((7, BEFORE), (4, AFTER)):
        World(root).edit(code)
        run_chain(LocalStore(root / "store"), model, root / "parcels", month(number))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    shutil.copytree(made, tmp_path / "w")
    return World(tmp_path / "w")


def versions(world: World) -> tuple[str, str]:
    april, july = (standing.version for standing in world.ledger.timeline().standings)
    return april, july


def test_settle_measures_a_version_with_its_own_code_and_not_with_todays(world: World) -> None:
    _, july = versions(world)
    decided = [entry.body for entry in world.ledger.entries() if entry.body["version"] == july][1:]
    first, again = (load_evidence(world.store, "parcels", body["evidence"]) for body in decided)
    assert decided[1]["again"] and again.incumbent is not None and again.comparable
    assert [one.value for one in again.scores["challenger"].values()] == [
        one.value for one in first.scores["challenger"].values()
    ]
    assert (first.tripwires, first.behaviours, first.train) == (again.tripwires, again.behaviours, again.train)
    assert first.scores["challenger"]["roc_auc"].value > 0.6


def test_evidence_is_the_same_whatever_the_folder_says(world: World) -> None:
    april, july = versions(world)
    found = set()
    for code in (BEFORE, AFTER, "def derive(frame):\n    raise KeyError('weight')\n"):
        world.edit(code)
        world.forget()
        found.add(world.measure(july, april)[1])
    assert len(found) == 1


def test_a_version_that_is_reconsidered_is_asked_with_its_own_code(world: World) -> None:
    april, _ = versions(world)

    def bring(window: Window) -> Snapshot:
        return ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)

    found = set()
    for code in (AFTER, BEFORE):
        world.edit(code)
        world.forget()
        evidence, digest = world.measure(april, None, as_of=month(6), ingest=bring)
        found.add(digest)
    assert len(found) == 1 and evidence.scores["challenger"]["roc_auc"].value is not None
    assert evidence.behaviours[0].state != "unknown"


def test_versions_of_other_code_are_compared_each_by_its_own(world: World) -> None:
    april, july = versions(world)
    evidence, _ = world.measure(july, april)
    assert evidence.comparable
    codes = {role: subject.code for role, subject in evidence.subjects.items()}
    assert codes["incumbent"] == fit_of(world.store, world.ledger.version(april)).code
    assert codes["challenger"] == codes["simple"] == fit_of(world.store, world.ledger.version(july)).code
    assert codes["challenger"] != codes["incumbent"]


@pytest.mark.parametrize("lost", ["list", "file", "damaged"])
def test_an_incumbent_whose_code_is_missing_or_damaged_is_not_compared(world: World, lost: str) -> None:
    april, july = versions(world)
    code = world.store.root / "parcels" / "code"
    listed = code / f"{fit_of(world.store, world.ledger.version(april)).code}.json"
    path = listed if lost == "list" else next(p for p in code.glob("*.py") if b"-10" in p.read_bytes())
    path.chmod(0o644)
    path.write_text("x = 1") if lost == "damaged" else path.unlink()
    world.edit(BEFORE)
    world.forget()
    evidence, _ = world.measure(july, april)
    assert not evidence.comparable and "the code that it was fitted with" in (evidence.incomparable_because or "")
    assert evidence.scores["challenger"]["roc_auc"].value > 0.6


def test_what_code_raises_on_some_rows_is_said_without_its_words(world: World) -> None:
    """They may hold values of rows."""
    fit = fit_of(world.store, world.ledger.version(versions(world)[1]))
    world.edit("def derive(frame):\n    raise ValueError(frame['weight'].iloc[0])\n")
    failing = replace(fit, code=code_digest(world.folder, "features"))
    with Provenance(world.store, failing, world.folder) as origin, pytest.raises(DataError) as said:
        origin.derive(pd.DataFrame({"weight": [77.25]}))
    assert "raises ValueError for such rows" in said.value.message and "77" not in str(said.value)


def test_measurements_side_by_side_in_one_process_do_not_mix_their_code(world: World) -> None:
    april, july = versions(world)
    expected = [world.measure(july, april)[1], world.measure(april, None)[1]]
    world.edit("def derive(frame):\n    raise KeyError\n")  # both restore what they were fitted with
    for _ in range(3):
        world.forget()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda pair: world.measure(*pair)[1], [(july, april), (april, None)]))
        assert found == expected


def test_verify_names_evidence_of_release_0_1_that_other_code_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    april, july = versions(world)
    with monkeypatch.context() as earlier:  # that release asked every model with the code in the folder

        @contextmanager
        def code_of_the_day(store: Any, fit: Any, derive: Any, folder: Path) -> Iterator[Path]:
            yield folder

        earlier.setattr(provenance, "code_of", code_of_the_day)
        world.forget()
        false, _ = world.measure(july, april)
    assert false.scores["challenger"]["roc_auc"].value < 0.6

    def measured_then(evidence: Evidence) -> Evidence:
        return false if (evidence.version, evidence.incumbent) == (july, april) else evidence

    as_release_0_1(world.store, "parcels", measured_then)
    looked = list(verify(world.ledger, world.folder))
    (wrong,) = [one for one in looked if one.state == "wrong"]
    assert wrong.what == f"the decision on {july}"
    assert "may be false" in wrong.found and "predictions of the challenger" in wrong.found
    assert [one.what for one in looked if one.state == "note"] == ["2 versions of release 0.1"]


def test_verify_finds_nothing_wrong_with_evidence_of_release_0_1_that_is_right(world: World) -> None:
    as_release_0_1(world.store, "parcels")
    assert {one.state for one in verify(world.ledger, world.folder)} == {"ok", "note"}
