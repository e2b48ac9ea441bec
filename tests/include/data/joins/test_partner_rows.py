"""Rows of a second source are remembered up to a bound, and what goes is what was used longest ago."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.data.joins import partner_rows
from include.storage.local import LocalStore


class Rows:
    """A table of one byte that counts how often any of its kind is measured."""

    measured = 0

    @property
    def nbytes(self) -> int:
        Rows.measured += 1
        return 1


def test_what_goes_from_memory_is_what_was_used_longest_ago_and_each_table_is_measured_once(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(_: Any, __: Any, pinned: Any, ___: Any) -> Rows:
        read.append(pinned.file)
        return Rows()

    monkeypatch.setattr(partner_rows, "read_partition", counted)
    monkeypatch.setattr(partner_rows, "_MOST", 10)
    join: Any = SimpleNamespace(rows=SimpleNamespace(partition_key=lambda pinned: "shop"))

    def ask(*numbers: int) -> None:
        pinned: Any = [SimpleNamespace(file=str(number)) for number in numbers]
        assert len(partner_rows._partitions(local_store, join, pinned, ("town",))) == len(numbers)

    ask(*range(200))
    assert Rows.measured <= 2 * 200
    read.clear()
    ask(191, 189, 199)  # 190 to 199 are there
    ask(191, 199, 190)  # 190 was used longest ago
    assert read == ["189", "190"]
