"""The server under load while champions change, workers are killed and the store goes away: no answer is wrong, mixed or lost.

    python -m benchmarks.serving_resilience                    # 50 swaps, 20 kills, the store away for a minute; writes docs/serving.md
    python -m benchmarks.serving_resilience --swaps 5 --kills 2 --away 5

Two workers serve a small model from an S3 store, of moto's server behind a gate that can be shut. Clients ask for one row or for
several, and hold each answer to what the version that it names predicts for those rows. What was acknowledged must be in the
request log, but for what a kill may lose at most.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pandas as pd
import psutil
import pyarrow as pa

from benchmarks.page import machine
from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.settings import ROOT
from include.data.columns.conversion import ARROW
from include.registry.ledger import Ledger
from include.registry.version_states import Decision, Outcome
from include.registry.versions import load_version, save_version
from include.scoring.predictor import open_predictor
from include.storage.content import to_iso
from include.storage.local import LocalStore
from include.storage.s3 import S3Store
from include.training.fit_record import load_fit
from tests.chain_run import NOW, declare, month, parcels, run_chain

PAGE = ROOT / "docs" / "serving.md"
CLIENTS = 4
ROWS = 200


@dataclass
class Figures:
    """What happened."""

    answered: int = 0
    refused: int = 0
    """503, which says when to ask again."""
    dropped: int = 0
    """Connections of killed workers, without an answer."""
    wrong: int = 0
    mixed: int = 0
    lost: int = 0
    """Rows that were acknowledged in the seconds before a kill, and are not in the request log."""
    unexplained: int = 0
    """Rows acknowledged at any other time, and not in the request log."""
    versions: int = 0
    """How many versions answered."""
    slowest_swap: float = 0.0
    """Seconds from the ledger's event to the first answer of the new champion."""
    while_away: int = 0
    """Answers while the store was away."""
    seen: Counter[str] = field(default_factory=Counter)


class Gate(socketserver.ThreadingTCPServer):
    """Passes connections on to the store, unless it is shut."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.store = ("127.0.0.1", port)
        self.shut = False
        super().__init__(("127.0.0.1", 0), _Passing)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that end."""


class _Passing(socketserver.BaseRequestHandler):
    server: Gate

    def handle(self) -> None:
        if self.server.shut:
            return
        with socket.create_connection(self.server.store) as store:
            back = threading.Thread(target=self._pass, args=(store, self.request), daemon=True)
            back.start()
            self._pass(self.request, store)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (part := source.recv(65536)) and not self.server.shut:
                target.sendall(part)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class World:
    """A model of which two versions were trained, and more that are the same fits as of later instants."""

    def __init__(self, root: Path, swaps: int) -> None:
        self.folder = root / "models" / "parcels"
        rows = parcels()
        declare(self.folder, rows)
        path = self.folder / "model.yaml"
        path.write_text(path.read_text() + "serving: {request_log: {}}\n")
        self.model: ModelConfig = load_model(path)
        self.local = LocalStore(root / "store")
        for number in (4, 7):
            run_chain(self.local, self.model, self.folder, month(number))
        first, second = (version for _, version in Ledger(self.local, "parcels").timeline().champions())
        self.rows = rows[rows["sent_at"] >= month(8)].drop(columns="late").head(ROWS).reset_index(drop=True)
        self.fits = [
            load_fit(self.local, "parcels", load_version(self.local, "parcels", v).fit) for v in (first, second)
        ]
        records = [load_version(self.local, "parcels", v).records for v in (first, second)]
        expected = [self._predicted(version) for version in (first, second)]
        self.expected = {first: expected[0], second: expected[1]}
        self.later = []
        for number in range(swaps):
            as_of = month(9) + timedelta(days=number)
            version = save_version(self.local, self.model, as_of, self.fits[number % 2], {}, records[number % 2])
            self.later.append((version, as_of))
            self.expected[version.id] = expected[number % 2]

    def _predicted(self, version: str) -> list[float]:
        with open_predictor(self.local, self.model, self.folder, version) as predictor:
            schema = pa.schema([(name, ARROW[kind]) for name, kind in predictor.schema.items()])
            table = pa.Table.from_pandas(self.rows, schema=schema, preserve_index=False)
            predicted: list[float] = predictor.predict(predictor.inputs(table)).prediction.tolist()
            return predicted


def promote(store: S3Store, version: Any) -> None:
    """Put a version in force by the two events that a run writes."""
    actor = {"trigger": "manual", "dag": "resilience", "run": "r"}
    ledger = Ledger(store, "parcels")
    ledger.register(version, actor=actor, at=NOW)
    decision = Decision(version.id, Outcome.PROMOTE, "", None, "", "", "", {}, actor)
    ledger._log.append(lambda _: ("decided", decision.to_json()), at=to_iso(NOW))


class Clients:
    """Ask without pause, and judge every answer."""

    def __init__(self, address: str, world: World, figures: Figures) -> None:
        self.address, self.world, self.figures = address, world, figures
        frame = world.rows.assign(sent_at=world.rows["sent_at"].map(lambda at: at.isoformat()))
        self.rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        self.acknowledged: dict[str, tuple[int, float]] = {}
        self.kills: list[float] = []
        self.first_seen: dict[str, float] = {}
        self.away = False
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, once every request under way is over."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        random_ = random.Random(number)  # noqa: S311
        asked = 0
        client = httpx.Client(timeout=30)
        while not self._stop.is_set():
            asked += 1
            place = random_.randrange(ROWS - 5)
            count = random_.choice((1, 1, 1, 5))
            name = f"{number}-{asked}"
            try:
                answer = client.post(
                    f"http://{self.address}/models/parcels/predict",
                    json={"rows": self.rows[place : place + count]},
                    headers={"x-request-id": name},
                )
            except httpx.TransportError:
                client.close()
                client = httpx.Client(timeout=30)
                with self._lock:
                    self.figures.dropped += 1
                continue
            with self._lock:
                self._judge(answer, name, place, count)
        client.close()

    def _judge(self, answer: httpx.Response, name: str, place: int, count: int) -> None:
        figures = self.figures
        if answer.status_code == 503:
            figures.refused += 1
            return
        if answer.status_code != 200:
            figures.wrong += 1
            self.problems.append(answer.text)
            return
        said = answer.json()
        version = said["version"]
        figures.answered += 1
        figures.while_away += self.away
        figures.seen[version] += 1
        self.acknowledged[name] = (count, time.monotonic())
        self.first_seen.setdefault(version, time.monotonic())
        found = [one["prediction"] for one in said["predictions"]]
        if answer.headers["x-ratchet-version"] != version:
            figures.mixed += 1
        if version not in self.world.expected or not _close(found, self.world.expected[version][place : place + count]):
            others = [
                name for name, values in self.world.expected.items() if _close(found, values[place : place + count])
            ]
            if others:
                figures.mixed += 1
            else:
                figures.wrong += 1


def _close(found: list[float], expected: list[float]) -> bool:
    return len(found) == len(expected) and all(abs(a - b) < 1e-9 for a, b in zip(found, expected, strict=True))


def trial(swaps: int, kills: int, away: float) -> Figures:
    """Run it all once."""
    from moto.server import ThreadedMotoServer

    figures = Figures()
    os.environ.update(
        dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"), AWS_DEFAULT_REGION="us-east-1"
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    root = Path(tempfile.mkdtemp(prefix="ratchet-resilience-"))
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        world = World(root, swaps)
        _, port = moto.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket="store")
        store = S3Store(client, "store", "")
        for key in world.local.list(""):
            store.put_if_absent(key, world.local.get(key))
        store.put_if_absent("_store/conditional-put.json", b"{}")
        gate = Gate(port)
        with _server(root, gate) as (address, process):
            clients = Clients(address, world, figures)
            _disturb(world, store, gate, process, clients, swaps, kills, away)
            clients.stop()
        figures.versions = len(figures.seen)
        kept = set(logged(store)["request_id"])
        for count, at in (facts for name, facts in clients.acknowledged.items() if name not in kept):
            if any(-3 < at - kill < 0.5 for kill in clients.kills):
                figures.lost += count
            else:
                figures.unexplained += count
        if clients.problems:
            sys.stderr.write(f"{clients.problems[:3]}\n")
        return figures
    finally:
        moto.stop()
        shutil.rmtree(root, ignore_errors=True)


def _disturb(
    world: World,
    store: S3Store,
    gate: Gate,
    process: subprocess.Popen[bytes],
    clients: Clients,
    swaps: int,
    kills: int,
    away: float,
) -> None:
    when_to_kill = {round((n + 0.5) * swaps / kills) for n in range(kills)} if kills else set()
    killed = 0
    for number, (version, _) in enumerate(world.later):
        if number == swaps // 2 and away:
            gate.shut = clients.away = True
            time.sleep(away)
            gate.shut = clients.away = False
            time.sleep(3)
        promoted = time.monotonic()
        promote(store, version)
        if number in when_to_kill or swaps - number <= kills - killed:
            time.sleep(random.random())  # noqa: S311
            victims = psutil.Process(process.pid).children()
            if victims:
                clients.kills.append(time.monotonic())
                random.choice(victims).send_signal(signal.SIGKILL)  # noqa: S311
                killed += 1
        until = time.monotonic() + 30
        while version.id not in clients.first_seen and time.monotonic() < until:
            time.sleep(0.02)
        taken = clients.first_seen.get(version.id, float("inf")) - promoted
        clients.figures.slowest_swap = max(clients.figures.slowest_swap, taken)
        time.sleep(0.3)
    if killed < kills:
        raise SystemExit(f"{killed} of {kills} workers could be killed")


@contextlib.contextmanager
def _server(root: Path, gate: Gate) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "RATCHET_STORE": "s3://store",
        "RATCHET_MODELS": str(root / "models"),
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{gate.server_address[1]}",
        "RATCHET_SERVING_POLL_SECONDS": "0.5",
        "RATCHET_SERVING_FLUSH_SECONDS": "0.5",
        "RATCHET_SERVING_MAX_UNSENT": "200000",
    }
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "include", "serve", "--port", str(port), "--workers", "2"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"127.0.0.1:{port}"
    try:
        until = time.monotonic() + 90
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://{address}/v2/health/ready").status_code == 200:
                    break
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit((root / "server.log").read_text())
            time.sleep(0.1)
        yield address, process
        process.terminate()
        process.wait(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def logged(store: S3Store) -> pd.DataFrame:
    """Return all that the request log holds."""
    bodies = [store.get(key) for key in store.list("parcels/requests/")]
    frames = [pd.read_parquet(io.BytesIO(body), columns=["request_id", "request_row"]) for body in bodies]
    return pd.concat(frames, ignore_index=True)


def table(figures: Figures, swaps: int, kills: int, away: float) -> str:
    """Return the figures as a table for the page."""
    rows = {
        "champion swaps": f"{swaps}, each in force after {figures.slowest_swap:.1f} s at most",
        "workers killed (SIGKILL)": f"{kills} of two",
        "store away": f"{away:.0f} s, in which {figures.while_away:,} requests were answered",
        "requests answered": f"{figures.answered:,}, by {figures.versions} versions",
        "wrong answers": f"{figures.wrong}",
        "answers mixed of versions": f"{figures.mixed}",
        "answered 503, to ask again": f"{figures.refused}",
        "connections of killed workers, without an answer": f"{figures.dropped}",
        "rows that killed workers had not sent to the request log yet": f"{figures.lost:,}",
        "other acknowledged rows that the request log lacks": f"{figures.unexplained}",
    }
    return "\n".join([machine(), "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> None:
    """Run the trial and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--away", type=float, default=60)
    arguments = parser.parse_args()
    figures = trial(arguments.swaps, arguments.kills, arguments.away)
    text = table(figures, arguments.swaps, arguments.kills, arguments.away)
    sys.stdout.write(f"{text}\n")
    if (arguments.swaps, arguments.kills, arguments.away) == (50, 20, 60):
        page = PAGE.read_text()
        start = page.index("<!-- resilience -->\n") + len("<!-- resilience -->\n")
        PAGE.write_text(page[:start] + text + "\n" + page[page.index("<!-- end -->", start) :])


if __name__ == "__main__":
    main()
