"""MLflow shows what the ledger says, one run a version, however often and by however many a mirror is made or killed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from chain_run import NOW, declare, month, run_chain
from signed_world import SignedWorld
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.settings import Settings
from include.errors import ConfigError, MirrorBehind
from include.mirror.mlflow_mirror import Mirrored, mirror
from include.mirror.registered_model import RegisteredModel
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

mlflow = pytest.importorskip("mlflow", reason="needs mlflow-skinny, of requirements-mlflow.txt")

ACTOR = {"trigger": "manual", "dag": "rollback_parcels", "run": "r", "task": "withdraw"}


@pytest.fixture
def server(mlflow_address: str) -> str:
    return mlflow_address


@pytest.fixture
def world(older_made: SignedWorld, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedWorld:
    world = older_made.copy(tmp_path / "w")
    world.settings(monkeypatch)
    monkeypatch.setenv("RATCHET_MLFLOW", server)
    return world


class Shown:
    """What a server shows of one registered model."""

    def __init__(self, server: str, name: str) -> None:
        self.client, self.name = mlflow.MlflowClient(server, server), name

    @property
    def runs(self) -> dict[str, Any]:
        experiment = self.client.get_experiment_by_name(f"ratchet/{self.name}")
        found = self.client.search_runs([experiment.experiment_id])
        assert len(found) == len({run.info.run_name for run in found}), "one run a version"
        return {run.info.run_name: run for run in found}

    @property
    def versions(self) -> dict[str, str]:
        """The run of each model version by the version that it stands for."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        assert len(found) == len({one.tags["ratchet.version"] for one in found})
        return {one.tags["ratchet.version"]: one.run_id for one in found}

    @property
    def champion(self) -> str | None:
        alias = self.client.get_registered_model(self.name).aliases.get("champion")
        if alias is None:
            return None
        return str(self.client.get_model_version(self.name, alias).tags["ratchet.version"])

    def state(self) -> dict[str, Any]:
        """Return all that it shows, without the numbers that MLflow gives."""
        assert {run.info.run_name: run.info.run_id for run in self.runs.values()} == self.versions
        return {
            name: (run.data.params, run.data.metrics, run.data.tags, run.info.status, str(run.inputs), self.card(name))
            for name, run in self.runs.items()
        } | {"champion": self.champion}

    def card(self, version: str) -> str:
        return str(mlflow.artifacts.load_text(f"{self.runs[version].info.artifact_uri}/card.html"))


@pytest.fixture
def shown(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A registered model of the test's own."""
    monkeypatch.setenv("RATCHET_MLFLOW_NAME", f"{request.node.name[5:45]}-{{model}}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return Shown(server, Settings.from_environment().mlflow_name.format(model="parcels"))


def test_each_version_is_a_run_with_what_is_on_record_and_the_alias_names_the_champion(
    world: SignedWorld, shown: Shown
) -> None:
    assert mirror(world.ledger) == Mirrored(2, world.champion, {})
    assert shown.champion == world.champion and set(shown.versions) == set(shown.runs)
    run, ledger = shown.runs[world.champion], world.ledger
    standing, version = ledger.timeline()[world.champion], ledger.version(world.champion)
    assert standing.decision is not None
    comparison = ledger.compare(standing.decision)
    assert comparison is not None
    measured = comparison.evidence.scores["challenger"]["roc_auc"]
    metrics = run.data.metrics
    assert [metrics[f"roc_auc{bound}"] for bound in ("", ".low", ".high")] == [
        measured.value,
        measured.low,
        measured.high,
    ]
    assert metrics["gain"] == standing.decision.primary["gain"]
    assert run.data.params["params.max_depth"] == "4" and run.data.params["train_rows"] == "491"
    told = {"outcome": "PROMOTE", "model_file": version.model_file, "evidence": standing.decision.evidence}
    assert {name: run.data.tags[f"ratchet.{name}"] for name in told} == told
    assert run.data.tags["mlflow.note.content"] == standing.decision.reason
    (rows,) = run.inputs.dataset_inputs
    assert rows.dataset.digest == version.snapshot[:36] and version.snapshot in rows.dataset.source
    assert "Will this parcel be late?" in shown.card(world.champion)
    before = shown.state()
    assert mirror(world.ledger) == Mirrored(0, world.champion, {})
    assert shown.state() == before


def test_the_alias_follows_a_rebuild_and_withdrawals_and_names_nothing_when_nothing_is_in_force(
    world: SignedWorld, shown: Shown
) -> None:
    first = world.champion
    mirror(world.ledger)
    rebuilt = world.rebuild()
    assert (mirror(world.ledger).written, shown.champion) == (2, rebuilt)
    tags = {name: run.data.tags for name, run in shown.runs.items()}
    assert (tags[rebuilt]["ratchet.rebuild_of"], tags[first]["ratchet.rebuilt_as"]) == (first, rebuilt)
    assert tags[rebuilt]["ratchet.outcome"] == "PROMOTE" and "gain" in shown.runs[rebuilt].data.metrics
    world.ledger.withdraw(rebuilt, "wrong labels", actor=ACTOR, at=NOW)
    mirror(world.ledger)
    assert shown.champion == world.champion not in (first, rebuilt)
    assert {shown.runs[one].data.tags["ratchet.withdrawn"] for one in (first, rebuilt)} == {"wrong labels"}
    world.ledger.withdraw(world.champion, "wrong, too", actor=ACTOR, at=NOW)
    assert mirror(world.ledger).champion is None and shown.champion is None


class Killed(BaseException):
    """The process ends here: nothing catches it."""


def test_a_mirror_that_is_killed_after_any_write_is_completed_by_the_next(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    run_chain(store, declare(tmp_path / "parcels"), tmp_path / "parcels", month(4))
    monkeypatch.setenv("RATCHET_MLFLOW", server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    send, asked, last = requests.Session.request, 0, 0

    def request(session: Any, method: str, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        answer = send(session, method, *arguments, **options)
        if method != "GET":  # after one that only reads it is as after the one before
            asked += 1
            if asked == last:
                raise Killed
        return answer

    monkeypatch.setattr(requests.Session, "request", request)

    def state() -> dict[str, Any]:
        return Shown(server, f"killed-{last}-parcels").state()

    monkeypatch.setenv("RATCHET_MLFLOW_NAME", "killed-0-{model}")
    mirror(Ledger(store, "parcels"))
    total, whole = asked, state()
    assert total > 10
    for last in range(1, total + 1):
        monkeypatch.setenv("RATCHET_MLFLOW_NAME", f"killed-{last}-{{model}}")
        asked = 0
        with pytest.raises(Killed):
            mirror(Ledger(store, "parcels"))
        mirror(Ledger(store, "parcels"))
        assert state() == whole, f"after write {last} of {total}"


def test_of_two_mirrors_that_find_no_run_at_the_same_time_one_run_stays(
    world: SignedWorld, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, both = RegisteredModel._create_run, threading.Barrier(2, timeout=60)
    created = []

    def together(self: Any, run: Any) -> Any:
        both.wait()
        created.append(run.name)
        return make(self, run)

    monkeypatch.setattr(RegisteredModel, "_create_run", together)
    with ThreadPoolExecutor(2) as mirrors:
        list(mirrors.map(lambda _: mirror(world.ledger), range(2)))
    assert len(created) == 4, "both made a run of each version"
    assert shown.champion == world.champion
    assert shown.state() and len(shown.runs) == 2
    assert mirror(world.ledger).written == 0


def test_a_mirror_that_read_an_older_ledger_leaves_the_newer_alias(
    world: SignedWorld, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = world.champion
    before = world.ledger.timeline().incumbent_of(champion)
    move = RegisteredModel.move_alias

    def late(self: Any, entries: Any) -> Any:
        monkeypatch.setattr(RegisteredModel, "move_alias", move)
        world.ledger.withdraw(champion, "wrong", actor=ACTOR, at=NOW)
        assert mirror(world.ledger).champion == before
        assert move(self, entries) == champion, "what it read then"
        return champion

    monkeypatch.setattr(RegisteredModel, "move_alias", late)
    assert mirror(world.ledger).champion == before
    assert shown.champion == before


def test_a_run_that_a_person_deleted_comes_back_and_one_beside_it_goes(world: SignedWorld, shown: Shown) -> None:
    mirror(world.ledger)
    before, run = shown.state(), shown.runs[world.champion]
    shown.client.delete_run(run.info.run_id)
    keep = {name: run.data.tags[name] for name in ("mlflow.runName", "ratchet.version", "ratchet.store")}
    shown.client.create_run(run.info.experiment_id, tags=keep)
    assert mirror(world.ledger).written == 1
    assert shown.state() == before


def test_a_registered_model_that_is_not_this_mirror_is_left_alone(world: SignedWorld, shown: Shown) -> None:
    shown.client.create_registered_model(shown.name)
    with pytest.raises(ConfigError, match="not the mirror of this store") as refused:
        mirror(world.ledger)
    assert "RATCHET_MLFLOW_NAME" in str(refused.value.remedy)
    assert not shown.client.search_model_versions(f"name = '{shown.name}'")


def test_a_version_with_a_damaged_record_hides_no_other(world: SignedWorld, shown: Shown) -> None:
    champion = world.champion
    first = world.ledger.timeline().incumbent_of(champion)
    decision = world.ledger.timeline()[str(first)].decision
    assert decision is not None
    world.path(f"parcels/evidence/{decision.evidence}.json").write_text("{}")
    done = CliRunner().invoke(app, ["mirror", "parcels"])
    assert done.exit_code == 1 and f"{first} can't be shown" in done.output
    assert set(shown.runs) == {champion} and shown.champion == champion


def test_where_mlflow_does_not_answer_the_mirror_says_so_and_the_store_is_as_it_was(
    world: SignedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("RATCHET_MLFLOW", "http://127.0.0.1:9")
    before = sorted(path for path in world.store.root.rglob("*") if path.is_file())
    with pytest.raises(MirrorBehind, match="is not up to date") as behind:
        mirror(world.ledger)
    assert "catches up" in str(behind.value.remedy)
    assert sorted(path for path in world.store.root.rglob("*") if path.is_file()) == before
