"""Checkpoints make reading cheap whatever the history, and are never believed against the log."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.errors import ChainBroken, StoreUnavailable
from include.storage.local import LocalStore
from include.storage.log import Entry, Log
from tests.counting import CountingStore
from tests.worlds import MemoryStore

AT = "2013-07-01T00:00:00Z"
FOLDER = "model/ledger-checkpoints"


def append(log: Log, text: str = "é") -> Entry:
    entry = log.append(lambda seen: ("registered", {"number": len(seen), "text": text}), at=AT)
    assert entry is not None
    return entry


def filled(store: LocalStore, entries: int, text: str = "é") -> tuple[Entry, ...]:
    log = Log(store, "model/ledger")
    return tuple(append(log, text) for _ in range(entries))


def filled_by_large_ones(store: LocalStore) -> tuple[Entry, ...]:
    """Entries that no packing makes small: of thirty, a checkpoint is two objects."""
    log = Log(store, "model/ledger")
    return tuple(append(log, secrets.token_hex(1000)) for _ in range(30))


def newest(store: LocalStore) -> list[Path]:
    """The objects of the newest checkpoint that is made of two."""
    names = sorted(path.name for path in (store.root / FOLDER).iterdir())
    top = next(name for name in names if name[9:17] != "00000000")
    whole = next(name for name in names if name.startswith(f"{99_999_999 - int(top[9:17]):08d}-00000000"))
    return [store.root / FOLDER / name for name in (whole, top)]


def alone(store: LocalStore) -> list[Path]:
    """Make the newest checkpoint of two objects the newest of all, by removing later ones."""
    whole, top = newest(store)
    for path in (store.root / FOLDER).iterdir():
        if path.name < top.name:
            path.unlink()
    return [whole, top]


@pytest.mark.parametrize(("entries", "calls"), [(3, 3), (40, 3), (480, 4), (700, 5)])
def test_a_log_of_any_length_is_read_in_five_calls_and_two_round_trips_and_a_short_one_in_three(
    entries: int, calls: int
) -> None:
    memory = MemoryStore()
    log = Log(memory, "model/ledger")
    for number in range(1, entries + 1):
        append(log)
        if number < 3 or (number < entries and number % 37):
            continue
        counting = CountingStore(memory, delay=0.02 if number == entries else 0)
        assert Log(counting, "model/ledger").read() == log.known
        assert len(counting.calls) <= calls, counting.calls
    assert counting.trips == 2


def test_of_a_long_log_no_more_keys_are_listed_than_one_call_of_s3_answers() -> None:
    class Answering(MemoryStore):
        keys = 0

        def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
            for key in super().list(prefix, after=after):
                self.keys += 1
                yield key

    store = Answering()
    log = Log(store, "model/ledger")
    for _ in range(700):
        append(log)
    store.keys = 0
    assert Log(store, "model/ledger").read() == log.known
    assert store.keys == 1000, "of 698 checkpoints and 700 entries"


def test_a_log_that_is_empty_is_found_so_in_one_call_and_may_grow_beside_others_of_a_like_name() -> None:
    counting = CountingStore(MemoryStore())
    log = Log(counting, "model/ledger")
    for number in (1, 2):
        counting.put_if_absent(f"model/ledger{number}/00000000.json", b"of another log")
        counting.put_if_absent(f"model/ledger-{number}/00000000.json", b"of another log")
    counting.reset()
    assert log.read() == log.read() == ()
    assert counting.calls == ["list model/ledger"] * 2
    written = append(Log(counting, "model/ledger"))
    assert log.read() == (written,)


def test_an_append_to_a_log_of_any_length_writes_two_objects() -> None:
    memory = MemoryStore()
    for number in range(200):
        counting = CountingStore(memory)
        append(Log(counting, "model/ledger"))
        assert sum(call.startswith("put") for call in counting.calls) == (2 if number > 1 else 1)


def test_what_checkpoints_weigh_grows_less_than_with_the_square_of_the_history() -> None:
    memory = MemoryStore()
    weight = {}
    for number in range(1, 401):
        append(Log(memory, "model/ledger"))  # every writer is another process
        if number in (100, 400):
            weight[number] = sum(len(body) for key, body in memory.objects.items() if "checkpoints" in key)
    assert weight[400] < 4**1.6 * weight[100]


def test_a_checkpoint_is_json_lines_by_gzip(local_store: LocalStore) -> None:
    filled(local_store, 4)
    path = min((local_store.root / FOLDER).iterdir())
    lines = zlib.decompress(path.read_bytes(), wbits=31).split(b"\n")
    kept = [(local_store.root / "model/ledger" / f"{number:08d}.json").read_bytes() for number in range(3)]
    start = int(path.name[9:17])
    assert lines == kept[start:]


def removed(whole: Path, top: Path) -> None:
    top.unlink()


def without_its_base(whole: Path, top: Path) -> None:
    whole.unlink()


def cut(whole: Path, top: Path) -> None:
    top.write_bytes(top.read_bytes()[:-9])


def cut_between_lines(whole: Path, top: Path) -> None:
    lines = zlib.decompress(whole.read_bytes(), wbits=31).split(b"\n")
    packer = zlib.compressobj(wbits=31)
    whole.write_bytes(packer.compress(b"\n".join(lines[:-1])) + packer.flush())


def emptied(whole: Path, top: Path) -> None:
    top.write_bytes(b"")


def no_gzip(whole: Path, top: Path) -> None:
    top.write_bytes(b"{}")


def changed(whole: Path, top: Path) -> None:
    lines = zlib.decompress(whole.read_bytes(), wbits=31).replace(b"registered", b"withdrawn", 1)
    packer = zlib.compressobj(wbits=31)
    whole.write_bytes(packer.compress(lines) + packer.flush())


def an_older_one_under_its_name(whole: Path, top: Path) -> None:
    top.write_bytes(whole.read_bytes())


DAMAGES = [removed, without_its_base, cut, cut_between_lines, emptied, no_gzip, changed, an_older_one_under_its_name]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_passed_over_and_the_next_append_writes_one_that_fits(
    local_store: LocalStore, damage: Callable[[Path, Path], None]
) -> None:
    written = filled_by_large_ones(local_store)
    damage(*alone(local_store))
    log = Log(local_store, "model/ledger")
    assert log.read() == written
    added = append(log)
    counting = CountingStore(local_store)
    assert Log(counting, "model/ledger").read() == (*written, added)
    assert len(counting.calls) <= 5
    assert Log(local_store, "model/ledger").verify() == (*written, added)


@pytest.mark.parametrize("damage", DAMAGES[1:], ids=lambda damage: damage.__name__)
def test_verifying_names_a_damaged_checkpoint(local_store: LocalStore, damage: Callable[[Path, Path], None]) -> None:
    filled_by_large_ones(local_store)
    damage(*alone(local_store))
    with pytest.raises(ChainBroken, match="checkpoint do not agree"):
        Log(local_store, "model/ledger").verify()


def test_a_checkpoint_of_another_history_is_passed_over(local_store: LocalStore, tmp_path: Path) -> None:
    written = filled(local_store, 20)
    other = LocalStore(tmp_path / "other")
    filled(other, 20, text="forged, and a chain in itself")
    for path in (other.root / FOLDER).iterdir():
        (local_store.root / FOLDER / path.name).write_bytes(path.read_bytes())
    assert Log(local_store, "model/ledger").read() == written
    with pytest.raises(ChainBroken):
        Log(local_store, "model/ledger").verify()


def test_a_checkpoint_that_claims_what_the_log_does_not_hold_is_passed_over(local_store: LocalStore) -> None:
    written = filled(local_store, 12)
    key = f"{FOLDER}/{99_999_999 - 5000:08d}-00000000.jsonl.gz"
    local_store.put_if_absent(key, b"")
    assert Log(local_store, "model/ledger").read() == written
    with pytest.raises(ChainBroken) as caught:
        Log(local_store, "model/ledger").verify()
    assert caught.value.number == 12


def test_newest_entries_that_were_removed_are_missed_when_the_log_is_verified(local_store: LocalStore) -> None:
    filled(local_store, 8)
    (local_store.root / "model/ledger/00000007.json").unlink()
    with pytest.raises(ChainBroken) as caught:
        Log(local_store, "model/ledger").verify()
    assert caught.value.number == 7


def test_an_entry_that_was_changed_is_not_believed_where_a_checkpoint_holds_it(local_store: LocalStore) -> None:
    written = filled(local_store, 8)
    path = local_store.root / "model/ledger/00000003.json"
    path.write_bytes(path.read_bytes().replace(b"registered", b"withdrawn"))
    assert Log(local_store, "model/ledger").read() == written
    with pytest.raises(ChainBroken) as caught:
        Log(local_store, "model/ledger").verify()
    assert caught.value.number == 3


def test_a_changed_newest_entry_is_named_by_whoever_reads(local_store: LocalStore) -> None:
    filled(local_store, 8)
    path = local_store.root / "model/ledger/00000007.json"
    path.write_bytes(path.read_bytes().replace(b"registered", b"withdrawn"))
    with pytest.raises(ChainBroken) as caught:
        Log(local_store, "model/ledger").read()
    assert caught.value.number == 7


def test_a_log_from_before_checkpoints_is_read_and_has_one_from_its_next_entry_on(local_store: LocalStore) -> None:
    written = filled(local_store, 50)
    for path in (local_store.root / FOLDER).iterdir():
        path.unlink()
    added = append(Log(local_store, "model/ledger"))
    counting = CountingStore(local_store)
    assert Log(counting, "model/ledger").read() == (*written, added)
    assert len(counting.calls) <= 5


def test_an_entry_stands_where_its_checkpoint_could_not_be_written() -> None:
    class Refusing(MemoryStore):
        def put_if_absent(self, key: str, body: bytes | Path) -> bool:
            if "checkpoints" in key:
                raise StoreUnavailable("busy")
            return super().put_if_absent(key, body)

    store = Refusing()
    written = tuple(append(Log(store, "model/ledger")) for _ in range(6))
    assert Log(store, "model/ledger").read() == written
