"""A rebuilt version is signed, audited, replayed and packed like any other, with the one that it rebuilds."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest
from chain_run import NOW
from signed_world import SignedWorld

from include.audit.audit import audit
from include.audit.offline_check import main
from include.audit.pack import make_pack
from include.errors import SignatureRefused
from include.registry.history.policy_replay import rejudge
from include.registry.statements import statement_key


def original(world: SignedWorld) -> str:
    return str(world.ledger.timeline()[world.champion].rebuild_of)


@pytest.fixture
def path(rebuilt_world: SignedWorld, tmp_path: Path) -> Path:
    path = tmp_path / "pack.zip"
    path.write_bytes(make_pack(rebuilt_world.ledger, rebuilt_world.champion))
    return path


def test_a_rebuilt_version_is_signed_with_the_evidence_of_its_original_and_refused_without(
    rebuilt_world: SignedWorld,
) -> None:
    ledger, champion = rebuilt_world.ledger, rebuilt_world.champion
    decision = ledger.timeline()[champion].decision
    assert decision is not None
    signed = ledger.statement(champion)
    assert signed is not None and signed.signer == "release"
    assert f"parcels/models/{ledger.version(champion).model_file}.skops" in signed.subjects
    rebuilt_world.path(statement_key("parcels", champion, decision.evidence)).unlink()
    with pytest.raises(SignatureRefused, match="not signed"):
        rebuilt_world.ledger.version(champion)


def test_an_audit_finds_a_rebuilt_version_sound_looks_at_its_golden_rows_and_finds_a_changed_proof(
    rebuilt_world: SignedWorld,
) -> None:
    world, champion = rebuilt_world, rebuilt_world.champion
    found = audit(world.store, world.model, world.folder, run="one", calls=100_000, at=NOW)
    assert found.complete and dict(found.wrong) == {}
    golden = [one for one in found.looked if one.startswith("golden rows")]
    assert any(champion in one for one in golden)
    (proof,) = (entry.body["proof"] for entry in world.ledger.entries() if entry.kind == "rebuilt")
    report = world.path(f"parcels/reproductions/{proof}.json")
    report.write_text(report.read_text().replace('"beyond":0', '"beyond":9'))
    found = audit(world.store, world.model, world.folder, run="two", calls=100_000, at=NOW)
    assert len(found.wrong) == 1 and "rebuil" in next(iter(found.wrong))


def test_decisions_around_a_rebuild_come_out_the_same_when_they_are_judged_again(rebuilt_world: SignedWorld) -> None:
    again = rejudge(rebuilt_world.ledger)
    assert len(again) == 2 and not [one for one in again if one.differs or one.outcome is None]


def test_a_pack_of_a_rebuilt_version_names_its_original_and_is_sound(
    rebuilt_world: SignedWorld, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(path), "--trusted", str(rebuilt_world.root / "trusted.json")]) == 0
    said, first = capsys.readouterr().out, original(rebuilt_world)
    assert f"{rebuilt_world.champion} has the place of {first}" in said and f"decided: {first} PROMOTE" in said
    assert f"version: {rebuilt_world.champion}" in said and "signed by release" in said
    assert make_pack(rebuilt_world.ledger, first), "that of the original stands"


def test_any_change_in_the_pack_of_a_rebuilt_version_is_found(
    rebuilt_world: SignedWorld, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trusted = ["--trusted", str(rebuilt_world.root / "trusted.json")]
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    stored = [name for name in files if name.startswith("store/")]
    assert any("/reproductions/" in name for name in stored)
    for name in stored:
        body = files[name]
        with ZipFile(path, "w") as archive:
            for other, content in files.items():
                archive.writestr(other, body[:-9] + bytes([body[-9] ^ 1]) + body[-8:] if other == name else content)
        assert main([str(path), *trusted]) == 1, name
    capsys.readouterr()
