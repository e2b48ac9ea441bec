"""What a retraining asks of a store with latency, after 1 to 10,000 events: calls, sequential round trips and seconds.

The store is S3 as moto's server speaks it, in a process of its own, with 20 ms added to each call. Then a whole retraining of the
shipped `flight_delay` on that store beside one on the local folder, by turns.

python -m benchmarks.store_calls       # some seven minutes; writes its part of docs/performance.md
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]


from benchmarks.page import machine, put  # noqa: E402 (after the path is set)
from include.config.load import load_model  # noqa: E402
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
SHIPPED = ROOT / "include" / "models" / "flight_delay"
BEFORE = datetime(2013, 8, 1, tzinfo=UTC)
SINGLE = (datetime(2013, 9, 1, tzinfo=UTC), datetime(2013, 10, 1, tzinfo=UTC), datetime(2013, 11, 1, tzinfo=UTC))
GOAL = 1.15


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


def whole(remote: ObjectStore, local: ObjectStore, dates: tuple[datetime, ...]) -> str:
    """Return the lines on whole retrainings of the shipped model, on each store by turns, one task after the other."""
    model = load_model(SHIPPED / "model.yaml")
    stores = {"S3": CountingStore(remote, delay=DELAY), "local": CountingStore(local, parallel=1)}
    for store in stores.values():  # a champion to measure against, and modules that are imported late
        retrain(store, Run(model, SHIPPED, BEFORE))
    found = []
    for date in dates:
        far, near = (retrain(store, Run(model, SHIPPED, date)) for store in stores.values())
        found.append((far["calls"], far["trips"], far["s"], near["s"], far["s"] / near["s"]))
    calls, trips, s, s_local, ratio = (median(column) for column in zip(*found, strict=True))
    head = "| `flight_delay`, whole | calls | sequential round trips | seconds | seconds, local folder | ratio | goal |"
    row = f"| the tasks one after the other | {calls:.0f} | {trips:.0f} | {s:.1f} | {s_local:.1f} | {ratio:.2f} | at most {GOAL} |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", row])


def _serve(address: Connection) -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    let_one_write_at_a_time()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address.send(server.get_host_and_port())
    address.recv()


@contextmanager
def s3() -> Iterator[S3Store]:
    """Serve an empty bucket from another process, which ends with this one."""
    import boto3

    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        host, port = here.recv()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket=BUCKET)
        yield S3Store(client, BUCKET)
    finally:
        server.terminate()
        server.join()


def main() -> None:
    """Measure, print the tables, and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    parser.add_argument("--whole", type=int, choices=(1, 2, 3), help="only so many whole retrainings")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    with tempfile.TemporaryDirectory() as name, s3() as remote:
        local = LocalStore(Path(name) / "store")
        if arguments.whole is None:
            folder = Path(name) / "parcels"
            lines.append(
                "| events before | calls | of them for the ledger | sequential round trips | seconds | seconds, local folder "
                "| reading the ledger alone: calls | round trips | ms |"
            )
            lines += ["|---|---|---|---|---|---|---|---|---|", *measure(remote, local, declare(folder), folder), ""]
        lines.append(whole(remote, local, SINGLE[: arguments.whole]))
    found = "\n".join(lines)
    print(found)  # noqa: T201 (a command's answer)
    if not arguments.print:
        put("store_calls", found)


if __name__ == "__main__":
    main()
