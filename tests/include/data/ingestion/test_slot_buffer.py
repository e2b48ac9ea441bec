"""Rows that wait in files come back as they went in, each in its slot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.data.ingestion import slot_buffer
from include.data.ingestion.slot_buffer import SlotBuffer

SLOTS = ["2024-01", "2024-02", "2024-04"]


def table(*times: tuple[int, int]) -> pa.Table:
    """Return rows at a month and a day of 2024; their texts say which."""
    at = pa.array([datetime(2024, *time, tzinfo=UTC) for time in times], pa.timestamp("us", "UTC"))
    return pa.table({"at": at, "text": pa.array([f"{month}-{day}" for month, day in times], pa.string())})


@given(st.lists(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 28)), max_size=6), max_size=5))
def test_every_row_is_found_in_its_slot_in_the_order_it_came(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]]
) -> None:
    spool = SlotBuffer(tmp_path_factory.mktemp("spool"), SLOTS, "at")
    for batch in batches:
        spool.add(table(*batch))
    rows = [row for batch in batches for row in batch]
    found = {slot: [] if one is None else one["text"].to_pylist() for slot, one in spool.tables()}
    months = {"2024-01": 1, "2024-02": 2, "2024-04": 4}
    assert found == {slot: [f"{m}-{d}" for m, d in rows if m == months[slot]] for slot in SLOTS}
    assert spool.elsewhere == sum(month not in months.values() for month, _ in rows)
    if rows:
        assert (spool.first, spool.last) == tuple(
            int(datetime(2024, *at, tzinfo=UTC).timestamp()) * 10**6 for at in (min(rows), max(rows))
        )


def test_rows_outlast_their_file(tmp_path: Path) -> None:
    spool = SlotBuffer(tmp_path, SLOTS, "at")
    spool.add(table((1, 2), (1, 3)))
    spool.add(table((1, 1)))
    given = dict(spool.tables())
    assert list(tmp_path.iterdir()) == []
    january = given["2024-01"]
    assert january is not None
    assert january.equals(table((1, 2), (1, 3), (1, 1)))


@pytest.mark.parametrize(("most", "opens"), [(2, 2), (1, 12)])
def test_a_file_stays_open_while_others_do_not_need_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, opens: int
) -> None:
    opened = []

    class File(pa.OSFile):
        def __init__(self, *given: str) -> None:
            assert sum(not one.closed for one in opened) < most
            opened.append(self)

    monkeypatch.setattr(slot_buffer, "OPEN", most)
    monkeypatch.setattr(pa, "OSFile", File)
    spool = SlotBuffer(tmp_path, SLOTS, "at")
    batches = [[(1, day), (4, day)] for day in range(1, 7)]
    for batch in batches:
        spool.add(table(*batch))
    found = dict(spool.tables())
    assert len(opened) == opens
    assert all(one.closed for one in opened)
    assert found["2024-02"] is None
    for slot, month in (("2024-01", 1), ("2024-04", 4)):
        rows = found[slot]
        assert rows is not None
        assert rows.equals(table(*((month, day) for day in range(1, 7))))
