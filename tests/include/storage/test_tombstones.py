"""What is marked is removed after its time, unless somebody takes it back; the log decides who was first."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import ObjectMissing, ObjectRemoved, StoreUnavailable
from include.storage import tombstones
from include.storage.local import LocalStore
from include.storage.store import PrunableStore
from include.storage.tombstones import MarkedStore, State, Tombstone, Tombstones
from tests.faults import FaultyStore, Killed
from tests.opcodes import opcodes_in
from tests.worlds import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DUE = NOW + timedelta(days=7)
KEYS = [f"m/scores/{name}.parquet" for name in "abcd"]


def stone(key: str) -> Tombstone:
    return Tombstone(key, "scores", 3, "kept for 13mo", NOW, DUE, State.MARKED)


def filled(store: PrunableStore) -> PrunableStore:
    for key in KEYS:
        store.put_if_absent(key, b"row")
    return store


def test_a_removed_object_is_gone_and_removing_it_again_is_no_mistake(store: PrunableStore) -> None:
    store.put_if_absent("m/a", b"123")
    store.put_if_absent("m/b/c", b"12345")
    found = list(store.inventory("m/"))
    assert [(one.key, one.size) for one in found] == [("m/a", 3), ("m/b/c", 5)]
    assert all(abs(datetime.now(UTC) - one.written) < timedelta(hours=1) for one in found)
    assert store.delete("m/a") and store.delete("m/a") and store.delete("m/x/y")
    with pytest.raises(ObjectMissing):
        store.get("m/a")
    assert list(store.list("")) == ["m/b/c"]
    assert store.put_if_absent("m/a", b"anew") and store.get("m/a") == b"anew"


def test_a_bucket_that_keeps_former_versions_does_not_pass_for_one_that_forgets(s3_store) -> None:
    s3_store.client.put_bucket_versioning(Bucket=s3_store.bucket, VersioningConfiguration={"Status": "Enabled"})
    s3_store.put_if_absent("m/a", b"123")
    assert not s3_store.delete("m/a")
    assert not s3_store.exists("m/a")


def test_a_link_out_of_the_store_is_not_followed_to_remove(local_store: LocalStore, tmp_path: Path) -> None:
    local_store.put_if_absent("m/a", b"")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (local_store.root / "m" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(Exception, match="symbolic link"):
        local_store.delete("m/link/kept")
    assert (tmp_path / "outside" / "kept").exists()


def test_nothing_goes_before_its_time_and_what_is_needed_meanwhile_stays(store: PrunableStore) -> None:
    filled(store)
    stones = Tombstones(store, "m")
    stones.mark(map(stone, KEYS[:3]), at=NOW)
    assert stones.remove(KEYS, store.delete, at=DUE - timedelta(seconds=1)) == ([], 0)
    task = MarkedStore(store, "m", keep=lambda: NOW)
    assert task.get(KEYS[0]) == b"row" and not task.put_if_absent(KEYS[1], b"row")
    assert stones.remove(KEYS, store.delete, at=DUE) == ([KEYS[2]], 0)
    assert [key for key in KEYS if store.exists(key)] == [KEYS[0], KEYS[1], KEYS[3]]
    stone_of = Tombstones(store, "m").read()[KEYS[2]]
    assert (stone_of.state, stone_of.size, stone_of.reason) == (State.REMOVED, 3, "kept for 13mo")


def test_whoever_misses_a_removed_object_is_told_when_and_why_it_went(store: PrunableStore) -> None:
    filled(store)
    stones = Tombstones(store, "m")
    stones.mark([stone(KEYS[0])], at=NOW)
    stones.remove(KEYS, store.delete, at=DUE)
    for reader in (MarkedStore(store, "m"), MarkedStore(store, "m", keep=lambda: NOW)):
        with pytest.raises(ObjectRemoved, match="removed on 2026-01-08: kept for 13mo"):
            reader.get(KEYS[0])
        with pytest.raises(ObjectMissing) as missing:
            reader.get("m/scores/never.parquet")
        assert not isinstance(missing.value, ObjectRemoved)
    assert MarkedStore(store, "m", keep=lambda: NOW).put_if_absent(KEYS[0], b"row"), (
        "what is made again is written again"
    )


def test_a_task_never_goes_on_with_an_object_that_is_being_removed(store: PrunableStore) -> None:
    filled(store)
    stones = Tombstones(store, "m")
    stones.mark([stone(KEYS[0])], at=NOW)

    def killed(key: str) -> bool:
        raise Killed(key)

    with pytest.raises(Killed):
        stones.remove(KEYS, killed, at=DUE)
    task = MarkedStore(store, "m", keep=lambda: DUE)
    assert not task.exists(KEYS[0])
    with pytest.raises(StoreUnavailable, match="just being removed"):
        task.put_if_absent(KEYS[0], b"row")
    with pytest.raises(ObjectRemoved):
        task.get(KEYS[0])
    assert Tombstones(store, "m").remove([], store.delete, at=DUE) == ([KEYS[0]], 0), "the next run ends what was begun"


def test_the_work_of_a_tidying_grows_with_what_it_tidies_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tombstones, "BATCH", 5)

    def work(count: int) -> int:
        stones, keys = Tombstones(MemoryStore(), "m"), [f"m/scores/{number:04}.parquet" for number in range(count)]

        def run() -> None:
            stones.mark(map(stone, keys), at=NOW)
            assert len(stones.remove(keys, lambda key: True, at=DUE)[0]) == count

        return opcodes_in(tombstones.__file__, run)

    few = work(50)
    assert work(400) < 12 * few, "eight times as many"


def test_a_removal_that_is_killed_anywhere_ends_as_one_that_was_not() -> None:
    def run(store: FaultyStore) -> None:
        stones = Tombstones(store, "m")
        stones.mark(map(stone, KEYS[:2]), at=NOW)
        stones.remove(KEYS, store.delete, at=DUE)

    counted = FaultyStore(filled(MemoryStore()))
    run(counted)
    for mode in ("before", "after"):
        for call in range(1, counted.calls + 1):
            store = filled(MemoryStore())
            with pytest.raises(Killed):
                run(FaultyStore(store, fail_at=call, mode=mode))
            run(FaultyStore(store))
            found = Tombstones(store, "m").read()
            assert {key: one.state for key, one in found.items()} == dict.fromkeys(KEYS[:2], State.REMOVED)
            assert [key for key in KEYS if store.exists(key)] == KEYS[2:]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["mark", "need", "make", "tidy", "die"]), st.sampled_from(KEYS), st.integers(1, 8)),
        max_size=14,
    )
)
def test_what_a_task_was_given_is_there_until_it_is_marked_again(steps: list[tuple[str, str, int]]) -> None:
    store, now = filled(MemoryStore()), NOW
    promised: set[str] = set()
    for what, key, call in steps:
        now += timedelta(days=2)
        if what == "mark":
            Tombstones(store, "m").mark(
                [Tombstone(key, "scores", 3, "old", now, now + timedelta(days=3), State.MARKED)], at=now
            )
            promised.discard(key)
        elif what in ("need", "make"):
            task = MarkedStore(store, "m", keep=lambda now=now: now)  # type: ignore[misc]
            try:
                if what == "make":
                    task.put_if_absent(key, b"row")
                assert task.get(key) == b"row"
                promised.add(key)
            except (ObjectMissing, StoreUnavailable):
                assert key not in promised
        else:
            faulty = FaultyStore(store, fail_at=call if what == "die" else None)
            with contextlib.suppress(Killed):
                Tombstones(faulty, "m").remove(KEYS, faulty.delete, at=now)
        assert all(store.exists(key) for key in promised)
        for key, one in Tombstones(store, "m").read().items():
            assert one.state is not State.MARKED or store.exists(key) or key not in promised
