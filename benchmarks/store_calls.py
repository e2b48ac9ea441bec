"""What a retraining asks of a store with latency, after 1 to 10,000 events: calls, sequential round trips and seconds.

The store is S3 as moto's server speaks it, with 20 ms added to each call.

python -m benchmarks.store_calls       # some four minutes; writes its part of docs/performance.md
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]


from benchmarks.page import machine, put  # noqa: E402 (after the path is set)
from include.config.model import ModelConfig  # noqa: E402
from include.storage.checkpoints import Checkpoints  # noqa: E402
from include.storage.concurrency import at_once  # noqa: E402
from include.storage.content import to_iso  # noqa: E402
from include.storage.entries import open_entry, seal_fields  # noqa: E402
from include.storage.local import LocalStore  # noqa: E402
from include.storage.log import Log  # noqa: E402
from include.storage.s3 import S3Store  # noqa: E402
from include.storage.store import ObjectStore  # noqa: E402
from tests.chain_run import BACKFILL, NOW, Run, declare, month  # noqa: E402
from tests.compose.s3_server import let_one_write_at_a_time  # noqa: E402
from tests.counting import CountingStore  # noqa: E402

HISTORIES = (1, 10, 100, 1_000, 10_000)
DELAY = 0.02  # seconds
BUCKET = "store-calls"


def extend(store: ObjectStore, model: str, events: int) -> None:
    """Bring a ledger to a length by versions that a schedule registered and held, as the log would have written them."""
    entries = list(Log(store, f"{model}/ledger").read())
    puts = []
    for number in range(len(entries), events):
        version = f"{number // 2:010d}"
        body: dict[str, Any] = {"version": version, "actor": {**BACKFILL, "trigger": "scheduled"}}
        if entries and entries[-1].kind == "registered" and entries[-1].body["version"] == f"{(number - 1) // 2:010d}":
            kind, version = "decided", entries[-1].body["version"]
            body |= {"version": version, "outcome": "HOLD", "reason": "these rows can't tell", "incumbent": None}
            body |= {**dict.fromkeys(("evidence", "policy", "config"), "e" * 64), "primary": {"metric": "roc_auc"}}
        else:
            kind, as_of = "registered", to_iso(month(1) - timedelta(hours=events - number))
            body |= {"version": f"{number // 2:010d}", "as_of": as_of, "model_file": "f" * 64, "record": "r" * 64}
        previous = entries[-1].digest if entries else None
        fields = {"number": number, "previous": previous, "kind": kind, "at": to_iso(NOW), "nonce": "0" * 32}
        stored = seal_fields({**fields, "body": body})
        entries.append(open_entry(stored, number, where=""))
        puts.append(partial(store.put_if_absent, f"{model}/ledger/{number:08d}.json", stored))
    at_once(store, puts)
    Checkpoints(store, f"{model}/ledger").write(entries)


def retrain(store: CountingStore, run: Run) -> dict[str, int | float]:
    """Do every task of one run and return what it asked of the store."""
    done: dict[str, Any] = {}
    store.reset()
    began = time.perf_counter()
    for step in run.steps:
        done = run.do(step, store, done)
    seconds = time.perf_counter() - began
    return {"calls": len(store.calls), "ledger": len(store.in_folder("ledger")), "trips": store.trips, "s": seconds}


def read(store: CountingStore, model: str) -> dict[str, int | float]:
    """Read the ledger as a task does and return what that asked of the store."""
    store.reset()
    began = time.perf_counter()
    Log(store, f"{model}/ledger").read()
    return {"calls": len(store.calls), "trips": store.trips, "ms": (time.perf_counter() - began) * 1000}


def measure(remote: ObjectStore, local: ObjectStore, model: ModelConfig, folder: Path) -> list[str]:
    """Return the table's lines, one for each history."""
    lines = []
    retrain(CountingStore(local, parallel=1), Run(model, folder, month(4)))  # modules that are imported late
    for number, events in enumerate(HISTORIES, 5):
        extend(remote, model.name, events)
        slow, run = CountingStore(remote, delay=DELAY), Run(model, folder, month(number))
        alone, whole = read(slow, model.name), retrain(slow, run)
        beside = retrain(CountingStore(local, parallel=1), run)
        lines.append(
            f"| {events:,} | {whole['calls']} | {whole['ledger']} | {whole['trips']} | {whole['s']:.1f} | {beside['s']:.1f} "
            f"| {alone['calls']} | {alone['trips']} | {alone['ms']:.0f} |"
        )
    return lines


def main() -> None:
    """Measure, print the table, and write it into the page."""
    import boto3
    from moto.server import ThreadedMotoServer

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    let_one_write_at_a_time()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket=BUCKET)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "parcels"
            model = declare(folder)
            rows = measure(S3Store(client, BUCKET), LocalStore(Path(name) / "store"), model, folder)
    finally:
        server.stop()
    lines = [machine(), ""]
    lines.append(
        "| events before | calls | of them for the ledger | sequential round trips | seconds | seconds, local folder "
        "| reading the ledger alone: calls | round trips | ms |"
    )
    found = "\n".join([*lines, "|---|---|---|---|---|---|---|---|---|", *rows])
    print(found)  # noqa: T201 (a command's answer)
    if not arguments.print:
        put("store_calls", found)


if __name__ == "__main__":
    main()
