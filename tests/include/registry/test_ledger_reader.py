"""Who goes through all versions of a ledger folds its events once."""

from __future__ import annotations

import pytest
from histories import tell

from include.registry import timeline
from include.registry.history.trained_on import trained_on
from include.registry.ledger import Ledger
from tests.opcodes import opcodes_in
from tests.worlds import FLIGHTS, MemoryStore


def test_going_through_all_versions_takes_work_that_grows_with_them_and_not_with_their_square() -> None:
    def work(versions: int) -> int:
        store = MemoryStore()
        tell(store, versions=versions)
        return opcodes_in(timeline.__file__, lambda: trained_on(Ledger(store, FLIGHTS.name), ["no such partition"]))

    assert work(24) < 7 * work(6), "four times as many"


def test_what_another_writer_adds_meanwhile_is_folded_too() -> None:
    store = MemoryStore()
    first, second = tell(store, versions=2)
    reader = Ledger(store, FLIGHTS.name)
    before = reader.timeline()
    assert reader.timeline() is before and first in before and before[second].withdrawn is None
    Ledger(store, FLIGHTS.name).withdraw(second, "late feed", actor={"trigger": "manual"}, at=before[second].as_of)
    assert reader.timeline(fresh=False) is before
    assert reader.timeline()[second].withdrawn == "late feed"
    with pytest.raises(Exception, match="does not know version"):
        before["20130101T000000Z-0000000000"]
