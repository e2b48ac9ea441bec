"""An audit pack is the same bytes for the same decision, and a script that needs nothing else finds any change in it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from chain_run import NOW
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_world import SignedWorld
from typer.testing import CliRunner

from include.audit.offline_check import ORDER, ed25519_verifies, main
from include.audit.pack import make_pack
from include.command_line.app import app
from include.signing.keys import new_key

SETTINGS = ("RATCHET_TRUSTED_KEYS", "RATCHET_SIGNING_KEY", "RATCHET_ANCHORS")


def told(path: Path, *more: str) -> tuple[int, str]:
    """Run the pack's own script, alone."""
    with ZipFile(path) as archive:
        script = archive.read("verify.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-", str(path), *more], input=script, capture_output=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.fixture
def path(signed_world: SignedWorld, tmp_path: Path) -> Path:
    path = tmp_path / "pack.zip"
    done = CliRunner().invoke(app, ["pack", "parcels", signed_world.champion[:20], "--to", str(path)])
    assert done.exit_code == 0, done.output
    return path


def test_a_pack_says_who_when_what_and_why_and_is_found_sound_by_its_own_script(
    signed_world: SignedWorld, path: Path
) -> None:
    status, said = told(path, "--trusted", str(signed_world.root / "trusted.json"))
    assert status == 0 and said.endswith("SOUND\n"), said
    decision = signed_world.ledger.timeline()[signed_world.champion].decision
    assert decision is not None
    for fact in (
        signed_world.champion,
        decision.reason,
        "signed by release",
        "dag retrain_parcels",
        "roc_auc",
        "no person",
    ):
        assert fact in said
    with ZipFile(path) as archive:
        names = set(archive.namelist())
        card, sbom = archive.read("card.html").decode(), json.loads(archive.read("sbom.cdx.json"))
    assert signed_world.champion in card
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert {"python", "scikit-learn", "numpy"} <= {one["name"] for one in sbom["components"]}
    assert not any(folder in name for name in names for folder in ("/models/", "/golden/", "/partitions/", "/domains/"))
    assert "named, not enclosed: parcels/golden/" in said


def test_the_same_decision_gives_the_same_bytes_whatever_came_after(signed_world: SignedWorld, path: Path) -> None:
    earlier, champion = (one.version for one in signed_world.ledger.timeline().standings)
    before = make_pack(signed_world.ledger, earlier)
    signed_world.ledger.withdraw(champion, "later", actor={"trigger": "manual"}, at=NOW)
    assert make_pack(signed_world.ledger, earlier) == before
    assert make_pack(signed_world.ledger, champion) == path.read_bytes()
    whole = make_pack(signed_world.ledger, earlier, whole=True)
    assert any(name.endswith(".skops") for name in ZipFile(io.BytesIO(whole)).namelist())


def rewritten(path: Path, name: str, body: bytes | None) -> None:
    with ZipFile(path) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    files.pop(name) if body is None else files.update({name: body})
    with ZipFile(path, "w") as archive:
        for one, content in files.items():
            archive.writestr(one, content)


def test_any_change_of_what_is_enclosed_is_found(
    signed_world: SignedWorld, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, trusted = path.read_bytes(), ["--trusted", str(signed_world.root / "trusted.json")]
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name.startswith("store/")}
    assert len(files) > 15 and main([str(path), *trusted]) == 0
    for name, body in files.items():
        path.write_bytes(sound)
        rewritten(path, name, body[:-9] + bytes([body[-9] ^ 1]) + body[-8:])
        assert main([str(path), *trusted]) == 1, name
    path.write_bytes(sound)
    rewritten(path, "sbom.cdx.json", b'{"components": []}')
    assert main([str(path), *trusted]) == 1
    capsys.readouterr()


def test_a_pack_by_a_key_that_the_auditor_does_not_know_is_refused(path: Path, tmp_path: Path) -> None:
    _, other = new_key("other", NOW)
    (tmp_path / "keys.json").write_text(json.dumps([other.to_json()]))
    status, said = told(path, "--trusted", str(tmp_path / "keys.json"))
    assert status == 1 and "not in the list" in said
    status, said = told(path)
    assert status == 0 and "those that the pack itself brings" in said


def test_a_pack_of_a_deployment_that_does_not_sign_says_so(
    signed_world: SignedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name)
    for folder in ("heads", "statements"):
        for key in list(signed_world.store.list(f"parcels/{folder}/")):
            signed_world.path(key).unlink()
    path = tmp_path / "plain.zip"
    path.write_bytes(make_pack(signed_world.ledger, signed_world.champion))
    status, said = told(path)
    assert status == 0 and "NOT SIGNED" in said
    status, said = told(path, "--trusted", str(signed_world.root / "trusted.json"))
    assert status == 1 and "no signature" in said


def test_the_script_agrees_with_the_library_on_signatures_good_and_bad() -> None:
    for number in range(3):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public, message = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), b"m" * number
        signature = key.sign(message)
        assert ed25519_verifies(public, signature, message)
        assert not ed25519_verifies(public, signature, message + b"x")
        assert not ed25519_verifies(public, signature[:5] + bytes([signature[5] ^ 1]) + signature[6:], message)
        more = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
        assert not ed25519_verifies(public, signature[:32] + more, message), "a signature has one form"
        assert not ed25519_verifies(b"\xff" * 32, signature, message) and not ed25519_verifies(public, b"", message)
