"""The ledgers of segments are signed, remembered, packed, erased from and verified like that of their model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from chain_run import NOW, month
from segmented import declare_segments, run_segments
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.rows.segments import kept_as
from include.errors import SignatureRefused
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.retention.erase import erase
from include.retention.people import People
from include.scoring.golden import load_golden
from include.serving.live.served import open_served
from include.signing.keys import new_key
from include.storage.local import LocalStore

ANT = "parcels/segments/ant"


@dataclass(frozen=True)
class Place:
    """A model with segments in a deployment that signs."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "parcels"

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    @property
    def model(self) -> ModelConfig:
        return load_model(self.folder / "model.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, ANT)

    @property
    def champion(self) -> str:
        champion = self.ledger.timeline().champion
        assert champion is not None
        return champion

    def set(self, patch: pytest.MonkeyPatch, *, signs: bool = True) -> None:
        patch.setenv("RATCHET_STORE", self.store.url)
        patch.setenv("RATCHET_MODELS", str(self.root))
        if signs:
            patch.setenv("RATCHET_TRUSTED_KEYS", str(self.root / "trusted.json"))
            patch.setenv("RATCHET_SIGNING_KEY", str(self.root / "key.pem"))
            patch.setenv("RATCHET_ANCHORS", (self.root / "anchors").as_uri())

    def wrong(self) -> list[str]:
        return [f"{one.what}: {one.found}" for one in verify(self.ledger, self.folder) if one.state == "wrong"]


def make(root: Path, *, signs: bool) -> Place:
    place = Place(root)
    root.mkdir(exist_ok=True)
    declare_segments(place.folder)
    pem, key = new_key("release", NOW - timedelta(days=1))
    (root / "key.pem").write_bytes(pem)
    (root / "trusted.json").write_text(json.dumps([key.to_json()]))
    with pytest.MonkeyPatch.context() as patch:
        place.set(patch, signs=signs)
        run_segments(place.store, place.model, place.folder, month(4))
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make(tmp_path_factory.mktemp("signed_segments"), signs=True)


@pytest.fixture
def place(made: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    shutil.copytree(made.root, tmp_path / "place")
    copied = Place(tmp_path / "place")
    copied.set(monkeypatch)
    return copied


def test_the_ledger_of_a_segment_is_signed_and_remembered(place: Place) -> None:
    assert (place.root / "anchors" / f"{ANT}.json").is_file() and (place.root / "anchors" / "parcels.json").is_file()
    assert place.wrong() == []


def test_a_pack_of_a_segments_version_is_found_sound_by_its_own_script(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["pack", "parcels/ant"])
    assert done.exit_code == 0, done.output
    (path,) = tmp_path.glob("parcels-ant-*.zip")
    with ZipFile(path) as archive:
        script = archive.read("verify.py")
    command = [sys.executable, "-I", "-S", "-", str(path), "--trusted", str(place.root / "trusted.json")]
    said = subprocess.run(command, input=script, capture_output=True, timeout=60, check=False)
    assert said.returncode == 0 and b"signed by release" in said.stdout, said.stdout.decode() + said.stderr.decode()


def test_what_an_erasure_took_from_a_segment_is_no_damage_and_its_version_goes_on(place: Place) -> None:
    signed = place.ledger.statement(place.champion)
    assert signed is not None
    (before,) = load_golden(place.store, ANT, place.champion, named=signed.golden)
    theirs = frozenset((str(one),) for one in before["parcel"].to_pylist()[:3])
    told = erase(place.store, place.model, People(("parcel",), theirs), at=NOW, remove=True)
    assert {"partitions", "golden"} <= set(told.rows)
    assert place.wrong() == []
    (after,) = load_golden(place.store, ANT, place.champion, named=signed.golden)
    assert before.num_rows - after.num_rows == 3
    served = open_served(place.ledger, kept_as(place.model, "ant"), place.folder, place.champion)
    assert served.version == place.champion


def test_the_ledger_of_a_segment_from_before_signing_can_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "place", signs=False)
    place.set(monkeypatch)
    with pytest.raises(SignatureRefused):
        place.ledger.entries()
    for name in ("parcels", "parcels/ant"):
        done = CliRunner().invoke(app, ["sign", name])
        assert done.exit_code == 0, done.output
    assert place.wrong() == []
