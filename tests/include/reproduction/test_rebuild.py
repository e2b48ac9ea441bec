from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, declare, month, run_chain

from include.config.load import load_model
from include.data.windows import Window
from include.errors import LibrariesChanged, NotReproduced, RegistryError
from include.evaluation.compared_models import CannotPredict, score_incumbent
from include.registry.history.champion_changes import champion_changes
from include.registry.ledger import Ledger
from include.registry.statements import golden_folder
from include.registry.timeline import Timeline
from include.registry.verification import verify
from include.registry.versions import fit_of
from include.reproduction.rebuild import Rebuilt, rebuild
from include.scoring.golden import PREDICTED, load_golden
from include.scoring.score import ingest_interval, score
from include.serving.live_versions import LiveModel
from include.storage.content import get_content, put_content
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

    def move_golden(self, version: str, by: float, *, values: int = 1) -> None:
        """Keep golden rows with other predictions, or more values of each, as of a library that predicts otherwise."""
        (table,) = load_golden(self.store, "parcels", version)
        shutil.rmtree(self.store.root / golden_folder("parcels", version))
        moved = np.tile(np.asarray(table[PREDICTED].to_pylist()) * (1 - by), values)
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


def test_predictions_of_another_shape_are_another_model(world: World) -> None:
    champion = str(world.timeline.champion)
    world.move_golden(champion, 0.0, values=2)
    with pytest.raises(NotReproduced, match="another shape"):
        world.rebuild()
    assert world.timeline.champion == champion


def test_a_version_that_nothing_measures_is_refused(world: World) -> None:
    champion = str(world.timeline.champion)
    world.without_model_file(champion)
    shutil.rmtree(world.store.root / golden_folder("parcels", champion))
    with pytest.raises(NotReproduced, match="can't be compared"):
        world.rebuild()
    assert world.timeline.champion == champion


def test_a_champion_that_does_not_give_its_golden_rows_is_named_in_score_and_serving_until_it_is_rebuilt(
    world: World,
) -> None:
    champion, model = str(world.timeline.champion), load_model(world.folder / "model.yaml")
    world.move_golden(champion, 0.0005)
    served = LiveModel(world.store, world.folder, model)
    served.look(0.0)
    said = f"{champion} can't be used unchanged with the installed libraries .scikit-learn 1.0.0 -> {version('scikit-learn')}."
    assert served.champion is None and re.search(said, str(served.problem))
    interval = Window(month(9), month(10))
    snapshot = ingest_interval(world.store, model, world.folder, interval, at=NOW, started=NOW, connections=None)  # type: ignore[arg-type]
    with pytest.raises(LibrariesChanged, match=said) as first:
        score(world.store, model, world.folder, snapshot, at=NOW)
    assert "reproduce_parcels with *rebuild*" in str(first.value.remedy)
    world.without_model_file(champion)  # found in the record of the check: nothing is loaded again
    with pytest.raises(LibrariesChanged, match=said):
        score(world.store, model, world.folder, snapshot, at=NOW)
    rebuilt = world.rebuild().version
    served.look(100.0)
    assert served.champion is not None and served.champion.version == rebuilt
    published = score(world.store, model, world.folder, snapshot, at=NOW)
    assert published is not None and published.version == rebuilt


def test_an_incumbent_whose_model_file_other_libraries_refuse_is_incomparable_and_the_way_out_is_named(
    world: World,
) -> None:
    fit = fit_of(world.store, world.ledger.version(str(world.timeline.champion)))
    body = get_content(world.store, "parcels/models", ".skops", fit.model_file)
    gone = re.sub(rb"sklearn\.pipeline", rb"sklearn.gone_now", body)
    refused = replace(fit, model_file=put_content(world.store, "parcels/models", ".skops", gone))
    with pytest.raises(CannotPredict, match="model file is refused") as error:
        score_incumbent(world.store, refused, fit.task, fit.classes, pd.DataFrame())
    assert "reproduce_parcels with *rebuild*" in str(error.value.remedy)
    assert "scikit-learn 1.0.0 -> " in str(error.value.remedy)


def test_an_alias_follows_a_version_to_its_equal_and_a_tag_stays_with_the_version_of_which_it_was_said(
    world: World,
) -> None:
    champion, actor = str(world.timeline.champion), {"trigger": "manual", "user": "ada"}
    world.ledger.alias("eu", champion, "the European one", actor=actor, at=NOW)
    world.ledger.tag(champion, "file_reviewed", "yes", "by hand", actor=actor, at=NOW)
    rebuilt = str(world.rebuild().version)
    assert world.timeline.aliases == {"eu": rebuilt}
    assert (world.timeline[champion].tags, world.timeline[rebuilt].tags) == ((("file_reviewed", "yes"),), ())
    assert world.wrong() == []
