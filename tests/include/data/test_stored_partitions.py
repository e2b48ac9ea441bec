"""Partitions are divided and chosen in a time that grows with their number, not with its square."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.config.sections.rows.sources import Slot
from include.data import stored_partitions
from include.data.slots import slots_between
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import in_parts, touching
from include.data.windows import Split, Window
from tests.opcodes import opcodes_in

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def hours(rows: list[int], train: int | None = None) -> Snapshot:
    """Return a snapshot of hours with so many rows each; the first ``train`` of them are learned from."""
    cut = BEGIN + timedelta(hours=len(rows) - 1 if train is None else train)
    end = BEGIN + timedelta(hours=len(rows))
    before = timedelta(microseconds=1)
    slots = slots_between(BEGIN, end - before, Slot.HOUR)
    pinned = tuple(Pinned(slot, "content", "file", count) for slot, count in zip(slots, rows, strict=True))
    split = Split(Window(BEGIN - before, cut - before), Window(cut, end - before))
    return Snapshot("model", end, "source", split, pinned, {"at": "timestamp"})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 12))
def test_parts_are_the_fewest_that_have_the_rows(rows: list[int], least: int):
    snapshot = hours(rows)
    parts = in_parts(snapshot, least)
    assert [pinned for part in parts for pinned in part] == [one for one in snapshot.partitions if one.rows]
    for part in parts[:-1]:
        assert sum(one.rows for one in part) >= least > sum(one.rows for one in part[:-1])


def test_parts_of_a_window_are_its_own():
    snapshot = hours([2, 2, 2, 2], train=2)
    assert [[one.slot[-2:] for one in part] for part in in_parts(snapshot, 3, "train")] == [["00", "01"]]
    assert [[one.slot[-2:] for one in part] for part in in_parts(snapshot, 2, "holdout")] == [["02"], ["03"]]


def test_dividing_twice_the_partitions_is_twice_the_work():
    def work(count: int) -> int:
        snapshot = hours([1] * count)
        return opcodes_in(stored_partitions.__file__, lambda: in_parts(snapshot, 10**9))

    assert work(800) == pytest.approx(2 * work(400), rel=0.01)


def test_choosing_one_partition_looks_at_no_other():
    def work(count: int) -> int:
        snapshot = hours([1] * count)
        among = [snapshot.partitions[3]]
        return opcodes_in(stored_partitions.__file__, lambda: touching(snapshot, "both", among))

    assert work(800) == work(400)
