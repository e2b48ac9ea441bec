"""Calls that do not wait for each other: in one round trip, and never before what they are named by."""

from __future__ import annotations

import pytest

from include.errors import ObjectMissing
from include.storage.concurrency import written_together
from include.storage.content import get_content, put_content
from tests.counting import CountingStore
from tests.worlds import MemoryStore


def test_objects_are_written_in_one_round_trip_and_read_before_that() -> None:
    counting = CountingStore(MemoryStore(), delay=0.05)
    with written_together(counting) as new:
        digests = [put_content(new, "m/models", ".skops", body) for body in (b"one", b"two", b"three", b"one")]
        assert get_content(new, "m/models", ".skops", digests[1]) == b"two"
        assert new.exists(f"m/models/{digests[0]}.skops")
        assert counting.calls == []
    assert (len(counting.calls), counting.trips) == (3, 1)
    assert get_content(counting, "m/models", ".skops", digests[2]) == b"three"


def test_nothing_is_written_when_the_work_fails() -> None:
    store = MemoryStore()
    with pytest.raises(ZeroDivisionError), written_together(store) as new:
        digest = put_content(new, "m/models", ".skops", b"one")
        raise ZeroDivisionError
    with pytest.raises(ObjectMissing):
        get_content(store, "m/models", ".skops", digest)


def test_a_file_is_written_as_its_content(tmp_path) -> None:
    store = MemoryStore()
    (tmp_path / "file").write_bytes(b"from a file")
    with written_together(store) as new:
        digest = put_content(new, "m/models", ".skops", tmp_path / "file")
        assert get_content(new, "m/models", ".skops", digest) == b"from a file"
    assert get_content(store, "m/models", ".skops", digest) == b"from a file"
