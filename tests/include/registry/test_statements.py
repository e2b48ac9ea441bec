"""A version is used only if a trusted key signed what it consists of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from chain_run import NOW, month
from signed_world import SignedWorld

from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import ObjectMissing, RatchetError, SignatureRefused
from include.notebook import load_champion
from include.registry.evaluator import evaluator
from include.registry.statements import VersionStatement
from include.registry.verification import verify
from include.scoring.score import score
from include.serving.live_versions import LiveModel
from include.signing.keys import new_key


def scored(world: SignedWorld) -> Any:
    model, window = world.model, Window(month(8), month(9))
    snapshot = ingest_window(world.store, model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, model, world.folder, snapshot, at=NOW)
    assert manifest is not None
    return manifest.version


def trained(world: SignedWorld) -> Any:
    """Measure the champion, and whom it was measured against, as evaluating does."""
    measure = evaluator(world.store, world.folder, threads=1)
    measured = world.ledger.measure(world.model, world.champion, measure)
    return measured.challenger.id


def served(world: SignedWorld) -> Any:
    live = LiveModel(world.store, world.folder, world.model)
    live.look(0.0)
    if live.champion is None:
        raise SignatureRefused(live.problem or "")
    return live.champion.version


LOADS: dict[str, Callable[[SignedWorld], Any]] = {
    "training": trained,
    "scoring": scored,
    "serving": served,
    "notebook": lambda world: load_champion("parcels").id,
}


def test_a_version_is_signed_as_registered_and_as_decided(signed_world: SignedWorld) -> None:
    timeline = signed_world.ledger.timeline()
    for standing in timeline.standings:
        decision = standing.decision
        assert decision is not None
        assert {path.stem for path in signed_world.statements(standing.version)} == {"registered", decision.evidence}
        statement = signed_world.ledger.statement(standing.version)
        assert statement is not None and statement.signer == "release" and len(statement.golden) == 1
        folders = {name.split("/")[1] for name in statement.subjects}
        assert folders == {"versions", "models", "snapshots", "fits", "evidence", "configs", "golden"}
        assert all(signed_world.store.exists(name) for name in statement.subjects)
    assert {one.state for one in verify(signed_world.ledger, signed_world.folder)} == {"ok"}


@pytest.mark.parametrize("name", LOADS)
def test_a_version_that_nobody_trusted_signed_is_not_loaded(signed_world: SignedWorld, name: str) -> None:
    load, champion = LOADS[name], signed_world.champion
    assert load(signed_world) == champion
    decided = next(path for path in signed_world.statements(champion) if path.stem != "registered")
    honest = decided.read_bytes()
    other = next(one.version for one in signed_world.ledger.timeline().standings if one.version != champion)
    others = next(path for path in signed_world.statements(other) if path.stem != "registered")
    for body in (None, others.read_bytes(), honest.replace(b'"sig":"', b'"sig":"AAAA')):
        decided.unlink()
        if body is not None:
            decided.write_bytes(body)
        with pytest.raises(RatchetError, match="sign"):
            load(signed_world)
        decided.unlink(missing_ok=True)
        decided.write_bytes(honest)
    assert load(signed_world) == champion


def test_keys_are_rotated_without_signing_anything_again(signed_world: SignedWorld) -> None:
    trusted = signed_world.root / "trusted.json"
    entries = json.loads(trusted.read_text())
    _, key = new_key("next", NOW)
    trusted.write_text(json.dumps([{**entries[0], "until": "2026-01-02T00:00:00Z"}, key.to_json()]))
    assert scored(signed_world) == signed_world.champion
    trusted.write_text(json.dumps([key.to_json()]))
    with pytest.raises(SignatureRefused, match="signer is not known"):
        scored(signed_world)


def test_golden_rows_that_are_signed_can_not_be_taken_away(signed_world: SignedWorld) -> None:
    (golden,) = (signed_world.store.root / "parcels" / "golden" / signed_world.champion).iterdir()
    golden.unlink()
    with pytest.raises(SignatureRefused, match="no such object"):
        served(signed_world)
    wrong = [one for one in verify(signed_world.ledger, signed_world.folder) if one.state == "wrong"]
    assert [one.what for one in wrong] == [signed_world.champion]


def test_what_is_not_signed_is_loaded_where_no_keys_are_trusted(
    signed_world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRUSTED_KEYS", "SIGNING_KEY", "ANCHORS"):
        monkeypatch.delenv(f"RATCHET_{name}")
    shutil.rmtree(signed_world.store.root / "parcels" / "statements")
    shutil.rmtree(signed_world.store.root / "parcels" / "heads")
    assert scored(signed_world) == signed_world.champion and served(signed_world) == signed_world.champion
    with pytest.raises(ObjectMissing):
        signed_world.store.get(f"parcels/statements/{signed_world.champion}/registered.json")


@pytest.mark.parametrize("model", ["parcels", "parcels/segments/ant"])
def test_a_statement_names_the_golden_rows_of_a_model_and_of_a_segment(model: str) -> None:
    subjects = {f"{model}/golden/v1/abc.parquet": "abc", f"{model}/models/def.skops": "def"}
    assert VersionStatement("v1", subjects, "key").golden == ("abc",)
