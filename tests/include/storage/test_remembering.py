"""A task asks once for what nobody ever changes, and again for what may have grown."""

from __future__ import annotations

import pytest

from include.errors import ObjectCorrupt, ObjectMissing
from include.storage.log import Log
from include.storage.remembering import RememberingStore, read_ahead
from tests.counting import CountingStore
from tests.worlds import MemoryStore


@pytest.mark.parametrize("key", ["m/configs/a.json", "m/snapshots/a.json", "m/partitions/s/2024-01/a.parquet"])
def test_a_small_object_is_asked_for_once_and_one_that_was_written_not_at_all(key: str) -> None:
    counting = CountingStore(MemoryStore())
    counting.store.put_if_absent(key, b"there")
    store = RememberingStore(counting)
    assert [store.get(key), store.get(key), store.exists(key)] == [b"there", b"there", True]
    assert counting.calls == [f"get {key}"]
    assert store.put_if_absent(f"{key}2.parquet", b"ours")
    assert not store.put_if_absent(key, b"theirs")
    assert (store.get(f"{key}2.parquet"), store.get(key)) == (b"ours", b"there")
    assert sum(call.startswith("get") for call in counting.calls) == 1


def test_what_is_missing_is_asked_for_again() -> None:
    memory = MemoryStore()
    store = RememberingStore(memory)
    with pytest.raises(ObjectMissing):
        store.get("m/fits/a.json")
    memory.put_if_absent("m/fits/a.json", b"now")
    assert store.get("m/fits/a.json") == b"now"


def test_a_log_and_large_objects_are_read_again() -> None:
    counting = CountingStore(MemoryStore())
    store = RememberingStore(counting)
    for prefix in ("m/ledger", "m/partitions/s/log"):
        log = Log(store, prefix)
        log.append(lambda _: ("kind", {}), at="2026-01-01T00:00:00Z")
        log.verify()
        assert f"get {prefix}/00000000.json" in counting.calls
    store.put_if_absent("m/fits/large.json", bytes(2 << 20))
    assert len(store.get("m/fits/large.json")) == 2 << 20
    assert counting.calls[-1] == "get m/fits/large.json"


def test_what_is_read_next_is_asked_for_at_the_same_time_once() -> None:
    keys = [f"m/{folder}/a" for folder in ("models", "fits", "configs", "snapshots")]
    counting = CountingStore(MemoryStore(), delay=0.05)
    for key in keys:
        counting.store.put_if_absent(key, key.encode())
    store = RememberingStore(counting)
    read_ahead(store, [*keys, *keys])
    assert [store.get(key) for key in keys] == [key.encode() for key in keys]
    assert (len(counting.calls), counting.trips) == (4, 1)
    # A model file is no small object: it was held until it was read once.
    assert (store.get(keys[0]), len(counting.calls)) == (keys[0].encode(), 5)


def test_what_is_missing_ahead_is_found_missing_when_it_is_read() -> None:
    memory = MemoryStore()
    store = RememberingStore(CountingStore(memory))
    read_ahead(store, ["m/fits/a", "m/fits/b"])
    with pytest.raises(ObjectMissing):
        store.get("m/fits/a")
    memory.put_if_absent("m/fits/b", b"by now")
    assert store.get("m/fits/b") == b"by now"


def test_a_store_on_this_machine_reads_nothing_ahead() -> None:
    counting = CountingStore(MemoryStore(), parallel=1)
    read_ahead(RememberingStore(counting), ["m/fits/a", "m/fits/b"])
    read_ahead(counting, ["m/fits/a", "m/fits/b"])
    assert counting.calls == []


def test_what_is_damaged_ahead_is_found_damaged_when_it_is_read() -> None:
    class Damaged(MemoryStore):
        parallel = 10

        def get(self, key: str) -> bytes:
            raise ObjectCorrupt("other bytes than were written", where=key)

    store = RememberingStore(Damaged())
    read_ahead(store, ["m/models/a", "m/models/b"])
    with pytest.raises(ObjectCorrupt):
        store.get("m/models/a")
