"""Questions to a ledger without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner
from worlds import NOW, World

from include.command_line.app import app
from include.command_line.ledger_queries import history, what_if
from include.errors import ConfigError
from include.registry.ledger import Ledger
from include.storage.local import LocalStore


@pytest.fixture
def ledger(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("RATCHET_STORE", local_store.url)
    world = World(local_store)
    ledger = Ledger(local_store, world.model.name)
    for number, (month, quality) in enumerate([(7, 0.64), (3, 0.60)]):
        version, at, actor = world.version(month, quality), NOW + timedelta(days=number), {"trigger": "backfill"}
        ledger.register(version, actor=actor, at=at)
        ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=at)
        ledger.settle(measure=world.measure, actor=actor, at=at)
    return ledger


def test_history_tells_what_stands_from_what_was_in_force_in_fact(ledger: Ledger) -> None:
    march, july = (standing.version for standing in ledger.timeline().standings)
    _, stands, fact = history("flight_delay", None).split("\n\n")
    assert [line.split()[-1] for line in stands.splitlines()[2:]] == [march, july]
    assert [line.split()[-1] for line in fact.splitlines()[2:]] == [july]
    assert history("flight_delay", datetime(2013, 4, 1, tzinfo=UTC)).splitlines() == [
        f"as of 2013-04-01 00:00: {march}",
        "in force then in fact: no champion",
    ]


def test_replay_counts_what_would_differ(ledger: Ledger, tmp_path: Path) -> None:
    assert "3 decisions: 0 would differ, 0 can't be told" in what_if("flight_delay", None)
    (tmp_path / "gate.yaml").write_text(
        "gate: {primary: {metric: roc_auc}, require: [{metric: roc_auc, at_least: 0.61}]}"
    )
    assert "2 decisions: 1 would differ, 0 can't be told" in what_if("flight_delay", tmp_path / "gate.yaml")


def test_what_is_no_policy_and_what_is_no_ledger_are_answered(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("gates: {}")
    with pytest.raises(ConfigError, match="no policy"):
        what_if("flight_delay", tmp_path / "gate.yaml")
    with pytest.raises(ConfigError, match="ledger of flights is empty"):
        history("flights", None)


def test_versions_are_named_and_found_by_tag_and_alias_from_a_terminal(ledger: Ledger) -> None:
    march, july = (standing.version for standing in ledger.timeline().standings)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert run("tag", "flight_delay", march[:8], "risk=low", "--reason", "read it").strip() == f"{march}: risk=low"
    assert run("alias", "flight_delay", "eu", march, "--reason", "the old rules").strip() == f"eu: {march}"
    found = run("versions", "flight_delay", "--tag", "risk")
    assert july not in found and found.splitlines()[-1].split() == [march, "eu", "risk=low"]
    assert "in force" in run("versions", "flight_delay")
    assert "the old rules" in run("history", "flight_delay")
    assert run("alias", "flight_delay", "eu", "--remove", "--reason", "over").strip() == "eu: no version"
    assert run("tag", "flight_delay", march, "risk", "--remove", "--reason", "no").strip().endswith("no tags")
    with pytest.raises(ConfigError, match="not clear"):
        run("alias", "flight_delay", "eu", "--reason", "over")
