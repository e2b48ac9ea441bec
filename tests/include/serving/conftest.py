"""A model with two champions, and a server of it in this process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from chain_run import NOW, declare, month, run_chain
from once import Once
from place import Place
from starlette.testclient import TestClient

from include.config.settings import ROOT
from include.data.columns.conversion import ARROW
from include.scoring.predictor import open_predictor
from include.serving.access import Access
from include.serving.app import Server
from include.serving.live_versions import LiveModels, open_models
from include.serving.platforms import Platform
from include.serving.request_log import RequestLogger
from include.serving.settings import ServingSettings
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

ACTOR = {"trigger": "manual", "dag": "rollback_parcels", "run": "r"}
ONLINE = """
def derive(row):
    return {"evening": row["sent_at"] is not None and row["sent_at"].hour >= 18}
"""


class World(Place):
    """A store in which months were retrained, and the folder of the model."""

    def withdraw(self, version: str) -> None:
        self.ledger.withdraw(version, "wrong units", actor=ACTOR, at=NOW)

    def add(self, text: str) -> None:
        """Add to the declaration."""
        path = self.folder / "model.yaml"
        path.write_text(path.read_text() + text)

    def rows(self, count: int = 50) -> pd.DataFrame:
        """Return rows of August, as a caller has them: without a target."""
        frame = pd.read_parquet(self.folder / "rows.parquet")
        return frame[frame["sent_at"] >= month(8)].drop(columns=["late"]).head(count).reset_index(drop=True)

    def expected(self, version: str, rows: pd.DataFrame) -> list[float]:
        """Return what a notebook gets for rows."""
        with open_predictor(self.store, self.model, self.folder, version) as predictor:
            schema = pa.schema([(name, ARROW[kind]) for name, kind in predictor.schema.items()])
            table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
            return predictor.predict(predictor.inputs(table)).prediction.tolist()


@dataclass
class Served:
    """A server whose ledgers are looked at when a test says so."""

    world: World
    live: LiveModels
    logger: RequestLogger
    client: TestClient

    def look(self) -> None:
        self.live.look()

    def post(self, rows: Any, **more: Any) -> Any:
        return self.client.post("/models/parcels/predict", json={"rows": rows}, **more)


def as_json(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as a caller sends them."""
    frame = rows.assign(sent_at=rows["sent_at"].map(lambda at: at.isoformat()))
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


@pytest.fixture(scope="session")
def trained_once(once: Once) -> Path:
    def fill(root: Path) -> None:
        model = declare(root / "parcels")
        (root / "parcels" / "online.py").write_text(ONLINE)
        for number in (4, 7):
            run_chain(LocalStore(root / "store"), model, root / "parcels", month(number))

    return once("served", fill)


@pytest.fixture
def world(trained_once: Path, tmp_path: Path) -> World:
    shutil.copytree(trained_once, tmp_path / "w")
    found = World(tmp_path / "w")
    assert len(found.champions) == 2
    return found


@pytest.fixture
def start(world: World) -> Callable[..., Served]:
    def make(
        *,
        store: ObjectStore | None = None,
        platform: Platform | None = None,
        look: bool = True,
        names: Sequence[str] = ("parcels",),
        **settings: Any,
    ) -> Served:
        serving = ServingSettings(**settings)
        used = store or world.store
        live = LiveModels(open_models(used, world.root, names), poll_seconds=0.05)
        declared = world.model.serving.request_log
        logger = RequestLogger(used, {"parcels": declared} if declared else {}, serving)
        app = Server(live, logger, serving, platform or Platform("none")).app(Access(serving))
        if look:
            live.look()
        return Served(world, live, logger, TestClient(app, base_url="http://localhost"))

    return make


class Process:
    """A server in processes of its own, as a person starts it."""

    def __init__(self, world: World, *arguments: str, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = world.root / f"server-{self.port}.log"
        self.environment = {
            **os.environ,
            "RATCHET_STORE": (world.root / "store").as_uri(),
            "RATCHET_MODELS": str(world.root),
            "RATCHET_SERVING_POLL_SECONDS": "0.2",
            **environment,
        }
        command = [sys.executable, "-m", "include", "serve", "--port", str(self.port), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_ready(self, client: httpx.Client | None = None, scheme: str = "http", **more: Any) -> None:
        deadline = time.monotonic() + 60
        with client or httpx.Client() as used:
            while time.monotonic() < deadline:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    if used.get(f"{scheme}://{self.address}/v2/health/ready", **more).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def end(self) -> int:
        """Ask it to end, and return its status; whatever is left is killed."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=40)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture
def process(world: World) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def make(*arguments: str, **environment: str) -> Process:
        started.append(Process(world, *arguments, **environment))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.end()
