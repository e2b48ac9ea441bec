"""Whatever the order and parallelism of backfilled runs, the same timeline and the same bytes come of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from chain_run import month, objects, run_in_child

from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.storage.content import get_json
from include.storage.local import LocalStore

MONTHS = (4, 5, 6, 7, 8, 9)
AS_OFS = tuple(map(month, MONTHS))


def backfill(
    store: Path, folder: Path, children: ForkServerContext, shares: Sequence[Sequence[datetime]]
) -> LocalStore:
    """Do whole runs in as many processes as there are shares, all at once, each its own one by one."""
    running = [children.Process(target=run_in_child, args=(store, folder, share)) for share in shares]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * len(running)
    return LocalStore(store)


def timeline(store: LocalStore) -> dict[str, Any]:
    """Return what people see of a ledger: the versions in order, what was decided on each and by what, who is in force when."""
    folded = Ledger(store, "parcels").timeline()
    decided = [(s.version, s.decision.outcome, s.decision.incumbent, s.decision.evidence) for s in folded.standings]
    reasons = [(s.decision.reason, s.decision.primary, s.decision.policy, s.decision.config) for s in folded.standings]
    return {
        "decided": decided,
        "reasons": reasons,
        "in force": [folded.champion_as_of(month(number)) for number in range(1, 14)],
        "champion": folded.champion,
    }


def bytes_of(store: LocalStore) -> dict[str, Any]:
    """Return all that a store holds, but for logs and for what was measured against incumbents of the meantime."""
    passing = ("ledger", "log", "evidence", "index", "cards")
    kept = {key: value for key, value in objects(store).items() if key.split("/")[-2] not in passing}
    for standing in Ledger(store, "parcels").timeline().standings:
        key = f"parcels/evidence/{standing.decision.evidence}.json"
        kept[key] = get_json(store, key)
    return kept


@pytest.fixture(scope="module")
def forwards(
    folder: Path, model: object, children: ForkServerContext, tmp_path_factory: pytest.TempPathFactory
) -> LocalStore:
    """Six months backfilled one by one, oldest first."""
    return backfill(tmp_path_factory.mktemp("forwards"), folder, children, [AS_OFS])


ORDERS = {
    "backwards": [AS_OFS[::-1]],
    "two at a time, newest first": [AS_OFS[::-2], AS_OFS[-2::-2]],
    "three at a time": [AS_OFS[3::-3], AS_OFS[1::3], AS_OFS[2::3]],
    "every month twice, by two": [AS_OFS, AS_OFS[::-1]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_runs_does_not_matter(
    order: str, forwards: LocalStore, folder: Path, children: ForkServerContext, tmp_path: Path
):
    store = backfill(tmp_path, folder, children, ORDERS[order])
    assert timeline(store) == timeline(forwards)
    expected, found = bytes_of(forwards), bytes_of(store)
    assert set(found) ^ set(expected) == set()
    assert [key for key in found if found[key] != expected[key]] == []
    assert Ledger(store, "parcels").verify() >= 12


def test_six_months_know_every_outcome_but_incomparable(forwards: LocalStore):
    # Otherwise that timelines are equal would say little.
    decided = timeline(forwards)["decided"]
    assert {outcome for _, outcome, _, _ in decided} == {Outcome.PROMOTE, Outcome.HOLD, Outcome.REJECT}
    assert len({incumbent for _, _, incumbent, _ in decided}) >= 3
    assert Ledger(forwards, "parcels").verify() == 2 * len(MONTHS)
