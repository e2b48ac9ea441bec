"""What a retraining asks of the store does not grow with the history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from chain_run import BACKFILL, NOW, Run, month

from include.config.model import ModelConfig
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


def test_a_retraining_after_a_thousand_events_makes_few_calls_for_its_ledger(model: ModelConfig, folder: Path) -> None:
    store = MemoryStore()
    with_history(store, model)
    run, done, ledger = Run(model, folder, month(6)), {}, {}
    for step in run.steps:
        counting = CountingStore(store, delay=0.01)
        done = run.do(step, counting, done)
        ledger[step] = counting.in_folder("ledger")
    assert sum(map(len, ledger.values())) <= 30, ledger
    assert {step for step, calls in ledger.items() if calls} == {"select", "evaluate", "gate", "decide", "settle"}
