"""Single rows and many rows over HTTP: Ratchet's server beside a bare FastAPI script, `mlflow models serve` and BentoML.

    python -m benchmarks.serving                 # writes docs/performance.md; a few minutes
    python -m benchmarks.serving --seconds 1     # a look

All of them answer for the same fitted pipeline of ``flight_delay`` (gradient boosting) and derive its columns from raw rows by the same
``features.derive``; the peers do it as their documentation shows, on a pandas frame, with one worker each. Peers that are libraries get an environment of
their own, under a temporary folder. The load comes from a client on the same machine, which keeps connections open and has a core of its own. Servers are measured by turns, and those whose turn it is not are
held. A server that only answers, always the same bytes, shows how much of the times is the machine's and the client's, and so does a process of the
highest priority that only sleeps: how late it wakes is how long the machine stood still.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import math
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
import pyarrow as pa
from threadpoolctl import threadpool_limits

from benchmarks.page import machine, put
from include.config.load import load_model
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.scoring.golden import holdout_rows
from include.scoring.predictor import open_predictor
from include.serving.protocol.bodies import STREAM, write_table
from include.storage.local import LocalStore
from tests.chain_run import run_chain

MODEL = "flight_delay"
CONNECTIONS = (1, 4, 16)
PINNED = ("scikit-learn", "pandas", "numpy")
ALSO = ("pyarrow", "skops", "threadpoolctl", "rfc8785", "pydantic", "pyyaml", "python-dateutil", "imbalanced-learn")
"""What else the pipeline's own steps import; in whichever release goes with the peer."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

COMMON = '''
"""What every peer does with raw rows."""
import sys
sys.path.insert(0, {root!r})
import joblib
import pandas as pd
from include.models.flight_delay.features import derive

pipeline, columns = joblib.load({pipeline!r})


def predict(rows):
    frame = pd.DataFrame(rows)
    frame["scheduled_departure"] = pd.to_datetime(frame["scheduled_departure"], utc=True)
    return pipeline.predict_proba(derive(frame)[columns])[:, 1].tolist()
'''
FASTAPI = """
from fastapi import FastAPI
from common import predict

app = FastAPI()


@app.post("/predict")
def answer(body: dict):
    return {"predictions": predict(body["rows"])}
"""
MLFLOW = """
import sys
sys.path.insert(0, {folder!r})
import mlflow


class Model(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import sys
        sys.path.insert(0, {folder!r})
        from common import predict
        self.rows = predict

    def predict(self, context, model_input):
        return self.rows(model_input)


mlflow.pyfunc.save_model({target!r}, python_model=Model())
"""
BENTOML = """
import sys
sys.path.insert(0, {folder!r})
import bentoml
from common import predict


@bentoml.service(workers=1)
class Flights:
    @bentoml.api
    def answer(self, rows: list[dict]) -> list[float]:
        return predict(rows)
"""


SLEEPER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
os.sched_setaffinity(0, {int(sys.argv[1])})
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
except PermissionError:
    pass
lost, worst, began, parent = 0.0, 0.0, time.perf_counter(), os.getppid()
try:
    while os.getppid() == parent:
        before = time.perf_counter()
        time.sleep(0.001)
        late = time.perf_counter() - before - 0.001
        if late > 0.001:
            lost, worst = lost + late, max(worst, late)
finally:
    print(time.perf_counter() - began, lost, worst)
"""
OWN_TIME = """
import asyncio, gc, json, sys, time
from pathlib import Path
import numpy as np
from include.config.settings import Settings
from include.serving import worker
from include.serving.access import Access
from include.serving.app import Server
from include.serving.live_versions import LiveModels, open_models
from include.serving.platforms import platform_of
from include.serving.settings import ServingSettings
from include.storage.opening import open_store

model, body = sys.argv[1], sys.argv[2].encode()
settings, serving = Settings.from_environment(), ServingSettings()
store = open_store(settings.store)
live = LiveModels(open_models(store, settings.models, [model]), poll_seconds=serving.poll_seconds)
server = Server(live, worker._logger([model], settings, serving), serving, platform_of({}))
app = server.app(Access(serving))
headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
scope = {"type": "http", "method": "POST", "path": f"/models/{model}/predict", "query_string": b"", "scheme": "http", "headers": headers}


async def receive():
    return {"type": "http.request", "body": body, "more_body": False}


async def send(message):
    assert message.get("status", 200) == 200, message


async def main():
    async with server._lifespan(None):
        await asyncio.sleep(20)  # until the compiled form is verified
        gc.collect()
        gc.freeze()  # as a worker does
        taken = []
        for _ in range(12_000):
            began = time.thread_time()
            await app(dict(scope), receive, send)
            taken.append(time.thread_time() - began)
        print(*np.quantile(taken[2_000:], (0.5, 0.99), method="higher"))


asyncio.run(main())
"""

NOTHING = "a server that only answers"
NULL = """
import asyncio
import sys
import uvloop

port, size = int(sys.argv[1]), int(sys.argv[2])
body = b'{"predictions": [0.1]}'
answer = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n%s" % (len(body), body)


class Answers(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.received = transport, 0

    def data_received(self, data):
        self.received += len(data)
        if self.received >= size:
            self.received = 0
            self.transport.write(answer)


async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", port)
    await server.serve_forever()


uvloop.run(main())
"""
_CORES = sorted(os.sched_getaffinity(0))
CLIENTS_CORES = set(_CORES[-1:])
SERVERS_CORES = set(_CORES[:-1]) or CLIENTS_CORES
"""The client has a core of its own, so that it takes no time from a server, whoever that is."""


@contextlib.contextmanager
def _on(cores: set[int]) -> Iterator[None]:
    """Have what is started inside run on some cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Server:
    """One server: how to start it, how to ask it."""

    name: str
    command: list[str]
    port: int
    path: str
    body: bytes
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    process: subprocess.Popen[bytes] | None = None
    first_answer: float = 0.0
    peaks: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def start(self, log: Path) -> None:
        """Start it, and take the time to its first answer."""
        began = time.monotonic()
        with log.open("wb") as out, _on(SERVERS_CORES):
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                cwd=self.folder,
                env={**os.environ, **ONE_THREAD, **self.environment},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        while True:
            with contextlib.suppress(OSError):
                closed(self, 1, 0)
                break
            if self.process.poll() is not None or time.monotonic() > began + 120:
                raise SystemExit(f"{self.name}: {log.read_text()[-2000:]}")
            time.sleep(0.02)
        self.first_answer = time.monotonic() - began

    def hold(self, number: int) -> None:
        """Stop it, or let it go on; its workers as well, which some servers start in sessions of their own."""
        if self.process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                started = psutil.Process(self.process.pid)
                for one in [started, *started.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.send_signal(number)

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


class _Connection:
    """A connection that is kept open, on which one request at a time is under way."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server = server
        self.due = 0.0
        self.refused = False
        """Whether the last answer was any other than 200."""
        self._answer = b""

    def send(self, due: float) -> None:
        """Ask; the answer's time counts from when it was due."""
        self.due = due
        self.socket.sendall(self.server.request)

    def closed(self) -> bool:
        """Tell whether the server has closed an idle connection, and close it here, too."""
        if gone := not self.socket.recv(1, socket.MSG_PEEK):
            self.socket.close()
        return gone

    def receive(self) -> bool:
        """Read what came; return whether the answer is whole."""
        if not (more := self.socket.recv(65536)):
            raise ConnectionError(self.server.name)
        self._answer += more
        head, end, body = self._answer.partition(b"\r\n\r\n")
        fields = head.lower()
        if not end:
            return False
        if b"transfer-encoding: chunked" in fields:
            if not body.endswith(b"0\r\n\r\n"):
                return False
        elif len(body) < int(fields.split(b"content-length:")[1].split(b"\r\n")[0]):
            return False
        self.refused, self._answer = head[9:12] != b"200", b""
        return True


def closed(server: Server, connections: int, seconds: float) -> list[float]:
    """Ask on some connections, each as soon as it is answered; return the seconds that each answer took."""
    taken: list[float] = []
    with select.epoll() as ready:
        own = {one.socket.fileno(): one for one in (_Connection(server) for _ in range(connections))}
        until = time.perf_counter() + seconds
        for number, one in own.items():
            ready.register(number, select.EPOLLIN)
            one.send(time.perf_counter())
        under_way = len(own)
        while under_way:
            for number, _ in ready.poll():
                one = own[number]
                if one.receive():
                    if one.refused:
                        raise ConnectionError(f"{server.name} does not answer 200")
                    now = time.perf_counter()
                    taken.append(now - one.due)
                    if now < until:
                        one.send(now)
                    else:
                        under_way -= 1
        for one in own.values():
            one.socket.close()
    return taken


def steady(server: Server, rate: float, seconds: float) -> list[float]:
    """Ask at a rate, whether earlier requests are answered or not; return seconds from when each was due, infinite for one that was refused.

    A timer wakes its process late by a good part of what an answer takes: the last 0.2 ms are spent looking at the clock.
    """
    taken: list[float] = []
    own: dict[int, _Connection] = {}
    free: list[_Connection] = []
    total, sent = int(rate * seconds), 0
    with select.epoll() as ready:
        start = time.perf_counter() + 0.05
        while len(taken) < total:
            due, now = start + sent / rate, time.perf_counter()
            if sent < total and due <= now:
                if not free:
                    free.append(one := _Connection(server))
                    own[one.socket.fileno()] = one
                    ready.register(one.socket.fileno(), select.EPOLLIN)
                free.pop().send(due)
                sent += 1
                pause = 0.0
            else:
                pause = max(0.0, due - now - 0.0002) if sent < total else 0.1
            if pause:  # `epoll` rounds up to milliseconds
                select.select([ready], [], [], pause)
            for number, _ in ready.poll(0):
                one = own[number]
                if (
                    one in free and one.closed()
                ):  # which a server does with one that it has not heard of for some seconds
                    ready.unregister(number)
                    free.remove(own.pop(number))
                elif one.receive():
                    taken.append(math.inf if one.refused else time.perf_counter() - one.due)
                    free.append(one)
        for one in own.values():
            one.socket.close()
    return taken


class Standstill:
    """How long the machine stood still: on each core a process of the highest priority that is to be had sleeps and wakes."""

    def __init__(self) -> None:
        self._sleepers = [
            subprocess.Popen([sys.executable, "-c", SLEEPER, str(core)], stdout=subprocess.PIPE, text=True)  # noqa: S603
            for core in _CORES
        ]

    def stop(self) -> tuple[float, float]:
        """Return the share of the time in which a core came more than a millisecond late, and the longest that one did, in seconds."""
        found = []
        for one in self._sleepers:
            one.terminate()
            found.append([float(number) for number in one.communicate(timeout=10)[0].split()])
        return sum(lost for _, lost, _ in found) / sum(whole for whole, _, _ in found), max(
            worst for *_, worst in found
        )


def own_time(store: LocalStore, body: bytes) -> tuple[float, float]:
    """Return the median and the 99th percentile of the processor seconds that one request takes in the server, from its bytes to the answer's."""
    environment = {**os.environ, **ONE_THREAD, "RATCHET_STORE": store.url}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", OWN_TIME, MODEL, body.decode()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    half, most = map(float, done.stdout.split())
    return half, most


def measure(servers: list[Server], seconds: float, rounds: int) -> None:
    """Measure each server some times, by turns."""
    for _ in range(rounds):
        for server in servers:
            for other in servers:
                other.hold(signal.SIGCONT if other is server else signal.SIGSTOP)
            closed(server, 1, seconds / 2)  # warm
            rates = {n: len(closed(server, n, seconds)) / seconds for n in CONNECTIONS}
            server.peaks.append(max(rates.values()))
            server.idle.append(_quantile(steady(server, 20, max(seconds, 2)), 0.5))
            # What answers at once is asked as often as Ratchet: its times are this machine's and the client's own.
            peak = servers[0].peaks[-1] if server.name == NOTHING else server.peaks[-1]
            taken = steady(server, peak / 2, seconds * 2)
            server.p50.append(_quantile(taken, 0.5))
            server.p99.append(_quantile(taken, 0.99))


def _quantile(seconds: list[float], share: float) -> float:
    return float(np.quantile(seconds, share, method="higher")) * 1000


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def peers(root: Path, row: dict[str, Any], version: str, store: LocalStore) -> list[Server]:
    """Write the peers' files, make the environments that they need, and return how to start each."""
    folder = ROOT / "include" / "models" / MODEL
    with open_predictor(store, load_model(folder / "model.yaml"), folder, version) as predictor:
        joblib.dump((predictor.pipeline, list(predictor.fit.columns)), root / "pipeline.joblib")
    common = COMMON.format(root=str(ROOT), pipeline=str(root / "pipeline.joblib"))
    (root / "common.py").write_text(common)
    (root / "bare.py").write_text(FASTAPI)
    rows = json.dumps({"rows": [row]}).encode()
    own, bare = _port(), _port()
    serve = [sys.executable, "-m", "include", "serve", MODEL, "--port", str(own)]
    uvicorn = [
        sys.executable,
        "-m",
        "uvicorn",
        "bare:app",
        "--port",
        str(bare),
        "--log-level",
        "error",
        "--no-access-log",
    ]
    found = [
        Server("Ratchet", serve, own, f"/models/{MODEL}/predict", rows, {"RATCHET_STORE": store.url}),
        Server("bare FastAPI", uvicorn, bare, "/predict", rows, folder=root),
    ]
    if python := _environment(root, "mlflow"):
        (root / "save.py").write_text(MLFLOW.format(folder=str(root), target=str(root / "mlflow-model")))
        saved = subprocess.run([python, "save.py"], cwd=root, capture_output=True, text=True)  # noqa: S603
        if saved.returncode:
            raise SystemExit(saved.stderr[-2000:])
        port = _port()
        command = [
            python,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            "mlflow-model",
            "-p",
            str(port),
            "--env-manager",
            "local",
            "-w",
            "1",
        ]
        body = json.dumps({"dataframe_records": [row]}).encode()
        path = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
        found.append(Server("mlflow models serve", command, port, "/invocations", body, path, root))
    if python := _environment(root, "bentoml"):
        (root / "service.py").write_text(BENTOML.format(folder=str(root)))
        port = _port()
        command = [python, "-m", "bentoml", "serve", "service:Flights", "-p", str(port), "--host", "127.0.0.1"]
        own_settings = {"BENTOML_DO_NOT_TRACK": "true", "PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
        found.append(Server("BentoML", command, port, "/answer", rows, own_settings, root))
    (root / "null.py").write_text(NULL)
    nothing = Server(NOTHING, [], _port(), "/", rows, folder=root)
    nothing.command = [sys.executable, "null.py", str(nothing.port), str(len(nothing.request))]
    return [*found, nothing]


def _environment(root: Path, package: str) -> str | None:
    """Return the Python of an environment with a package and what the pipeline needs, or None if it is not to be had."""
    from importlib.metadata import version

    beside, folder = Path(sys.executable).with_name("uv"), root / f"venv-{package}"
    uv = beside if beside.exists() else "uv"
    pins = [f"{name}=={version(name)}" for name in PINNED]
    make = [[str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)]]
    make.append(
        [str(uv), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), package, *pins, *ALSO]
    )
    for command in make:
        if subprocess.run(command, capture_output=True).returncode:  # noqa: S603
            sys.stderr.write(f"{package} can't be installed beside the pinned libraries, and is left out.\n")
            return None
    return str(folder / "bin" / "python")


def many_rows(server: Server, predictor: Any, rows: pa.Table, times: int) -> tuple[float, float]:
    """Return seconds for a body of many rows over HTTP, and for `derive` and the pipeline on the same rows as a frame."""
    import httpx

    body = write_table(rows, STREAM)
    over, alone = [], []
    with httpx.Client(timeout=60) as client:
        for _ in range(times):
            began = time.perf_counter()
            answer = client.post(
                f"http://127.0.0.1:{server.port}{server.path}", content=body, headers={"content-type": STREAM}
            )
            over.append(time.perf_counter() - began)
            answer.raise_for_status()
            raw = rows.to_pandas(strings_to_categorical=True)
            began = time.perf_counter()
            with threadpool_limits(1):  # as the server computes
                predictor.pipeline.predict_proba(predictor.derive(raw)[list(predictor.fit.columns)])
            alone.append(time.perf_counter() - began)
    return statistics.median(over), statistics.median(alone)


def memory_of_models(store: LocalStore, version: str) -> float:
    """Return how much memory a further model takes, as a multiple of its file: forty of them, in a process of their own, after ten."""
    script = f"""
import ctypes, gc, psutil
from pathlib import Path
from include.serving.live_versions import open_models
from include.storage.local import LocalStore
store, kept = LocalStore(Path({str(store.root)!r})), []
def more():
    model = open_models(store, Path('include/models'), [{MODEL!r}])[0]
    model.look(0.0)
    model.compile()
    kept.append(model)
def used():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_full_info().uss
for _ in range(10):
    more()
before = used()
for _ in range(40):
    more()
print((used() - before) / 40 / kept[0].champion.predictor.fit.model_bytes)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", type=Path, help="A store in which flight_delay was retrained; made if left out.")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ratchet-serving-benchmark-"))
    servers: list[Server] = []
    try:
        folder = ROOT / "include" / "models" / MODEL
        store = LocalStore(arguments.store or root / "store")
        if arguments.store is None:
            for number in (5, 7, 8):
                run_chain(store, load_model(folder / "model.yaml"), folder, datetime(2013, number, 1, tzinfo=UTC))
        version = Ledger(store, MODEL).timeline().champion
        assert version is not None  # noqa: S101
        with open_predictor(store, load_model(folder / "model.yaml"), folder, version) as predictor:
            rows = holdout_rows(store, predictor, 10_000)
            row = {
                k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in rows.slice(0, 1).to_pylist()[0].items()
            }
            servers = peers(root, row, version, store)
            for server in servers:
                server.start(root / f"{server.name.replace(' ', '-')}.log")
            time.sleep(20)  # until Ratchet has verified its compiled form
            gc.collect()
            gc.freeze()  # a collection over all that the preparation left would stall the client, and count as the server's time
            machines = Standstill()
            with _on(CLIENTS_CORES):
                measure(servers, arguments.seconds, arguments.rounds)
            still = machines.stop()
            for server in servers:
                server.hold(signal.SIGCONT)
            over, alone = many_rows(servers[0], predictor, rows, 9)
            own = own_time(store, servers[0].body)
        text = _page(servers, over, alone, memory_of_models(store, version), own, still)
        sys.stdout.write(f"{text}\n")
        if arguments.seconds >= 3:
            put("serving", text)
    finally:
        for server in servers:
            server.hold(signal.SIGCONT)
            server.hold(signal.SIGKILL)
        shutil.rmtree(root, ignore_errors=True)


def _page(
    servers: list[Server],
    over: float,
    alone: float,
    memory: float,
    own: tuple[float, float],
    still: tuple[float, float],
) -> str:
    bare = statistics.median(servers[1].peaks)
    lines = [
        machine(),
        "",
        "| one row a request | peak, requests/s | of bare FastAPI | idle p50, ms | p50 at half of its peak, ms | p99 there, ms | start to first answer, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for server in servers:
        peak, idle, p50, p99 = (statistics.median(x) for x in (server.peaks, server.idle, server.p50, server.p99))
        lines.append(
            f"| {server.name} | {peak:,.0f} | {peak / bare:.1f} | {idle:.2f} | {p50:.2f} | {p99:.2f} | {server.first_answer:.1f} |"
        )
    lines += [
        "",
        f"A body of 10,000 rows (Arrow): {over * 1000:.0f} ms; `derive` and `predict_proba` on the same rows as a frame: {alone * 1000:.0f} ms; ratio {over / alone:.2f}. "
        f"A further model takes {memory:.1f} times its file in memory.",
        "",
        f"Of its processor one row takes Ratchet {own[0] * 1000:.2f} ms, and {own[1] * 1000:.2f} at the 99th percentile, between the bytes of the request and those of the answer. "
        f"While requests were timed, a process of the highest priority that only sleeps was woken more than a millisecond late in {still[0]:.1%} of the time, by up to {still[1] * 1000:.0f} ms.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
