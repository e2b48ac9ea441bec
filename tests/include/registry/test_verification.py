"""Everything that a ledger names is held against its name before it is used, and `verify` names what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW, Run, declare, month, run_chain
from earlier_release import as_release_0_1

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import ObjectCorrupt, RatchetError
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.verification import CACHED_ANSWERS, steps, verify
from include.registry.version_states import Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.score import score
from include.storage.content import canonical_json, digest_json
from include.storage.local import LocalStore
from include.training.fit_candidate import fit_candidate
from include.training.provenance import keep_code

LINE = "- {estimator: logistic_regression}"
TREE = "- {estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}"
TREES = """- {name: tree, estimator: decision_tree, params: {max_depth: 7, min_samples_leaf: 40}}
    - {name: other, estimator: decision_tree, params: {max_depth: 7, min_samples_leaf: 60}}
    - {name: both, estimator: voting, members: [tree, other]}"""


@dataclass(frozen=True)
class World:
    """A store with two versions, of which both join two fits and one was the champion before the other."""

    root: Path

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    @property
    def folder(self) -> Path:
        return self.root / "parcels"

    @property
    def model(self) -> ModelConfig:
        return load_model(self.folder / "model.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    @property
    def champion(self) -> str:
        champion = self.ledger.timeline().champion
        assert champion is not None
        return champion

    def put(self, key: str, body: bytes) -> None:
        """Write behind the store's back."""
        path = self.store.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.chmod(0o644)
        path.write_bytes(body)

    def rewrite(self, key: str, **changes: Any) -> None:
        self.put(key, canonical_json({**json.loads(self.store.get(key)), **changes}))

    def wrong(self) -> list[str]:
        return [f"{one.what}: {one.found}" for one in verify(self.ledger, self.folder) if one.state == "wrong"]

    def fit_key(self, version: str) -> str:
        return f"parcels/fits/{json.loads(self.store.get(f'parcels/versions/{version}.json'))['fit']}.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("verified")
    declare(root / "parcels", evaluation="{metrics: [roc_auc, brier], slices: [carrier], resamples: 200}")
    path = root / "parcels" / "model.yaml"
    path.write_text(path.read_text().replace(TREE, TREES).replace(f"    {LINE}\n", ""))
    world = World(root)
    for number in (7, 4):
        run_chain(world.store, world.model, world.folder, month(number))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    shutil.copytree(made, tmp_path / "w")
    return World(tmp_path / "w")


def scored(world: World) -> Any:
    window = Window(month(8), month(9))
    snapshot = ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, world.model, world.folder, snapshot, at=NOW)
    return manifest and (manifest.version, manifest.scores)


def evaluated(world: World) -> Any:
    clock = lambda: 0.0  # noqa: E731
    measured = world.ledger.measure(
        world.model, world.champion, evaluator(world.store, world.folder, threads=1, clock=clock)
    )
    return measured.evidence.comparable, measured.evidence.scores, measured.evidence.gains


def settled(world: World) -> Any:
    """Settle after a version between the two came into force, if nothing keeps it from that."""
    clock = lambda: 0.0  # noqa: E731
    ledger, april = world.ledger, world.ledger.timeline().standings[0].version
    ledger.withdraw(april, "to have another incumbent", actor={"trigger": "manual"}, at=NOW)
    again = ledger.settle(
        measure=evaluator(world.store, world.folder, threads=1, clock=clock), actor={"trigger": "manual"}, at=NOW
    )
    return [(one.version, one.outcome, one.primary) for one in again]


def reproduced(world: World) -> Any:
    report = reproduce(
        world.store,
        world.model,
        world.folder,
        world.champion,
        at=NOW,
        connections=None,  # type: ignore[arg-type]
    )
    return report.reproduced, report.outcome, report.made_file


OPERATIONS: dict[str, Callable[[World], Any]] = {
    "score": scored,
    "evaluate": evaluated,
    "settle": settled,
    "reproduce": reproduced,
}


def changed(key: str, body: bytes) -> Iterator[bytes]:
    """Yield an object with one thing changed: of JSON one field of each kind, of others one bit."""
    if not key.endswith(".json"):
        yield body[:-9] + bytes([body[-9] ^ 1]) + body[-8:] if len(body) > 9 else body + b"\n"
        return
    value = json.loads(body)
    if "answer" in value:
        yield canonical_json({**value, "answer": _other(value["answer"])})
        return
    for name in value:
        yield canonical_json({**value, name: _other(value[name])})


def _other(value: Any) -> Any:
    match value:
        case None:
            return 0.25
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value[:-1] + ("0" if value[-1:] != "0" else "1")
        case list():
            return [*value, *value[:1]] if value else ["0" * 64]
        case dict():
            return {**value, **{name: _other(one) for name, one in list(value.items())[:1]}} or {"a": "0" * 64}
    raise AssertionError(type(value))


def kept(world: World) -> list[str]:
    """Return the keys of all objects but the entries and checkpoints of logs, and pages and reports for people."""
    beside = ("/ledger/", "/log/", "-checkpoints/", "/cards/", "/checks/")
    keys = [key for key in world.store.list("parcels/") if not any(folder in key for folder in beside)]
    return keys + list(world.store.list("parcels/checks/index/")) + list(world.store.list("parcels/checks/passed/"))


def is_answer(key: str) -> bool:
    return key.rpartition("/")[0].removeprefix("parcels/") in CACHED_ANSWERS


def reached(world: World) -> set[str]:
    """Return the keys of what the ledger reaches, by no knowledge of ours: whatever is mentioned in what was reached before."""
    objects = [key for key in kept(world) if not is_answer(key)]
    text = json.dumps([entry.body for entry in world.ledger.entries()])
    found: set[str] = set()
    while new := {key for key in objects if key not in found and Path(key).stem in text}:
        found |= new
        text += " ".join(world.store.get(key).decode() for key in sorted(new) if key.endswith(".json"))
    return found


def test_a_store_that_nobody_touched_is_sound(world: World) -> None:
    looked = list(verify(world.ledger, world.folder))
    assert {one.state for one in looked} == {"ok"} and len(looked) == 5


def test_every_object_that_the_ledger_reaches_is_named_by_verify_once_anything_of_it_changed(world: World) -> None:
    named, looked_at = reached(world), 0
    for key in kept(world):
        body = world.store.get(key)
        for other in changed(key, body):
            world.put(key, other)
            found = world.wrong()
            assert bool(found) is (key in named or is_answer(key)), (key, other[:200])
            looked_at += 1
        world.put(key, body)
    assert looked_at > 200 and world.wrong() == []
    folders = {key.split("/")[1] for key in named}
    assert folders >= {
        "versions",
        "fits",
        "models",
        "code",
        "configs",
        "domains",
        "snapshots",
        "evidence",
        "partitions",
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_takes_a_changed_object_for_the_one_that_was_named(
    world: World, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses, or does what it would have done, since it did not need it; settle may say that it can't compare."""
    operation = OPERATIONS[name]
    read: set[str] = set()
    with monkeypatch.context() as recorded:
        get = LocalStore.get
        recorded.setattr(LocalStore, "get", lambda store, key: read.add(key) or get(store, key))
        expected = operation(_copy(world, tmp_path / "untouched"))
    assert expected if name != "reproduce" else expected[0]
    refused: set[str] = set()
    # Partitions have tests of their own: `reproduce` reads a damaged one from the source again.
    keys = [key for key in kept(world) if key in read and not key.startswith("parcels/partitions/")]
    for number, key in enumerate(keys):
        body = world.store.get(key)
        *_, other = changed(key, body)
        copy = _copy(world, tmp_path / str(number))
        copy.put(key, other)
        try:
            found = operation(copy)
        except RatchetError:
            refused.add(key.split("/")[1])
            continue
        if found != expected:
            refused.add(key.split("/")[1])
            if name == "settle":
                assert all(outcome is Outcome.INCOMPARABLE for _, outcome, _ in found), key
            elif name == "evaluate":
                assert found[0] is False, key
            else:
                assert name == "reproduce" and not found[0], key
        shutil.rmtree(copy.root)
    assert (
        refused
        >= {
            "score": {"versions", "fits", "models", "domains", "configs"},
            "evaluate": {"versions", "fits", "evidence"},
            "settle": {"versions", "fits", "configs"},
            "reproduce": {"versions", "fits", "models", "configs", "snapshots"},
        }[name]
    )


def _copy(world: World, to: Path) -> World:
    shutil.copytree(world.root, to)
    return World(to)


@pytest.mark.parametrize("earlier", [False, True], ids=["this release", "release 0.1"])
def test_another_model_file_is_not_published_under_an_old_version(world: World, earlier: bool) -> None:
    if earlier:
        as_release_0_1(world.store, "parcels")
    champion = world.champion
    (another,) = (one.version for one in world.ledger.timeline().standings if one.version != champion)
    other = json.loads(world.store.get(world.fit_key(another)))["model_file"]
    world.rewrite(world.fit_key(champion), model_file=other)
    with pytest.raises(RatchetError, match="fits"):
        scored(world)
    assert any(line.startswith(champion) for line in world.wrong())
    world.rewrite(f"parcels/versions/{champion}.json", model_file=other)
    with pytest.raises(RatchetError, match="versions"):
        scored(world)


@pytest.mark.parametrize("earlier", [False, True], ids=["this release", "release 0.1"])
@pytest.mark.parametrize("name", ["score", "evaluate", "reproduce"])
def test_foreign_code_is_not_run(world: World, tmp_path: Path, name: str, earlier: bool) -> None:
    if earlier:
        as_release_0_1(world.store, "parcels")
    mark = tmp_path / "ran"
    evil = f"open({str(mark)!r}, 'w').close()\ndef derive(frame):\n    return frame.assign(evening=True)\n".encode()
    for standing in world.ledger.timeline().standings:
        world.rewrite(world.fit_key(standing.version), code=keep_code(world.store, "parcels", {"features.py": evil}))
    shutil.rmtree(world.store.root / "parcels" / "evidence" / "index", ignore_errors=True)
    with pytest.raises(ObjectCorrupt, match="match its (key|digest)"):
        OPERATIONS[name](world)
    assert len([line for line in world.wrong() if "fits/" in line]) >= 2
    assert not mark.exists()


def test_a_record_that_was_changed_before_it_was_selected_is_refused(world: World) -> None:
    """Nothing names it yet; its key must follow from it."""
    run, done = Run(world.model, world.folder, month(9)), {}
    for step in run.steps:
        if step == "select":
            break
        done = run.do(step, world.store, done)
    key = done["train_other"]["other"]
    code = keep_code(world.store, "parcels", {"features.py": b"1 / 0"})
    world.rewrite(f"parcels/fits/{key}.json", code=code)
    with pytest.raises(RatchetError, match="does not match its"):
        run.do("select", world.store, done)
    from include.data.snapshots import Snapshot

    snapshot = Snapshot.load(world.store, "parcels", done["check"]["snapshot"])
    with pytest.raises(RatchetError, match="does not match its"):
        fit_candidate(world.store, world.model, world.folder, snapshot, "other")


def test_versions_of_release_0_1_are_named_as_unproven_once(world: World) -> None:
    as_release_0_1(world.store, "parcels")
    looked = list(verify(world.ledger, world.folder))
    assert [one.what for one in looked if one.state == "note"] == ["2 versions of release 0.1"]
    assert not [one for one in looked if one.state == "wrong"]
    assert scored(world) is not None


def test_the_event_names_the_record_and_the_record_names_the_fits(world: World) -> None:
    for entry in world.ledger.entries():
        if entry.kind == "registered":
            stored = json.loads(world.store.get(f"parcels/versions/{entry.body['version']}.json"))
            assert entry.body["record"] == digest_json(stored)
            assert {stored["fit"], *stored["baselines"].values()} <= set(stored["records"])
            assert len(stored["records"]) == 5, "its own, two baselines, two that it joins"


def test_names_are_verified_and_one_that_could_not_be_given_is_told(world: World) -> None:
    ledger, actor = world.ledger, {"trigger": "manual", "user": "ada"}
    ledger.alias("canary", world.champion, "try it", actor=actor, at=NOW)
    ledger.tag(world.champion, "reviewed", "yes", "by ada", actor=actor, at=NOW)
    assert world.wrong() == []
    april = ledger.timeline().standings[0].version
    ledger.withdraw(april, "late feed", actor=actor, at=NOW)
    forged = {"version": april, "alias": "eu", "given": True, "reason": "forged", "actor": actor}
    ledger._log.append(lambda _: ("aliased", forged), at="2026-01-02T00:00:00Z")
    (told,) = world.wrong()
    event = f"event {ledger.entries()[-1].number}"
    assert "name that could not be given" in told and event in told
    assert [step.name for step in steps(ledger, world.folder)][-1].startswith(event)
