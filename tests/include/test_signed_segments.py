"""The ledgers of segments are signed, remembered, packed, erased from and verified like that of their model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from chain_run import NOW, month
from segmented import april_segments, declare_segments, run_segments  # noqa: F401 (the first is a fixture)
from signed_world import SignedWorld
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.sections.rows.segments import kept_as
from include.errors import SignatureRefused
from include.registry.ledger import Ledger
from include.retention.erase import erase
from include.retention.people import People
from include.scoring.golden import load_golden
from include.serving.live.served import open_served

ANT = "parcels/segments/ant"


class Segments(SignedWorld):
    """A model with segments in a deployment that signs."""

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, ANT)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Segments:
    place = Segments(tmp_path_factory.mktemp("signed_segments"))
    place.make_key()
    with pytest.MonkeyPatch.context() as patch:
        place.settings(patch)
        run_segments(place.store, declare_segments(place.folder), place.folder, month(4))
    return place


@pytest.fixture
def place(made: Segments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Segments:
    copied = made.copy(tmp_path / "place")
    copied.settings(monkeypatch)
    return copied


def test_the_ledger_of_a_segment_is_signed_and_remembered(place: Segments) -> None:
    assert (place.root / "anchors" / f"{ANT}.json").is_file() and (place.root / "anchors" / "parcels.json").is_file()
    assert place.wrong() == []


def test_a_pack_of_a_segments_version_is_found_sound_by_its_own_script(
    place: Segments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_what_an_erasure_took_from_a_segment_is_no_damage_and_its_version_goes_on(place: Segments) -> None:
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
    april_segments: Path,  # noqa: F811 (a fixture)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Segments(april_segments).copy(tmp_path / "place")
    place.make_key()
    place.settings(monkeypatch)
    with pytest.raises(SignatureRefused):
        place.ledger.entries()
    for name in ("parcels", "parcels/ant"):
        done = CliRunner().invoke(app, ["sign", name])
        assert done.exit_code == 0, done.output
    assert place.wrong() == []
