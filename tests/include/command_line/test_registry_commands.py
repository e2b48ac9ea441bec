"""The registry from a terminal: real versions of a small model, listed, compared, verified."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_run import NOW, declare, month, run_chain

from include.command_line import plan, registry
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from include.storage.local import LocalStore


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    model = declare(folder / "models" / "parcels")
    for number in (4, 7):
        run_chain(LocalStore(folder / "store"), model, folder / "models" / "parcels", month(number))
    return folder


@pytest.fixture
def ledger(place: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("RATCHET_STORE", (place / "store").as_uri())
    monkeypatch.setenv("RATCHET_MODELS", str(place / "models"))
    return Ledger(LocalStore(place / "store"), "parcels")


def test_models_are_listed_with_their_champions_and_broken_ones_too(ledger: Ledger, place: Path) -> None:
    (place / "models" / "broken").mkdir(exist_ok=True)
    (place / "models" / "broken" / "model.yaml").write_text("name: broken")
    _, _, parcels, broken = registry.models(NOW).splitlines()
    assert parcels.split()[:4] == ["parcels", "classification", ledger.timeline().champion, "roc_auc"]
    assert broken.startswith("broken") and "see `lint`" in broken


def test_the_champion_is_told_with_its_reason_now_and_as_of_then(ledger: Ledger) -> None:
    first, _ = ledger.timeline().standings
    assert first.decision is not None
    assert registry.champion("parcels", None).startswith(ledger.timeline().champion or "?")
    assert registry.champion("parcels", month(5)) == f"{first.version}\n{first.decision.reason}"
    assert registry.champion("parcels", month(3)) == "parcels has no champion as of 2024-03-01 00:00."


def test_two_versions_are_compared_on_the_same_rows_the_older_first(ledger: Ledger) -> None:
    first, second = (standing.version for standing in ledger.timeline().standings)
    text = registry.compare("parcels", second, first)
    assert text.index(first) < text.index(second)
    assert "on the same" in text and "roc_auc" in text and "prediction churn:" in text
    assert "training rows until" in text and "max_depth" not in text, "only what differs"
    assert registry.compare("parcels", first[:-1], second.partition("-")[2][:6]) == text
    with pytest.raises(Exception, match=f"did you mean {first}"):
        registry.compare("parcels", first[:-1] + "x", second)


def test_verify_reads_everything_again_and_names_what_was_changed(ledger: Ledger) -> None:
    said: list[str] = []
    assert registry.verify("parcels", said.append)
    assert len(said) == 5 and all(line.startswith("  ok") for line in said)
    version = ledger.timeline().standings[0].version
    record = load_version(ledger.store, "parcels", version)
    (file,) = Path(ledger.store.url.removeprefix("file://")).rglob(f"{record.model_file}.skops")
    body = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    said.clear()
    try:
        assert not registry.verify("parcels", said.append)
    finally:
        file.write_bytes(body)
    assert [version in line for line in said if line.startswith("  wrong")] == [True]


def test_plan_says_what_a_change_would_do_and_changes_nothing(ledger: Ledger, place: Path, tmp_path: Path) -> None:
    text = (place / "models" / "parcels" / "model.yaml").read_text()
    changed = tmp_path / "parcels" / "model.yaml"
    changed.parent.mkdir()

    def planned(*replaced: tuple[str, str]) -> str:
        made = text
        for one, other in replaced:
            assert one in made
            made = made.replace(one, other)
        changed.write_text(made)
        return plan.plan(changed, None)

    before = sorted(ledger.store.list(""))
    assert planned() == "Nothing changes."
    gate = planned(
        ("confidence: 0.9}", "confidence: 0.9}\n  require: [{metric: roc_auc, at_least: 0.99}]\n  approval: always")
    )
    assert "gate.require" in gate and "another digest" in gate
    assert (
        "everyone who may edit the DAG is asked about challengers that the gate holds and that it would promote" in gate
    )
    assert "Under the new gate 1 of 2 decisions would be others" in gate and "unknown" in gate
    assert "new versions" not in gate
    schedule = planned(("schedule: {", "schedule: {retrain: '@daily', "))
    assert "retrain_parcels" in schedule and "@daily" in schedule and "Under the new gate" not in schedule
    assert "monitor_" not in schedule and "promote_" not in schedule, (
        "what it does not declare, or has only under a stage's name"
    )
    watched = planned(
        ("schedule: {", "schedule: {monitor: '@hourly', audit: '@weekly', "),
        ("gate:\n", "retention: {scores: 13mo}\ngate:\n"),
    )
    for dag, ticks in (("monitor", "@hourly"), ("audit", "@weekly"), ("tidy", "@weekly")):
        assert any(line.split() == [f"{dag}_parcels", ticks] for line in watched.splitlines()), watched
    assert "new versions" in planned(("max_depth: 4", "max_depth: 5"))
    changed.write_text(text.replace("name: parcels", "name: letters\nrenamed_from: [parcels]"))
    (tmp_path / "letters").mkdir()
    renamed = changed.rename(tmp_path / "letters" / "model.yaml")
    said = plan.plan(renamed, None)
    assert "retrain_letters" in said and "retrain_parcels" not in said
    renamed.rename(changed)
    (tmp_path / "letters").rmdir()
    changed.write_text(text.replace("name: parcels", "name: letters"))
    (tmp_path / "letters").mkdir()
    other = changed.rename(tmp_path / "letters" / "model.yaml")
    assert plan.plan(other, None).startswith("letters is new here")
    assert sorted(ledger.store.list("")) == before
