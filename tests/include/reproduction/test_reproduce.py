from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from chain_run import NOW, declare, month, parcels, run_chain
from earlier_release import as_release_0_1

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import ObjectCorrupt, RegistryError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from include.reproduction import reproduce as room
from include.reproduction.page import save
from include.reproduction.report import Kind, Outcome, Reproduction
from include.scoring.predictor import open_predictor
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.content import canonical_json
from include.storage.local import LocalStore
from include.training import recipe
from include.training.fit_record import FitRecord, load_fit
from include.training.provenance import keep_code, keep_config


class World:
    """A model of one version; everything about it can be changed."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "parcels", LocalStore(root / "store")
        self.version = Ledger(self.store, "parcels").timeline().standings[0].version

    def reproduce(self) -> Reproduction:
        model = load_model(self.folder / "model.yaml")
        return room.reproduce(self.store, model, self.folder, self.version, at=NOW, connections=None)  # type: ignore[arg-type]

    def rewrite(self, key: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Tamper with a JSON object behind the store's back."""
        path = self.store.root / key
        value = json.loads(path.read_bytes())
        change(value)
        self.replace(path, canonical_json(value))

    def replace(self, path: Path, body: bytes) -> None:
        path.chmod(0o644)
        path.write_bytes(body)

    @property
    def fit_key(self) -> str:
        return f"parcels/fits/{load_version(self.store, 'parcels', self.version).fit}.json"

    def source(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        rows = pd.read_parquet(self.folder / "rows.parquet")
        change(rows).to_parquet(self.folder / "rows.parquet", index=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and a store in which it was retrained once."""
    root = tmp_path_factory.mktemp("world")
    model = declare(root / "parcels")
    run_chain(LocalStore(root / "store"), model, root / "parcels", month(6))
    return root


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> World:
    shutil.copytree(trained, tmp_path / "w")
    return World(tmp_path / "w")


def found(report: Reproduction) -> list[tuple[str, str, bool]]:
    return [(one.kind.value, one.name, one.bears) for one in report.differences]


def test_a_version_is_made_again_byte_for_byte_and_nothing_is_left_behind(world: World) -> None:
    before = sorted(world.store.list(""))
    report = world.reproduce()
    assert (report.outcome, report.differences, report.reproduced) == (Outcome.IDENTICAL, (), True)
    assert report.made_file == report.recorded_file
    assert sorted(world.store.list("")) == before


OTHERS = {
    "lightgbm": "{n_estimators: 60, num_leaves: 7}",
    "xgboost": "{n_estimators: 60, max_depth: 3, learning_rate: 0.1}",
    "catboost": "{n_estimators: 60, depth: 4}",
    "keras_mlp": "{layers: [16, 8], dropout: 0.1, epochs: 30, learning_rate: 0.01}",
}


@pytest.mark.parametrize("library", OTHERS)
def test_a_version_of_another_library_goes_the_whole_chain_and_is_made_again_byte_for_byte(
    tmp_path: Path, library: str
) -> None:
    declare(tmp_path / "parcels", parcels(rows=6000))
    text = (tmp_path / "parcels" / "model.yaml").read_text()
    plain = "{estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}"
    assert plain in text
    boosted = f"{{estimator: {library}, params: {OTHERS[library]}, early_stopping: true}}"
    text = text.replace("- {estimator: logistic_regression}\n", "").replace(plain, boosted)
    (tmp_path / "parcels" / "model.yaml").write_text(
        text.replace("columns: [carrier]}", "columns: [carrier], encode: native}")
    )
    model = load_model(tmp_path / "parcels" / "model.yaml")
    run_chain(LocalStore(tmp_path / "store"), model, tmp_path / "parcels", month(4))
    world = World(tmp_path)
    fit = load_fit(world.store, "parcels", load_version(world.store, "parcels", world.version).fit)
    assert fit.estimator == library
    assert ({"keras", "tensorflow"} if library == "keras_mlp" else {library}) <= set(fit.libraries)
    assert world.reproduce().outcome is Outcome.IDENTICAL
    assert Ledger(world.store, "parcels").timeline().champion == world.version
    window = Window(month(4), month(5))
    snapshot = ingest_window(world.store, model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, model, world.folder, snapshot, at=NOW)
    assert manifest is not None
    scored = Publication(world.store, "parcels", window).read(manifest).to_pandas()
    assert len(scored) > 50 and scored["prediction"].between(0, 1).all()
    with open_predictor(world.store, model, world.folder, world.version) as predictor:
        rows = pa.Table.from_pandas(pd.read_parquet(world.folder / "rows.parquet").head(50), preserve_index=False)
        found = predictor.predict(predictor.inputs(rows)).score
        assert found.shape == (50,)
        assert ((found > 0) & (found < 1)).all()


def test_a_changed_input_row_is_named_by_partition_and_column(world: World) -> None:
    def heavier(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[rows.index[(rows["sent_at"] > month(4))][7], "weight"] += 1
        return rows

    world.source(heavier)
    report = world.reproduce()
    (one,) = report.differences
    assert (one.kind, one.name, one.found) == (Kind.ROWS, "of the source, partition 2024-04", "1 row changed (weight)")
    assert report.reproduced and not one.bears


def test_added_and_removed_rows_are_counted_and_those_outside_the_windows_are_not(world: World) -> None:
    def shuffled(rows: pd.DataFrame) -> pd.DataFrame:
        inside = rows.index[(rows["sent_at"] > month(4)) & (rows["sent_at"] < month(5))]
        new = rows.loc[inside[:1]].assign(parcel=10**6)
        rows.loc[rows["sent_at"] > month(7), "weight"] = 1.0
        return pd.concat([rows.drop(index=inside[-2:]), new])

    world.source(shuffled)
    (one,) = world.reproduce().differences
    assert (one.name, one.found) == ("of the source, partition 2024-04", "1 row added, 2 rows removed")


def test_damaged_rows_are_named_and_taken_from_the_source_that_still_gives_them(world: World) -> None:
    (path,) = world.store.root.glob("parcels/partitions/*/2024-04/*.parquet")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    world.replace(path, bytes(body))
    report = world.reproduce()
    assert report.outcome is Outcome.IDENTICAL and not report.reproduced
    assert found(report) == [("record", "partition 2024-04", True)]
    assert "taken from the source" in report.differences[0].found


def test_damaged_rows_that_the_source_no_longer_gives_make_it_impossible(world: World) -> None:
    (path,) = world.store.root.glob("parcels/partitions/*/2024-04/*.parquet")
    world.replace(path, b"PAR1")
    world.source(lambda rows: rows.drop(index=rows.index[(rows["sent_at"] > month(4))][:1]))
    report = world.reproduce()
    assert report.outcome is Outcome.IMPOSSIBLE and not report.reproduced
    assert "gives other rows now" in report.differences[-1].found


def test_a_changed_seed_in_the_declaration_is_named_and_has_no_bearing(world: World) -> None:
    path = world.folder / "model.yaml"
    path.write_text(path.read_text().replace("training:\n", "training:\n  seed: 7\n"))
    report = world.reproduce()
    (one,) = report.differences
    recorded = load_fit(world.store, "parcels", load_version(world.store, "parcels", world.version).fit).seed
    assert (one.kind, one.name, one.recorded, one.found) == (Kind.SETTING, "training.seed", str(recorded), "7")
    assert report.reproduced and not one.bears


CHANGES = {"seed": {"seed": 7}, "params": {"params": {"max_depth": 3}}, "libraries": {"libraries": {"numpy": "1.0"}}}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_is_not_the_one_that_the_ledger_names_is_refused(world: World, change: dict[str, Any]) -> None:
    world.rewrite(world.fit_key, lambda value: value.update(change))
    with pytest.raises(ObjectCorrupt, match="fits"):
        world.reproduce()


@pytest.mark.parametrize("name", ["seed", "params"])
def test_a_record_of_release_0_1_that_was_changed_is_named(world: World, name: str) -> None:
    as_release_0_1(world.store, "parcels")
    world.rewrite(world.fit_key, lambda value: value.update(CHANGES[name]))
    report = world.reproduce()
    assert ("record", name, True) in found(report)
    assert not report.reproduced


@pytest.mark.parametrize("changed", ["libraries", "declaration", "code"])
def test_a_record_of_release_0_1_whose_key_does_not_follow_from_it_is_refused(world: World, changed: str) -> None:
    as_release_0_1(world.store, "parcels")
    declared = load_model(world.folder / "model.yaml")
    training = declared.training.model_copy(update={"seed": 7})
    other = {
        "libraries": CHANGES["libraries"],
        "declaration": {"config": keep_config(world.store, declared.model_copy(update={"training": training}))},
        "code": {"code": keep_code(world.store, "parcels", {"features.py": b"1 / 0"})},
    }
    world.rewrite(world.fit_key, lambda value: value.update(other[changed]))
    with pytest.raises(ObjectCorrupt, match="does not match its"):
        world.reproduce()


def test_a_fit_that_comes_out_otherwise_is_another_model(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a library learns otherwise: here the retraining is given other settings."""
    fit = room.fit_candidate

    def otherwise(store: Any, config: ModelConfig, *given: Any, **more: Any) -> FitRecord:
        candidates = tuple(one.model_copy(update={"params": {"max_depth": 2}}) for one in config.training.candidates)
        training = config.training.model_copy(update={"candidates": candidates})
        return fit(store, config.model_copy(update={"training": training}), *given, **more)

    monkeypatch.setattr(room, "fit_candidate", otherwise)
    report = world.reproduce()
    assert report.outcome is Outcome.DIFFERENT and not report.reproduced
    assert report.predictions is not None and report.predictions.beyond > 0


def test_a_changed_library_version_is_named_from_and_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = recipe.version
    monkeypatch.setattr(recipe, "version", lambda name: "99.0" if name == "scikit-learn" else installed(name))
    report = world.reproduce()
    (one,) = report.differences
    assert (one.kind, one.name, one.recorded, one.found) == (
        Kind.LIBRARY,
        "scikit-learn",
        installed("scikit-learn"),
        "99.0",
    )
    assert report.outcome is Outcome.IDENTICAL and "scikit-learn" in report.sentence


def test_changed_code_is_named_by_file_and_the_code_on_record_is_used(world: World) -> None:
    features = world.folder / "features.py"
    features.write_text(features.read_text().replace(">= 18", ">= 3"))
    (world.folder / "source.py").write_text((world.folder / "source.py").read_text() + "\n# another day\n")
    report = world.reproduce()
    assert report.outcome is Outcome.IDENTICAL and report.reproduced
    assert found(report) == [("code", "features.py", False), ("code", "source.py, or what it imports", False)]


def test_a_damaged_model_file_is_named(world: World) -> None:
    (path,) = world.store.root.glob(
        f"parcels/models/{load_version(world.store, 'parcels', world.version).model_file}.skops"
    )
    world.replace(path, path.read_bytes()[:-1])
    report = world.reproduce()
    assert report.outcome is Outcome.IDENTICAL and not report.reproduced
    assert found(report) == [("record", "model file", True)]


def test_a_store_that_does_not_answer_is_no_damaged_model_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    get, asked = world.store.get, []

    def unanswered(key: str) -> bytes:
        if "/models/" in key:
            asked.append(key)
            raise StoreUnavailable("the store's folder did not answer")
        return get(key)

    monkeypatch.setattr(world.store, "get", unanswered)
    with pytest.raises(StoreUnavailable):
        world.reproduce()
    assert asked


def test_the_report_is_kept_with_a_page_that_says_the_same_and_repeats_to_the_byte(world: World) -> None:
    world.source(lambda rows: rows.drop(index=rows.index[(rows["sent_at"] > month(4))][:1]))
    report = world.reproduce()
    digest, page = save(world.store, report)
    text = world.store.get(f"parcels/reproductions/{page}.html").decode()
    assert digest in text and "partition 2024-04" in text and "Reproduced: IDENTICAL" in text
    assert json.loads(world.store.get(f"parcels/reproductions/{digest}.json"))["reproduced"] is True
    assert save(world.store, world.reproduce()) == (digest, page)


def test_a_version_that_is_not_registered_is_refused(world: World) -> None:
    world.version = "20240601T000000Z-0000000000"
    with pytest.raises(RegistryError):
        world.reproduce()
