"""Tidying removes what nothing needs, says so, and leaves everything that is asked of a store as it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW, Run, month, run_chain
from histories import tell
from signed_world import SignedWorld
from worlds import FLIGHTS

from include.audit.audit import audit
from include.config.model import ModelConfig
from include.config.retention import Retention
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import ObjectRemoved
from include.monitoring.performance.measured import Performance
from include.monitoring.watch_log import WatchLog
from include.registry.history.policy_replay import rejudge
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.retention.tidy import Tidied, tidy
from include.retention.unneeded import unneeded
from include.scoring.golden import check_golden, load_golden
from include.scoring.predictor import open_predictor
from include.scoring.publication import Publication, name_of
from include.scoring.score import score
from include.storage.log import Log
from include.storage.store import ObjectStore, PrunableStore, StoredObject
from include.storage.tombstones import MarkedStore
from tests.faults import FaultyStore, Killed
from tests.include.monitoring.days import observed
from tests.worlds import MemoryStore

LATER = NOW + timedelta(days=3000)  # ages are those of bytes, which real stores write at the real time
AFTER_GRACE = LATER + timedelta(days=8)
KEEP = {"versions": "24mo", "scores": "13mo", "quarantine": "90d"}
OCTOBER = Window(month(10), month(11))


@dataclass(frozen=True)
class Tidy:
    """A model with a champion, a withdrawn version, scores, and a run that ended after its check."""

    store: PrunableStore
    folder: Path
    model: ModelConfig
    champion: str
    withdrawn: str
    abandoned: tuple[str, ...]

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    def tidy(self, at: datetime, *, remove: bool = True, store: PrunableStore | None = None) -> Tidied:
        return tidy(store or self.store, self.model, at=at, remove=remove)

    def on(self, store: PrunableStore) -> Tidy:
        for key in self.store.list(""):
            store.put_if_absent(key, self.store.get(key))
        return Tidy(store, self.folder, self.model, self.champion, self.withdrawn, self.abandoned)


@pytest.fixture(scope="module")
def made(signed_made: SignedWorld, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        world = signed_made.copy(tmp_path_factory.mktemp("tidy") / "w")
        world.settings(patch)
        model = world.model.model_copy(update={"retention": Retention.model_validate(KEEP)})
        withdrawn = world.champion
        world.ledger.withdraw(withdrawn, "wrong units", actor={"trigger": "manual", "dag": "d", "run": "r"}, at=NOW)
        score_october(world.store, model, world.folder)
        run, before = Run(model, world.folder, month(9)), set(world.store.list("parcels/"))
        run.do("check", world.store, run.do("ingest", world.store, {}))
        new = set(world.store.list("parcels/")) - before
        abandoned = tuple(sorted(key for key in new if "/quarantine/" in key or "/checks/index/" in key))
        assert len(abandoned) == 2
        yield world, Tidy(world.store, world.folder, model, world.champion, withdrawn, abandoned)


@pytest.fixture
def world(made: Any, monkeypatch: pytest.MonkeyPatch) -> Tidy:
    made[0].settings(monkeypatch)
    monkeypatch.delenv("RATCHET_ANCHORS")  # each test goes on from here with a store of its own
    return made[1].on(MemoryStore())


def score_october(store: ObjectStore, model: ModelConfig, folder: Path) -> None:
    snapshot = ingest_window(store, model, folder, OCTOBER, at=NOW, connections=None)  # type: ignore[arg-type]
    assert score(store, model, folder, snapshot, at=NOW) is not None


def keys(store: ObjectStore) -> set[str]:
    return {key for key in store.list("") if "/tombstones/" not in key}


def test_nothing_is_changed_unless_it_is_asked_for(world: Tidy) -> None:
    before = set(world.store.list(""))
    told = world.tidy(LATER, remove=False)
    assert set(world.store.list("")) == before
    assert {one.kind for one in told.marked} == {"versions", "scores", "quarantine"}
    assert all(one.size == len(world.store.get(one.key)) for one in told.marked)
    assert "would be marked for removal: quarantine 4 objects" in told.told() and "--remove" in told.told()


def test_what_is_young_stays_and_so_does_a_kind_that_is_not_named(world: Tidy) -> None:
    assert world.tidy(NOW + timedelta(days=1)).marked == ()
    only = Retention.model_validate({"scores": "13mo"})
    found = tidy(world.store, world.model.model_copy(update={"retention": only}), at=LATER)
    assert {one.kind for one in found.marked} == {"scores"}


def test_what_nothing_needs_goes_after_the_grace_period_and_all_that_is_asked_stays_as_it_was(world: Tidy) -> None:
    before, judged = keys(world.store), [one.outcome for one in rejudge(world.ledger)]
    marked = world.tidy(LATER).marked
    assert keys(world.store) == before, "a mark removes nothing"
    assert world.tidy(LATER + timedelta(days=6)).removed == ()
    done = world.tidy(AFTER_GRACE)
    gone = before - keys(world.store)
    assert gone == {one.key for one in done.removed} == {one.key for one in marked}
    own = world.ledger.version(world.withdrawn)
    assert f"parcels/models/{own.model_file}.skops" in gone and set(world.abandoned) <= gone
    assert any(key.startswith(f"parcels/golden/{world.withdrawn}/") for key in gone)
    assert world.tidy(AFTER_GRACE + timedelta(days=30)) == Tidied((), (), (), (), 0, False)

    with open_predictor(world.store, world.model, world.folder, world.ledger.version(world.champion)) as predictor:
        for golden in load_golden(world.store, "parcels", world.champion):
            check_golden(predictor, golden)
    assert [one.outcome for one in rejudge(world.ledger)] == judged
    found = {one.what: one for one in verify(world.ledger, world.folder)}
    assert all(one.state != "wrong" for one in found.values()), found
    assert "that were removed. An object was removed on" in found[world.withdrawn].found
    assert "removed" not in found[world.champion].found
    looked = audit(world.store, world.model, world.folder, run="after", calls=10**6, at=NOW)
    assert looked.complete and not looked.wrong


def test_an_object_that_vanished_without_a_tombstone_is_still_wrong(world: Tidy) -> None:
    world.tidy(LATER)
    world.store.delete(f"parcels/models/{world.ledger.version(world.withdrawn).model_file}.skops")
    found = {one.what: one for one in verify(world.ledger, world.folder)}
    assert found[world.withdrawn].state == "wrong", "a mark is no removal"


def test_scores_and_checks_that_were_removed_are_made_again_when_they_are_asked_for(world: Tidy) -> None:
    world.tidy(LATER)
    world.tidy(AFTER_GRACE)
    publication = Publication(MarkedStore(world.store, "parcels"), "parcels", OCTOBER)
    manifest = publication.newest()
    assert manifest is not None
    with pytest.raises(ObjectRemoved, match="scores is kept for 13mo"):
        publication.read(manifest)
    tasks = MarkedStore(world.store, "parcels", keep=lambda: AFTER_GRACE)
    score_october(tasks, world.model, world.folder)
    assert publication.newest() == manifest and publication.read(manifest).num_rows == manifest.rows
    run = Run(world.model, world.folder, month(9))
    done = run.do("check", tasks, run.do("ingest", tasks, {}))
    assert {*world.abandoned} <= keys(world.store)
    assert run.do("train_logistic_regression", tasks, done)


def test_a_run_that_uses_again_what_was_marked_keeps_it(world: Tidy) -> None:
    world.tidy(LATER)
    tasks = MarkedStore(world.store, "parcels", keep=lambda: LATER)
    done = run_chain(tasks, world.model, world.folder, month(9))
    told = world.tidy(AFTER_GRACE)
    assert not set(world.abandoned) & {one.key for one in told.removed}
    champion = done["settle"]
    with open_predictor(world.store, world.model, world.folder, world.ledger.version(champion)) as predictor:
        for golden in load_golden(world.store, "parcels", champion):
            check_golden(predictor, golden)
    assert all(one.state != "wrong" for one in verify(world.ledger, world.folder))


def test_whatever_can_come_into_force_again_keeps_its_model_file(world: Tidy) -> None:
    world.tidy(LATER)
    world.tidy(AFTER_GRACE)
    for standing in world.ledger.timeline().standings:
        version = world.ledger.version(standing.version)
        there = world.store.exists(f"parcels/models/{version.model_file}.skops")
        assert there == (standing.withdrawn is None)


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_both_stores_are_left_the_same(world: Tidy, kind: str, request: pytest.FixtureRequest) -> None:
    other = world.on(request.getfixturevalue(f"{kind}_store"))
    for one in (world, other):
        one.tidy(LATER)
        one.tidy(AFTER_GRACE)
    assert keys(other.store) == keys(world.store)


def test_a_tidying_that_is_killed_at_any_call_ends_as_one_that_was_not(world: Tidy) -> None:
    whole = world.on(MemoryStore())
    whole.tidy(LATER)
    marked = whole.on(MemoryStore())
    counted = FaultyStore(whole.store)
    whole.tidy(AFTER_GRACE, store=counted)
    for call in range(1, counted.calls + 1):
        killed = marked.on(MemoryStore())
        with pytest.raises(Killed):
            killed.tidy(AFTER_GRACE, store=FaultyStore(killed.store, fail_at=call, mode=("before", "after")[call % 2]))
        killed.tidy(AFTER_GRACE)
        assert keys(killed.store) == keys(whole.store)
        assert removals(killed) == removals(whole), "each is said once"
        assert killed.tidy(AFTER_GRACE) == Tidied((), (), (), (), 0, False)


def removals(world: Tidy) -> list[Any]:
    return [(one.kind, one.body) for one in Log(world.store, "parcels/tombstones/log").read()]


def test_scores_that_a_former_champion_left_behind_go_and_those_that_the_monitor_waits_for_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RATCHET_TRUSTED_KEYS", "RATCHET_SIGNING_KEY", "RATCHET_ANCHORS"):
        monkeypatch.delenv(name, raising=False)
    store = MemoryStore()
    former, _, champion = tell(store, versions=3)
    watched, stayed = WatchLog(store, "flight_delay"), []
    daily = FLIGHTS.schedule.model_copy(update={"monitor": "@daily"})
    model = FLIGHTS.model_copy(update={"schedule": daily, "retention": Retention.model_validate({"scores": "13mo"})})
    scores = []
    for day, version in enumerate([former, former, champion, champion]):
        one = observed(day, version=version)
        watched.observe(one, sources={}, at=NOW)
        key = f"flight_delay/scores/{name_of(Window(one.period.after, one.period.until))}/{day}.parquet"
        scores.append(StoredObject(key, 1, NOW))
        if day in (0, 2):  # the labels of the others have not come
            found = Performance(version, one.period.after, one.period.until, 9, {})
            watched.measure(found, details="d", labels=None, at=NOW)
        elif version == champion:
            stayed.append(key)
    gone = {one.found.key for one in unneeded(store, model, LATER, {"scores": scores})}
    assert gone == {one.key for one in scores} - set(stayed)
