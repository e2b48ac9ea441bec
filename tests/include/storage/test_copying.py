"""A copy is sound, whenever it is made, killed or taken up again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from include.command_line.registry import verify
from include.errors import StoreError
from include.storage.copying import copy_store
from include.storage.local import LocalStore
from include.storage.log import Log
from include.storage.store import ObjectStore
from include.storage.tombstones import State, Tombstone, Tombstones
from tests.faults import FaultyStore, Killed

GOLDEN = Path(__file__).parents[2] / "golden" / "store-0.1.0.zip"
EARLY, LATE = "2013-07-01T00:00:00Z", "2013-09-01T00:00:00Z"


def append(store: ObjectStore, log: str, at: str = EARLY) -> None:
    Log(store, log).append(lambda seen: ("registered", {"number": len(seen)}), at=at)


def filled(store: ObjectStore) -> None:
    for number in range(4):
        store.put_if_absent(f"model/things/{number}", bytes([number]))
        append(store, "model/ledger")
        append(store, "model/partitions/x/log")


def held(store: ObjectStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("") if "-checkpoints/" not in key}


@pytest.fixture
def golden(tmp_path: Path) -> LocalStore:
    with ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path / "golden")
    return LocalStore(tmp_path / "golden" / "store")


def test_a_copy_holds_what_the_store_holds_and_verifies(
    golden: LocalStore, s3_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = copy_store(golden, s3_store)
    assert (done.damaged, done.present) == ((), 0)
    assert held(s3_store) == held(golden)
    back = LocalStore(tmp_path / "back")
    copy_store(s3_store, back, ["parcels/"])
    assert all(key.startswith("parcels/") for key in back.list(""))
    monkeypatch.setenv("RATCHET_STORE", back.url)
    told: list[str] = []
    assert verify("parcels", told.append), told


def test_a_copy_that_is_killed_at_any_call_is_taken_up_again(tmp_path: Path) -> None:
    source = LocalStore(tmp_path / "source")
    filled(source)
    counted = FaultyStore(LocalStore(tmp_path / "counted"))
    copy_store(source, counted)
    for number in range(1, counted.calls + 1):
        for mode in ("before", "after"):
            target = LocalStore(tmp_path / f"{number}-{mode}")
            with pytest.raises(Killed):
                copy_store(source, FaultyStore(target, fail_at=number, mode=mode))  # type: ignore[arg-type]
            for log in ("model/ledger", "model/partitions/x/log"):
                if known := Log(target, log).verify():
                    assert set(source.list("model/things")) == set(target.list("model/things"))
                    assert known == Log(source, log).read()[: len(known)]
            copy_store(source, target)
            assert held(target) == held(source)


class Busy(LocalStore):
    """A store in which a run puts an object and then appends, before each listing and each reading."""

    written = 0

    def run(self) -> None:
        writer = LocalStore(self.root)
        self.written += 1
        writer.put_if_absent(f"model/things/run-{self.written}", b"run")
        Log(writer, "model/ledger").append(lambda seen: ("run", {"thing": f"run-{self.written}"}), at=EARLY)

    def list(self, prefix, *, after=None):
        self.run()
        return super().list(prefix, after=after)

    def get(self, key):
        self.run()
        return super().get(key)


def test_what_a_copied_event_names_is_there_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    filled(LocalStore(tmp_path / "source"))
    target = LocalStore(tmp_path / "target")
    for _ in range(2):
        copy_store(Busy(tmp_path / "source"), target)
        named = [entry.body["thing"] for entry in Log(target, "model/ledger").verify() if entry.kind == "run"]
        assert named
        assert all(target.exists(f"model/things/{thing}") for thing in named)


def test_a_store_is_restored_to_an_instant(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target")
    filled(source)
    before = Log(source, "model/ledger").read()
    append(source, "model/ledger", LATE)
    copy_store(source, target, until=datetime(2013, 8, 1, tzinfo=UTC))
    assert Log(target, "model/ledger").verify() == before
    append(target, "model/ledger", LATE)  # it lives on
    with pytest.raises(StoreError, match="not a copy of this store"):
        copy_store(source, target)


def test_a_damaged_object_is_named_and_the_rest_is_copied(golden: LocalStore, tmp_path: Path) -> None:
    damaged = [
        next(key for key in golden.list("parcels/") if key.endswith(ending))
        for ending in (".skops", ".html", "/00000000.json", ".parquet", ".json")
    ]
    model, page, _, rows, record = damaged
    for key, body in ((model, b"x"), (page, b""), (rows, golden.get(rows)[:-9]), (record, golden.get(record)[:-1])):
        (golden.root / key).write_bytes(body)
    target = LocalStore(tmp_path / "target")
    done = copy_store(golden, target)
    assert sorted(one.partition(":")[0] for one in done.damaged) == sorted({model, page, rows, record})
    assert "NOT COPIED" in done.told()
    assert set(held(golden)) - set(held(target)) == {model, page, rows, record}


def test_a_place_with_another_history_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target")
    filled(source)
    append(target, "model/ledger")
    before = held(target)
    with pytest.raises(StoreError, match="not a copy of this store"):
        copy_store(source, target)
    assert held(target) == before
    shutil.rmtree(target.root)


KEY = "model/things/2"


def remove(store: LocalStore, at: datetime) -> None:
    stones = Tombstones(store, "model")
    stones.mark([Tombstone(KEY, "scores", 1, "retention", at, at, State.MARKED)], at=at)
    stones.remove([KEY], store.delete, at=at)


class Tidied(LocalStore):
    """A store from which retention removes an object after it was listed."""

    tombstones = True

    def get(self, key):
        if key == KEY and self.exists(KEY):
            remove(LocalStore(self.root), LATER) if self.tombstones else self.delete(KEY)
        return super().get(key)


LATER = datetime(2013, 9, 1, tzinfo=UTC)


def test_what_is_removed_while_the_copy_is_made_is_not_missed_and_its_tombstone_is_there(tmp_path: Path) -> None:
    source, target = Tidied(tmp_path / "source"), LocalStore(tmp_path / "target")
    filled(source)
    done = copy_store(source, target)
    assert (done.damaged, done.removed) == ((), 1) and "1 objects were removed meanwhile" in done.told()
    assert done.objects == len(list(target.list("model/things/")))
    assert Tombstones(target, "model").read()[KEY].state is not State.MARKED
    copy_store(source, target)
    assert held(target) == held(source)


def test_what_vanishes_without_a_tombstone_is_named(tmp_path: Path) -> None:
    source, target = Tidied(tmp_path / "source"), LocalStore(tmp_path / "target")
    filled(source)
    source.tombstones = False
    done = copy_store(source, target)
    assert done.removed == 0 and [one.partition(":")[0] for one in done.damaged] == [KEY]


def test_a_store_restored_to_an_instant_says_what_was_removed_since(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target")
    filled(source)
    remove(source, LATER)
    copy_store(source, target, until=datetime(2013, 8, 1, tzinfo=UTC))
    assert not target.exists(KEY)
    assert Tombstones(target, "model").read()[KEY].state is State.REMOVED
