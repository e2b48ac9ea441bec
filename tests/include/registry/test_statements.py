"""A version is used only if a trusted key signed what it consists of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW, declare, month, run_chain

from include.config.load import load_model
from include.data.partitions import ingest_window
from include.data.windows import Window
from include.errors import ObjectMissing, RatchetError, SignatureRefused
from include.notebook import load_champion
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.scoring.score import score
from include.serving.live_versions import LiveModel
from include.signing.keys import new_key
from include.storage.local import LocalStore


class World:
    """A store with two versions, of which one is the champion, in a deployment that signs."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.store = root, root / "parcels", LocalStore(root / "store")

    def settings(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("RATCHET_STORE", self.store.url)
        patch.setenv("RATCHET_TRUSTED_KEYS", str(self.root / "trusted.json"))
        patch.setenv("RATCHET_SIGNING_KEY", str(self.root / "key.pem"))
        patch.setenv("RATCHET_ANCHORS", (self.root / "anchors").as_uri())

    @property
    def champion(self) -> str:
        champion = Ledger(self.store, "parcels").timeline().champion
        assert champion is not None
        return champion

    def statements(self, version: str) -> list[Path]:
        return sorted((self.store.root / "parcels" / "statements" / version).iterdir())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("signed"))
    model = declare(world.folder)
    pem, key = new_key("release", NOW - timedelta(days=1))
    (world.root / "key.pem").write_bytes(pem)
    (world.root / "trusted.json").write_text(json.dumps([key.to_json()]))
    with pytest.MonkeyPatch.context() as patch:
        world.settings(patch)
        for number in (4, 7):
            run_chain(world.store, model, world.folder, month(number))
    return world.root


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    shutil.copytree(made, tmp_path / "w")
    world = World(tmp_path / "w")
    world.settings(monkeypatch)
    yield world


def scored(world: World) -> Any:
    model, window = load_model(world.folder / "model.yaml"), Window(month(8), month(9))
    snapshot = ingest_window(world.store, model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, model, world.folder, snapshot, at=NOW)
    assert manifest is not None
    return manifest.version


def trained(world: World) -> Any:
    """Measure the champion, and whom it was measured against, as evaluating does."""
    measure = evaluator(world.store, world.folder, threads=1)
    measured = Ledger(world.store, "parcels").measure(load_model(world.folder / "model.yaml"), world.champion, measure)
    return measured.challenger.id


def served(world: World) -> Any:
    live = LiveModel(world.store, world.folder, load_model(world.folder / "model.yaml"))
    live.look(0.0)
    if live.champion is None:
        raise SignatureRefused(live.problem or "")
    return live.champion.version


LOADS: dict[str, Callable[[World], Any]] = {
    "training": trained,
    "scoring": scored,
    "serving": served,
    "notebook": lambda world: load_champion("parcels").id,
}


def test_a_version_is_signed_as_registered_and_as_decided(world: World) -> None:
    timeline = Ledger(world.store, "parcels").timeline()
    for standing in timeline.standings:
        decision = standing.decision
        assert decision is not None
        assert {path.stem for path in world.statements(standing.version)} == {"registered", decision.evidence}
        statement = Ledger(world.store, "parcels").statement(standing.version)
        assert statement is not None and statement.signer == "release" and len(statement.golden) == 1
        folders = {name.split("/")[1] for name in statement.subjects}
        assert folders == {"versions", "models", "snapshots", "fits", "evidence", "configs", "golden"}
        assert all(world.store.exists(name) for name in statement.subjects)
    assert {one.state for one in verify(Ledger(world.store, "parcels"), world.folder)} == {"ok"}


@pytest.mark.parametrize("name", LOADS)
def test_a_version_that_nobody_trusted_signed_is_not_loaded(world: World, name: str) -> None:
    load, champion = LOADS[name], world.champion
    assert load(world) == champion
    decided = next(path for path in world.statements(champion) if path.stem != "registered")
    honest = decided.read_bytes()
    other = next(one.version for one in Ledger(world.store, "parcels").timeline().standings if one.version != champion)
    others = next(path for path in world.statements(other) if path.stem != "registered")
    for body in (None, others.read_bytes(), honest.replace(b'"sig":"', b'"sig":"AAAA')):
        decided.unlink()
        if body is not None:
            decided.write_bytes(body)
        with pytest.raises(RatchetError, match="sign"):
            load(world)
        decided.unlink(missing_ok=True)
        decided.write_bytes(honest)
    assert load(world) == champion


def test_keys_are_rotated_without_signing_anything_again(world: World) -> None:
    trusted = world.root / "trusted.json"
    entries = json.loads(trusted.read_text())
    _, key = new_key("next", NOW)
    trusted.write_text(json.dumps([{**entries[0], "until": "2026-01-02T00:00:00Z"}, key.to_json()]))
    assert scored(world) == world.champion
    trusted.write_text(json.dumps([key.to_json()]))
    with pytest.raises(SignatureRefused, match="signer is not known"):
        scored(world)


def test_golden_rows_that_are_signed_can_not_be_taken_away(world: World) -> None:
    (golden,) = (world.store.root / "parcels" / "golden" / world.champion).iterdir()
    golden.unlink()
    with pytest.raises(SignatureRefused, match="no such object"):
        served(world)
    wrong = [one for one in verify(Ledger(world.store, "parcels"), world.folder) if one.state == "wrong"]
    assert [one.what for one in wrong] == [world.champion]


def test_what_is_not_signed_is_loaded_where_no_keys_are_trusted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRUSTED_KEYS", "SIGNING_KEY", "ANCHORS"):
        monkeypatch.delenv(f"RATCHET_{name}")
    shutil.rmtree(world.store.root / "parcels" / "statements")
    shutil.rmtree(world.store.root / "parcels" / "heads")
    assert scored(world) == world.champion and served(world) == world.champion
    with pytest.raises(ObjectMissing):
        world.store.get(f"parcels/statements/{world.champion}/registered.json")
