"""One chain, many writers, and every kind of damage named by number."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import ChainBroken, StoreError
from include.storage.content import canonical_json, digest, to_iso
from include.storage.entries import seal_fields
from include.storage.local import LocalStore
from include.storage.log import Entry, Log, recorded_by
from include.storage.probe import MARKER
from include.storage.s3 import S3Store
from include.storage.store import ObjectStore
from tests.counting import CountingStore
from tests.faults import FaultyStore, Killed

AT = "2013-07-01T00:00:00Z"
WRITERS = 50


def filled(store: ObjectStore, entries: int = 8) -> Log:
    log = Log(store, "model/ledger")
    for number in range(entries):
        log.append(lambda seen, number=number: ("registered", {"number": number, "text": "é"}), at=AT)  # type: ignore[misc]
    return log


def path_of(store: LocalStore, number: int) -> Path:
    return store.root / "model" / "ledger" / f"{number:08d}.json"


def without_checkpoints(store: LocalStore) -> LocalStore:
    shutil.rmtree(store.root / "model" / "ledger-checkpoints", ignore_errors=True)
    return store


def broken_at(store: LocalStore) -> int:
    """The number that verifying names, and reading, too, where no checkpoint holds the entry."""
    with pytest.raises(ChainBroken) as caught:
        Log(store, "model/ledger").verify()
    numbers = {caught.value.number}
    without_checkpoints(store)
    for look in (Log(store, "model/ledger").read, Log(store, "model/ledger").verify):
        with pytest.raises(ChainBroken) as caught:
            look()
        numbers.add(caught.value.number)
    (number,) = numbers
    return number


def test_entries_are_read_as_they_were_appended(store: ObjectStore) -> None:
    log = Log(store, "model/ledger")
    assert log.read() == ()
    first = log.append(lambda entries: ("registered", {"version": "a", "n": [1, 2.5, None]}), at=AT)
    second = log.append(lambda entries: ("withdrawn", {"saw": entries[-1].kind}), at=AT)
    assert first is not None
    assert second is not None
    assert log.read() == Log(store, "model/ledger").read() == log.verify() == (first, second)
    assert (first.number, first.previous, first.kind, first.at) == (0, None, "registered", AT)
    assert (second.number, second.previous, second.body) == (1, first.digest, {"saw": "registered"})


def test_nothing_is_written_when_there_is_nothing_to_do(store: ObjectStore) -> None:
    assert Log(store, "model/ledger").append(lambda entries: None, at=AT) is None
    assert list(store.list("")) == []


def test_an_entry_is_json_that_names_its_own_digest(local_store: LocalStore) -> None:
    (entry,) = filled(local_store, 1).read()
    fields = json.loads(path_of(local_store, 0).read_bytes())
    assert fields.pop("digest") == entry.digest == digest(canonical_json(fields))


def test_an_entry_with_a_digest_among_its_sealed_fields_is_none_that_a_log_wrote(local_store: LocalStore) -> None:
    (entry,) = filled(local_store, 1).read()
    fields = {key: value for key, value in vars(entry).items() if key != "digest"}
    path_of(local_store, 0).unlink()
    content = canonical_json({**fields, "digest": "0" * 64})
    path_of(local_store, 0).write_bytes(b'{"digest":"%s",' % digest(content).encode() + content[1:])
    with pytest.raises(ChainBroken, match="changed"):
        Log(local_store, "model/ledger").read()


def test_entries_already_read_are_not_read_again(local_store: LocalStore) -> None:
    filled(local_store, 5)
    counting = CountingStore(local_store)
    log = Log(counting, "model/ledger")
    assert log.known == ()
    log.read()
    counting.reset()
    filled_by_another = Log(local_store, "model/ledger")
    filled_by_another.append(lambda entries: ("registered", {}), at=AT)
    assert len(log.read()) == len(log.known) == 6
    assert counting.calls == ["list model/ledger/", "get model/ledger/00000005.json"]
    counting.reset()
    log.verify()
    assert sum("/ledger/" in call for call in counting.calls) == 1 + 6


def test_whether_there_is_more_is_one_call_that_tells_a_missing_entry_from_a_missing_store(
    store: ObjectStore, s3_client: Any
) -> None:
    log = Log(CountingStore(store), "model/ledger")
    assert not log.has_more()
    for number in range(3):
        filled(store, 1)
        counting = CountingStore(store)
        log.store = counting
        assert log.has_more()
        assert counting.calls == [f"get model/ledger/{number:08d}.json"]
        assert len(log.read()) == number + 1
        assert not log.has_more()
    with pytest.raises(StoreError, match="NoSuchBucket"):
        Log(S3Store(s3_client, "nobody-made-this-bucket"), "model/ledger").has_more()


def test_who_loses_a_race_decides_again_on_what_won(store: ObjectStore) -> None:
    slow, fast = Log(store, "model/ledger"), Log(store, "model/ledger")
    seen: list[int] = []

    def decide(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
        seen.append(len(entries))
        if len(seen) < 3:
            fast.append(lambda entries: ("registered", {}), at=AT)
        return "decided", {"after": len(entries)}

    entry = slow.append(decide, at=AT)
    assert seen == [0, 1, 2]
    assert entry is not None
    assert (entry.number, entry.body) == (2, {"after": 2})
    assert len(Log(store, "model/ledger").verify()) == 3


def test_who_loses_a_race_may_find_nothing_left_to_do(store: ObjectStore) -> None:
    slow, fast = Log(store, "model/ledger"), Log(store, "model/ledger")

    def once(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
        if entries:
            return None
        fast.append(lambda entries: ("registered", {}), at=AT)
        return "registered", {}

    assert slow.append(once, at=AT) is None
    assert len(Log(store, "model/ledger").verify()) == 1


def test_many_processes_append_at_once_and_each_number_has_one_winner(store: ObjectStore) -> None:
    endpoint, writers = "", WRITERS
    if isinstance(
        store, S3Store
    ):  # whose server, one process, answers each of the writers' looks at what is there by then
        endpoint, writers = store.client.meta.endpoint_url, WRITERS // 2
    store.put_if_absent(MARKER, b"{}")  # fifty probes at once are more races than there is to learn from
    ran = subprocess.run(
        [sys.executable, "-m", "tests.include.storage.appending", store.url, endpoint, str(writers)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    won = json.loads(ran.stdout)

    entries = Log(store, "model/ledger").verify()
    assert sorted(number for number, _ in won) == list(range(writers))
    assert [entry.body["writer"] for entry in entries] == sorted(range(writers), key=won.__getitem__)
    assert all(entry.body["seen"] == entry.number for entry in entries), "each decided on all that came before"
    assert sum(decided for _, decided in won) > writers, "they never met: this showed nothing"


@pytest.mark.parametrize("number", [0, 3, 7])
def test_a_flipped_byte_is_located(local_store: LocalStore, number: int) -> None:
    filled(local_store)
    path = path_of(local_store, number)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert broken_at(local_store) == number
    path.write_bytes(whole)
    assert len(Log(local_store, "model/ledger").verify()) == 8


@pytest.mark.parametrize(
    "damage", [lambda body: b"", lambda body: body[:-1], lambda body: body + b" ", lambda body: b"[]"]
)
def test_an_entry_cut_short_or_lengthened_is_located(local_store: LocalStore, damage: Any) -> None:
    filled(local_store)
    path_of(local_store, 4).write_bytes(damage(path_of(local_store, 4).read_bytes()))
    assert broken_at(local_store) == 4


@pytest.mark.parametrize("number", [0, 3, 6])
def test_a_removed_entry_is_located(local_store: LocalStore, number: int) -> None:
    filled(local_store)
    path_of(local_store, number).unlink()
    assert broken_at(local_store) == number


def forge(store: LocalStore, number: int, **changed: Any) -> None:
    """Replace an entry by one whose digest fits its content."""
    fields = json.loads(path_of(store, number).read_bytes())
    del fields["digest"]
    path_of(store, number).write_bytes(seal_fields(fields | changed))


@pytest.mark.parametrize("number", [0, 3, 5])
def test_an_entry_forged_in_the_place_of_another_is_located(local_store: LocalStore, number: int) -> None:
    filled(local_store)
    forge(local_store, number, body={"number": "forged"})
    assert broken_at(local_store) == number


@pytest.mark.parametrize("number", [1, 3, 7])
def test_an_entry_from_another_history_is_located(local_store: LocalStore, tmp_path: Path, number: int) -> None:
    filled(local_store)
    other = LocalStore(tmp_path / "other")
    filled(other)
    path_of(local_store, number).write_bytes(path_of(other, number).read_bytes())
    assert broken_at(local_store) == number


def test_an_entry_under_the_number_of_another_is_located(local_store: LocalStore) -> None:
    filled(local_store)
    path_of(local_store, 5).write_bytes(path_of(local_store, 4).read_bytes())
    assert broken_at(local_store) == 5


def test_verifying_looks_again_at_entries_already_read(local_store: LocalStore) -> None:
    log = filled(local_store)
    forge(local_store, 2, kind="decided")
    assert len(log.read()) == 8
    with pytest.raises(ChainBroken) as caught:
        log.verify()
    assert caught.value.number == 2


def test_nothing_is_appended_to_a_broken_chain(local_store: LocalStore) -> None:
    filled(local_store)
    forge(without_checkpoints(local_store), 2, kind="decided")
    with pytest.raises(ChainBroken):
        Log(local_store, "model/ledger").append(lambda entries: ("registered", {}), at=AT)
    assert not path_of(local_store, 8).exists()


def test_objects_that_are_no_entries_are_not_read(local_store: LocalStore) -> None:
    filled(local_store, 3)
    for name in ("notes.txt", "00000003.json.bak", "3.json", "00000001/a"):
        local_store.put_if_absent(f"model/ledger/{name}", b"")
    local_store.put_if_absent("model/ledger2/00000003.json", b"")
    assert len(Log(local_store, "model/ledger").verify()) == 3


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_writer_killed_at_any_call_and_repeated_leaves_one_entry(tmp_path: Path, mode: Any) -> None:
    def register(store: ObjectStore, version: str) -> None:
        def once(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            return (
                None
                if any(entry.body["version"] == version for entry in entries)
                else ("registered", {"version": version})
            )

        Log(store, "model/ledger").append(once, at=AT)

    counting = FaultyStore(LocalStore(tmp_path / "counting"))
    for version in "abc":
        register(counting, version)
    assert (
        counting.calls == 3 * (1 + 1) + 3 + 1
    )  # a listing and a write, and the entries; the last time a checkpoint, too
    for call in range(1, counting.calls + 1):
        store = LocalStore(tmp_path / f"{mode}-{call}")
        faulty = FaultyStore(store, fail_at=call, mode=mode)
        with pytest.raises(Killed):
            for version in "abc":
                register(faulty, version)
        for version in "abc":
            register(store, version)
        assert [entry.body["version"] for entry in Log(store, "model/ledger").verify()] == ["a", "b", "c"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
steps = st.tuples(
    st.integers(0, 2),  # which of three instances
    st.sampled_from(["append", "skip", "read", "verify", "reopen"]),
    st.text(max_size=5),
    st.dictionaries(st.text(max_size=5), values, max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=15))
def test_a_log_shared_by_three_instances_is_one_list(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, str, dict[str, Any]]]
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("log"))
    logs = [Log(store, "model/ledger") for _ in range(3)]
    expected: list[tuple[str, dict[str, Any]]] = []

    def content(entries: tuple[Entry, ...]) -> list[tuple[str, dict[str, Any]]]:
        return [(entry.kind, entry.body) for entry in entries]

    for which, step, kind, body in steps:
        if step == "reopen":
            logs[which] = Log(store, "model/ledger")
        elif step == "verify":
            assert content(logs[which].verify()) == expected
        elif step == "read":
            assert content(logs[which].read()) == expected
        elif step == "skip":
            assert logs[which].append(lambda entries: None, at=AT) is None
        else:

            def decide(
                entries: tuple[Entry, ...], kind: str = kind, body: dict[str, Any] = body
            ) -> tuple[str, dict[str, Any]]:
                assert content(entries) == expected
                return kind, body

            entry = logs[which].append(decide, at=AT)
            assert entry is not None
            assert entry.number == len(expected)
            expected.append((kind, body))
    assert content(Log(store, "model/ledger").verify()) == expected


def test_a_log_without_checkpoints_is_read_in_one_call_an_entry(local_store: LocalStore) -> None:
    previous, count = None, 2_500
    path_of(local_store, 0).parent.mkdir(parents=True)
    for number in range(count):
        body = {"version": "20130701T000000Z-0123456789", "evidence": "a" * 64, "policy": "b" * 64}
        fields = {"number": number, "previous": previous, "kind": "decided", "at": AT, "nonce": "0" * 32, "body": body}
        previous = digest(canonical_json(fields))
        path_of(local_store, number).write_bytes(seal_fields(fields))
    store = CountingStore(local_store)
    assert len(Log(store, "model/ledger").read()) == count
    got = sorted(call for call in store.calls if call.startswith("get"))
    assert got == [f"get model/ledger/{number:08d}.json" for number in range(count)]
    # A listing gives a thousand keys a call; the log's first one ends there, and another begins anew.
    assert len(store.calls) - count <= 5


@given(
    at=st.lists(st.integers(0, 50), min_size=1, max_size=30).map(sorted),
    asked=st.integers(-1, 51),
    wrong=st.tuples(st.integers(0, 29), st.integers(-1000, 1000)),
)
def test_one_wrong_clock_moves_what_was_on_record_by_no_more_than_two_entries(at, asked, wrong) -> None:
    def instant(second: int) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)

    def entries(seconds: list[int]) -> list[Entry]:
        return [Entry(n, None, "kind", to_iso(instant(second)), "", {}, "") for n, second in enumerate(seconds)]

    true = len(recorded_by(entries(at), instant(asked)))
    assert true == sum(second <= asked for second in at), "right clocks are believed"
    number, second = wrong
    said = [second if n == number % len(at) else right for n, right in enumerate(at)]
    assert abs(len(recorded_by(entries(said), instant(asked))) - true) <= 2


def test_a_name_of_a_great_number_that_nobody_wrote_ends_a_reading_at_the_gap_before_it(
    local_store: LocalStore,
) -> None:
    filled(local_store, 3)
    path_of(local_store, 0).with_name("99999999.json").write_bytes(b"{}")
    counting = CountingStore(local_store)
    with pytest.raises(ChainBroken, match="missing") as broken:
        Log(counting, "model/ledger").read()
    assert broken.value.number == 3 and len(counting.calls) < 2000
