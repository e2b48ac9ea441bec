from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, declare, month, run_chain

from include.config.load import load_model
from include.errors import NotReproduced, RegistryError
from include.registry.champion_changes import champion_changes
from include.registry.ledger import Ledger
from include.registry.statements import golden_folder
from include.registry.timeline import Timeline
from include.registry.verification import verify
from include.reproduction.rebuild import Rebuilt, rebuild
from include.scoring.golden import PREDICTED, load_golden
from include.storage.content import put_content
from include.storage.local import LocalStore
from include.training import recipe

ACTOR = {"trigger": "manual", "dag": "reproduce_parcels", "run": "upgrade", "task": "reproduce"}


@dataclass
class World:
    """A model whose champion, the first of two promoted versions or the second, was trained with an older scikit-learn."""

    folder: Path
    store: LocalStore

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    @property
    def timeline(self) -> Timeline:
        return self.ledger.timeline()

    def rebuild(self, version: str | None = None, **options: Any) -> Rebuilt:
        wanted = version or str(self.timeline.champion)
        model = load_model(self.folder / "model.yaml")
        return rebuild(self.ledger, model, self.folder, wanted, actor=ACTOR, at=NOW, **options)

    def without_model_file(self, version: str) -> None:
        """Lose the model file of a version."""
        path = self.store.root / f"parcels/models/{self.ledger.version(version).model_file}.skops"
        path.chmod(0o644)
        path.unlink()

    def move_golden(self, version: str, by: float) -> None:
        """Keep golden rows with other predictions, as of a library that predicts otherwise."""
        (table,) = load_golden(self.store, "parcels", version)
        shutil.rmtree(self.store.root / golden_folder("parcels", version))
        moved = np.asarray(table[PREDICTED].to_pylist()) * (1 - by)
        table = table.drop_columns([PREDICTED]).append_column(
            PREDICTED, pa.array(moved.tolist(), pa.list_(pa.float64()))
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, write_page_checksum=True)
        put_content(self.store, golden_folder("parcels", version), ".parquet", sink.getvalue().to_pybytes())

    def wrong(self) -> list[str]:
        return [f"{one.what}: {one.found}" for one in verify(self.ledger, self.folder) if one.state == "wrong"]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three retrainings under libraries of which scikit-learn had another version: two promotions, and one after them."""
    root = tmp_path_factory.mktemp("older")
    installed = recipe.version
    with pytest.MonkeyPatch.context() as then:
        then.setattr(recipe, "version", lambda name: "1.0.0" if name == "scikit-learn" else installed(name))
        model = declare(root / "parcels")
        for number in (4, 7, 8):
            run_chain(LocalStore(root / "store"), model, root / "parcels", month(number))
    yield root


@pytest.fixture
def world(older: Path, tmp_path: Path) -> World:
    shutil.copytree(older, tmp_path / "w")
    return World(tmp_path / "w" / "parcels", LocalStore(tmp_path / "w" / "store"))


def test_a_rebuilt_version_has_the_place_and_the_decision_of_its_original_and_verifies(world: World) -> None:
    before = world.timeline
    champion = str(before.champion)
    done = world.rebuild()
    assert done.version is not None and done.report.predictions is not None
    assert (done.report.predictions.proof, done.report.predictions.beyond) == ("holdout", 0)
    after = world.timeline
    assert after.champion == done.version != champion
    assert after[done.version].since == before[champion].since
    assert after[done.version].decision == before[champion].decision
    assert after.incumbent_of(done.version) == before.incumbent_of(champion)
    assert after.champion_as_of(after[champion].since) == done.version
    change = list(champion_changes(world.ledger.entries()))[-1]
    assert (change.before, change.version, change.entry.kind) == (champion, done.version, "rebuilt")
    assert world.wrong() == []


def test_repeated_a_rebuild_is_refused_and_nothing_more_is_on_record(world: World) -> None:
    champion = str(world.timeline.champion)
    world.rebuild(champion)
    events = len(world.ledger.entries())
    with pytest.raises(RegistryError, match="Only a promoted version can be rebuilt"):
        world.rebuild(champion)
    with pytest.raises(RegistryError, match="nothing to rebuild"):
        world.rebuild()
    assert len(world.ledger.entries()) == events


def test_what_was_decided_against_the_original_stands_and_is_not_settled_again(world: World) -> None:
    first = next(iter(world.timeline.champions()))[1]
    others = [one for one in world.timeline.standings if one.decision and one.decision.incumbent == first]
    assert others
    world.rebuild(first)
    assert world.timeline.first_to_decide_again() is None


def test_an_original_and_its_rebuilt_version_are_withdrawn_together(world: World) -> None:
    champion = str(world.timeline.champion)
    before = world.timeline.incumbent_of(champion)
    done = world.rebuild()
    world.ledger.withdraw(champion, "wrong rows", actor=ACTOR, at=NOW)
    after = world.timeline
    assert (after.champion, after[str(done.version)].withdrawn) == (before, "wrong rows")
    assert list(champion_changes(world.ledger.entries()))[-1].version == before


def test_without_the_model_file_the_golden_rows_are_the_proof(world: World) -> None:
    champion = str(world.timeline.champion)
    world.without_model_file(champion)
    done = world.rebuild()
    assert done.version == world.timeline.champion != champion
    assert done.report.predictions is not None
    assert (done.report.predictions.proof, done.report.predictions.rows) == ("golden rows", 20)


def test_predictions_beyond_the_tolerance_leave_nothing_but_the_report(world: World) -> None:
    champion = str(world.timeline.champion)
    world.move_golden(champion, 0.05)
    before = set(world.store.list(""))
    done = world.rebuild()
    assert done.version is None and not done.report.reproduced
    assert done.report.predictions is not None
    assert done.report.predictions.proof == "golden rows" and done.report.predictions.largest > 1e-3
    assert {key.split("/")[1] for key in set(world.store.list("")) - before} == {"reproductions"}
    assert world.rebuild(tolerance=0.2).version == world.timeline.champion


def test_a_version_that_nothing_measures_is_refused(world: World) -> None:
    champion = str(world.timeline.champion)
    world.without_model_file(champion)
    shutil.rmtree(world.store.root / golden_folder("parcels", champion))
    with pytest.raises(NotReproduced, match="can't be measured"):
        world.rebuild()
    assert world.timeline.champion == champion
