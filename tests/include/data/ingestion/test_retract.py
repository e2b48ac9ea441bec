from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.ingest import ingest
from include.data.ingestion.retract import readings, retract, retracted_in
from include.data.snapshots import Snapshot
from include.errors import DataError
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed

AS_OF = datetime(2026, 4, 15, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = {"trigger": "manual", "user": "ada"}
COLUMNS = {"id": {"type": "integer"}, "at": {"type": "timestamp"}, "x": {"type": "float"}, "y": {"type": "boolean"}}


class World:
    """A source whose rows of March are what a test says, and the store that they are read into."""

    def __init__(self, store: Any, model: ModelConfig, folder: Any, doors: Any) -> None:
        self.store, self.model, self.folder, self.doors = store, model, folder, doors

    def deliver(self, x: float) -> None:
        days = [(m, d) for m in (1, 2, 3, 4) for d in (3, 9)]
        rows = [f"{m * 100 + d},2026-{m:02d}-{d:02d}T10:00:00,{x if m == 3 else 1},{d == 3}" for m, d in days]
        (self.folder / "rows.csv").write_text("\n".join(["id,at,x,y", *rows]) + "\n")

    def run(self, *, at: datetime = AS_OF, as_of: datetime = AS_OF, store: Any = None, **data: Any) -> Snapshot:
        model = self.model.model_copy(update={"data": self.model.data.model_copy(update={"recheck": 4, **data})})
        return ingest(store or self.store, model, self.folder, as_of=as_of, at=at, started=at, connections=self.doors())

    def of_march(self, snapshot: Snapshot) -> Any:
        return next(one for one in snapshot.partitions if one.slot == "2026-03")

    def catalogue(self, source: Snapshot) -> Catalogue:
        return Catalogue(self.store, source.model, source.source)

    def take_back(self, content: str, *, at: datetime = AS_OF, store: Any = None, restore: bool = False) -> Any:
        said = {"actor": ADA, "at": at, "restore": restore}
        return retract(store or self.store, self.model, self.folder, "2026-03", content, "a broken sensor", **said)


@pytest.fixture
def world(model_of, folder, doors, local_store) -> World:
    model = model_of({"kind": "files", "path": "rows.csv", "format": "csv", "columns": COLUMNS})
    return World(local_store, model, folder, doors)


@pytest.fixture
def contents(world: World) -> list[str]:
    """Two readings of March on record, the first good and the second bad."""
    found = []
    for x in (1, 99):
        world.deliver(x)
        found.append(world.of_march(world.run()).content)
    return found


def test_the_reading_before_is_in_force_and_without_one_the_partition_is_empty(world, contents) -> None:
    good, bad = contents
    done = world.take_back(bad)
    assert (done.news, done.now.content, done.reading.in_force) == (True, good, True)
    assert world.of_march(world.run()).content == good
    assert world.take_back(good).now.rows == 0
    emptied = world.run(as_of=AS_OF - 15 * DAY, at=AS_OF)
    assert world.of_march(emptied).rows == 0
    assert world.store.exists(emptied.partition_key(world.of_march(emptied)))


def test_nothing_is_removed_and_a_snapshot_from_before_reads_the_same_rows(world, contents) -> None:
    before = world.run(as_of=AS_OF - 15 * DAY, at=AS_OF)
    rows = read_rows(world.store, before, world.model, world.folder, window="both")
    keys = set(world.store.list(""))
    world.take_back(contents[1])
    again = read_rows(
        world.store, Snapshot.load(world.store, "shop", before.digest), world.model, world.folder, window="both"
    )
    assert again.equals(rows) and 99.0 in set(rows["x"])
    assert keys <= set(world.store.list(""))
    (found,) = retracted_in(before, world.catalogue)
    assert (found.slot, found.content, found.reason, found.actor) == ("2026-03", contents[1], "a broken sensor", ADA)
    assert not retracted_in(world.run(), world.catalogue)


def test_the_same_rows_read_again_stay_taken_back_and_other_rows_are_a_new_reading(world, contents) -> None:
    good, bad = contents
    world.take_back(bad)
    log = Catalogue(world.store, "shop", world.run().source)
    entries = len(log.entries)
    settled = {"at": AS_OF + 90 * DAY, "recheck": 0}
    world.run(**settled)
    entries = len(Catalogue(world.store, "shop", world.run(**settled).source).entries)
    assert world.of_march(world.run(**settled)).content == good
    assert len(Catalogue(world.store, "shop", world.run(**settled).source).entries) == entries
    world.deliver(2)
    corrected = world.of_march(world.run(**settled)).content
    assert corrected not in (good, bad)
    world.deliver(99)
    assert world.of_march(world.run(**settled)).content == corrected


def test_what_was_known_then_is_what_was_in_force_then(world, contents) -> None:
    good, bad = contents
    world.take_back(bad, at=AS_OF + 10 * DAY)
    known = {"corrections": "as_known_then", "at": AS_OF + 30 * DAY}
    assert world.of_march(world.run(as_of=AS_OF + 9 * DAY, **known)).content == bad
    assert world.of_march(world.run(as_of=AS_OF + 11 * DAY, **known)).content == good
    # Of an as-of before the first reading, the first one that still stands is what would have been known.
    world.take_back(good, at=AS_OF + 12 * DAY)
    world.deliver(2)
    corrected = world.of_march(world.run(at=AS_OF + 13 * DAY))
    early = {"as_of": AS_OF - 15 * DAY, "corrections": "as_known_then", "at": AS_OF + 30 * DAY}
    assert world.of_march(world.run(**early)) == corrected


def test_whatever_the_order_of_retractions_and_runs_the_same_is_in_force(model_of, folder, doors, tmp_path) -> None:
    model = model_of({"kind": "files", "path": "rows.csv", "format": "csv", "columns": COLUMNS})
    ends = set()
    for number, order in enumerate(itertools.permutations(["first", "second", "run", "early"])):
        world = World(LocalStore(tmp_path / str(number)), model, folder, doors)
        found = []
        for x in (1, 99, 2):
            world.deliver(x)
            found.append(world.of_march(world.run()).content)
        world.deliver(99)
        for step in order:
            if step == "run":
                world.run(at=AS_OF + DAY)
            elif step == "early":
                world.run(as_of=AS_OF - 15 * DAY, at=AS_OF + DAY)
            else:
                world.take_back(found[1] if step == "first" else found[2])
        ends.add(world.run(at=AS_OF + DAY).digest)
        assert world.of_march(world.run(at=AS_OF + DAY)).content == found[0]
    assert len(ends) == 1


def test_said_twice_it_is_on_record_once_and_a_mistake_is_restored_with_a_reason_of_its_own(world, contents) -> None:
    good, bad = contents
    assert [world.take_back(bad[:8]).news for _ in range(2)] == [True, False]
    assert [world.take_back(bad, restore=True).news for _ in range(2)] == [True, False]
    assert world.of_march(world.run()).content == bad
    entries = Catalogue(world.store, "shop", world.run().source).entries
    assert [entry.kind for entry in entries] == ["observed", "observed", "retracted", "restored"]
    assert entries[-1].body["restored"]["actor"] == ADA
    assert [
        (one.found.content, one.in_force) for one in readings(world.store, world.model, world.folder, "2026-03")
    ] == [
        (good, False),
        (bad, True),
    ]


def test_many_at_once_put_one_event_on_record_beside_a_run(world, contents) -> None:
    barrier = threading.Barrier(5)
    news: list[bool] = []

    def take_back() -> None:
        barrier.wait()
        news.append(world.take_back(contents[1]).news)

    def read() -> None:
        barrier.wait()
        world.run(at=AS_OF + DAY)

    threads = [*(threading.Thread(target=take_back) for _ in range(4)), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False, False, False, True]
    assert world.of_march(world.run(at=AS_OF + DAY)).content == contents[0]


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_kill_at_any_call_of_the_store_is_mended_by_asking_again(world, contents, mode) -> None:
    for number in itertools.count(1):
        try:
            world.take_back(contents[1], store=FaultyStore(world.store, fail_at=number, mode=mode))
        except Killed:
            assert world.take_back(contents[1]).now.content == contents[0]
            world.take_back(contents[1], restore=True)
        else:
            break
    assert number > 2


@pytest.mark.parametrize(
    ("slot", "wanted", "message"),
    [
        ("2026-03", "zz", "No reading of this partition begins with these digits"),
        ("2026-03", "", "No reading of this partition begins with these digits"),
        ("2019-01", "aa", "a partition on record"),
    ],
)
def test_what_is_not_on_record_is_named_with_what_is(world, contents, slot, wanted, message) -> None:
    with pytest.raises(DataError, match=message):
        retract(world.store, world.model, world.folder, slot, wanted, "why", actor=ADA, at=AS_OF)
    with pytest.raises(DataError, match="needs a reason"):
        retract(world.store, world.model, world.folder, "2026-03", contents[0], " ", actor=ADA, at=AS_OF)
