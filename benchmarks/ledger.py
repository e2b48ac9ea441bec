"""A ledger of 10,000 events: reading it, from its checkpoint and event by event, and folding it; in the local store.

python -m benchmarks.ledger            # seconds; writes its part of docs/performance.md
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.page import machine, put
from include.registry.timeline import fold
from include.storage.checkpoints import Checkpoint, pack
from include.storage.content import to_iso
from include.storage.entries import open_entry, seal_fields
from include.storage.local import LocalStore
from include.storage.log import Log

EVENTS = 10_000


def fill(folder: Path) -> None:
    """Write a history of hourly versions, each promoted, as the log would, without waiting for the disk."""
    (folder / "m" / "ledger").mkdir(parents=True)
    (folder / "m" / "ledger-checkpoints").mkdir()
    previous, entries = None, []
    actor = {"trigger": "backfill", "dag": "retrain_m", "run": "backfill__2013-01-01T00:00:00+00:00", "task": "gate"}
    for number in range(EVENTS):
        at = to_iso(datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=number // 2))
        version = f"{number // 2:08d}"
        body: dict[str, Any] = {"version": version, "as_of": at, "model_file": "f" * 64, "actor": actor}
        if number % 2:
            primary = {"metric": "roc_auc", "challenger": {"value": 0.7, "low": 0.6, "high": 0.8}, "gain": 0.01}
            incumbent = f"{number // 2 - 1:08d}" if number > 1 else None
            body = {"version": version, "outcome": "PROMOTE", "reason": "roc_auc is better", "incumbent": incumbent}
            body |= {"evidence": "e" * 64, "policy": "p" * 64, "config": "c" * 64, "primary": primary, "actor": actor}
        kind = "decided" if number % 2 else "registered"
        fields = {"number": number, "previous": previous, "kind": kind, "at": at, "nonce": "0" * 32, "body": body}
        stored = seal_fields(fields)
        (folder / "m" / "ledger" / f"{number:08d}.json").write_bytes(stored)
        entries.append(open_entry(stored, number, where=""))
        previous = entries[-1].digest
    whole = EVENTS - 70  # half of what comes on top of a whole checkpoint at this length
    for one in Checkpoint(EVENTS - 1, whole).parts:
        (folder / "m" / "ledger-checkpoints" / one.name).write_bytes(pack(entries[one.start : one.end]))


def fastest(what: Callable[[], Any]) -> float:
    """Return the milliseconds of the fastest of five calls."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        what()
        found.append(time.perf_counter() - began)
    return min(found) * 1000


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        fill(Path(name))
        store = LocalStore(Path(name))
        entries = Log(store, "m/ledger").verify()
        timeline = fold(entries)
        took = {
            "read, from its checkpoint": fastest(lambda: Log(store, "m/ledger").read()),
            "fold into the timeline": fastest(lambda: fold(entries)),
            "who was champion from when": fastest(timeline.champions),
            "verify events and checkpoint": fastest(lambda: Log(store, "m/ledger").verify()),
        }
        shutil.rmtree(Path(name) / "m" / "ledger-checkpoints")
        took["read, event by event"] = fastest(lambda: Log(store, "m/ledger").read())
    lines = [machine(), "", f"| {EVENTS:,} events, local store | ms |", "|---|---|"]
    found = "\n".join([*lines, *(f"| {what} | {ms:.0f} |" for what, ms in took.items())])
    print(found)  # noqa: T201 (a command's answer)
    if not arguments.print:
        put("ledger", found)


if __name__ == "__main__":
    main()
