"""A bad reading is found and taken back by commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_run import declare, month, run_chain
from typer.testing import CliRunner

from include.command_line.app import app
from include.errors import ConfigError
from include.registry.ledger import Ledger
from include.storage.local import LocalStore


def asked(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_reading_is_listed_taken_back_and_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    run_chain(store, declare(folder), folder, month(4))
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(folder.parent))
    (version,) = [standing.version for standing in Ledger(store, "parcels").timeline().standings]
    (line,) = asked("readings", "parcels", "2024-02").splitlines()[2:]
    reading = line.split()[1]
    assert "in force" in line and version in line
    take = ["retract", "parcels", "2024-02", "--reading", reading, "--reason", "wrong units"]
    said = asked(*take)
    assert f"Reading {reading} of partition 2024-02 is taken back." in said and "no row" in said
    assert f"Versions trained or evaluated on it: {version}." in said
    assert "as it was before" in asked(*take)
    assert "wrong units" in asked("readings", "parcels", "2024-02")
    assert f"reading {reading}" in asked(*take, "--restore")
    assert "in force" in asked("readings", "parcels", "2024-02")
    with pytest.raises(ConfigError, match="Nothing was read of this partition"):
        asked("readings", "parcels", "1999-01")
