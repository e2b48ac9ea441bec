"""What a retraining asks of the store does not grow with the history."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from chain_run import BACKFILL, NOW, Run, month

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.storage.content import to_iso
from include.storage.log import Log
from include.storage.store import ObjectStore
from tests.counting import CountingStore
from tests.worlds import MemoryStore

EVENTS = 1_000


def with_history(store: ObjectStore, model: ModelConfig) -> None:
    """Put versions on record that were all held, so that whatever is trained next has no incumbent."""
    log = Log(store, f"{model.name}/ledger")
    for number in range(EVENTS // 2):
        version = f"{number:010d}"
        as_of = to_iso(month(1) - timedelta(days=EVENTS - number))
        bodies: dict[str, dict[str, Any]] = {
            "registered": {"as_of": as_of, "model_file": "f" * 64, "record": "r" * 64},
            "decided": {
                **dict.fromkeys(("evidence", "policy", "config"), "e" * 64),
                "outcome": "HOLD",
                "reason": "the rows are few",
                "incumbent": None,
                "primary": {},
            },
        }
        for kind, body in bodies.items():
            log.append(lambda _, k=kind, b={**body, "version": version, "actor": BACKFILL}: (k, b), at=to_iso(NOW))  # type: ignore[misc]


def test_a_retraining_after_a_thousand_events_makes_as_few_calls_as_any(model: ModelConfig, folder: Path) -> None:
    store = MemoryStore()
    with_history(store, model)
    run, done, asked = Run(model, folder, month(6)), {}, {}
    for step in run.steps:
        asked[step] = CountingStore(store)
        done = run.do(step, asked[step], done)
    ledger = {step: calls for step, one in asked.items() if (calls := one.in_folder("ledger"))}
    assert sum(map(len, ledger.values())) <= 30, ledger
    assert set(ledger) == {"select", "evaluate", "gate", "decide", "settle"}
    assert sum(len(one.calls) for one in asked.values()) <= 150
    for step, one in asked.items():
        read = Counter(call for call in one.calls if call.startswith("get") and "/partitions/" in call)
        assert set(read.values()) <= {1}, f"{step} reads each partition once"


STATE_TRIPS = {"ingest": 5, "select": 4, "evaluate": 2, "gate": 2, "decide": 4, "settle": 2}
"""Of each task, how often it waits for the ledger or its partitions' log: twice to read one, and twice to write an entry and its checkpoint. An
ingestion looks once more for what was written while it read the source. Tasks that are not named wait for neither."""


def test_a_task_waits_for_state_at_most_four_times_and_an_ingestion_that_writes_five(
    model: ModelConfig, folder: Path
) -> None:
    store = MemoryStore()
    with_history(store, model)
    for number in (4, 5, 6):  # a log of two entries has no checkpoint yet
        Run(model, folder, month(number)).do("ingest", store, {})
    run, done, waits = Run(model, folder, month(7)), {}, {}
    for step in run.steps:
        counting = CountingStore(store)
        done = run.do(step, counting, done)
        if waited := counting.waits("ledger", "log"):
            waits[step] = waited
    assert waits == STATE_TRIPS


def test_an_ingestion_reads_its_partitions_log_once_whatever_the_history(model: ModelConfig, folder: Path) -> None:
    store = MemoryStore()
    counts = set()
    for number in range(4, 12):
        counting = CountingStore(store)
        Run(model, folder, month(number)).do("ingest", counting, {})
        counts.add(len(counting.in_folder("log")))
        if number > 4:  # an empty log is looked at again
            assert sum(call.startswith("list") and call.endswith("/log") for call in counting.calls) == 1
    assert max(counts) <= 6, "a listing and two objects; a listing before what is written, and two objects written"


def test_partitions_of_a_window_are_read_at_once(model: ModelConfig, folder: Path) -> None:
    store = MemoryStore()
    done = Run(model, folder, month(12)).do("ingest", store, {})
    snapshot = Snapshot.load(store, model.name, done["ingest"]["snapshot"])
    counting = CountingStore(store, delay=0.05)
    read_rows(counting, snapshot, model, folder, window="both", columns=["weight"])
    assert len(counting.calls) == 4
    assert counting.trips == 1
