"""Kill the tasks of every DAG family at random instants, and let the store fail under them: repeated, they leave what undisturbed ones leave.

    python -m benchmarks.faults                                   # everything; writes docs/reliability.md
    python -m benchmarks.faults --kills 20 --faults 200 --races 2 # less
    python -m benchmarks.faults --record done.jsonl               # goes on where it was ended

A round takes a family from its first task to its last, on a folder or on S3 (moto's server). Each task is killed (SIGKILL) or suffers a
fault of the store several times in a row, and is then repeated to its end. At the end of a round the store is held against that of
undisturbed tasks: the same keys, the same bytes, the same events, but for nonces and the instants on record. The rounds follow
from the seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from benchmarks.page import machine, put
from include.config.settings import ROOT
from include.errors import StoreUnavailable
from include.storage.local import LocalStore
from include.storage.s3 import S3Store
from include.storage.store import PrunableStore
from tests.chain_run import objects
from tests.dag_tasks import FAMILIES, Call, Family, Site, make
from tests.store_faults import Disk, DisturbedStore, Gateway
from tests.worlds import MemoryStore

PAGE = ROOT / "docs" / "reliability.md"
KILLS, FAULTS, RACES, PROMOTERS = 1_000, 10_000, 200, 50
STORES = ("local", "s3")
SHARE = {"local": 0.6, "s3": 0.4}
"""Of all faults and kills; a call of S3 costs more."""
TIMES = {"kill": 3, "fault": 8}
"""How often in a row a task is disturbed, before it is left alone."""
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass
class Quiet:
    """What undisturbed tasks of a family handed over and left."""

    handed: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    left: dict[str, Any] = field(default_factory=dict)
    delivered: dict[str, Any] = field(default_factory=dict)


class Bucket:
    """Buckets of moto's server in this process, which are filled and read without its front door."""

    def __init__(self) -> None:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends
        from moto.server import ThreadedMotoServer

        from tests.compose.s3_server import let_one_write_at_a_time

        let_one_write_at_a_time()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.address = f"http://{host}:{port}"
        server: Any = self._server._server
        self.gateway = server.app = Gateway(server.app)
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._client = client_of(self.address)

    def new(self) -> S3Store:
        """Return a store in a new bucket."""
        name = f"faults-{uuid.uuid4().hex}"
        self._client.create_bucket(Bucket=name)
        return S3Store(self._client, name)

    def fill(self, store: S3Store, source: LocalStore) -> None:
        """Bring in what another store holds."""
        for key in source.list(""):
            self._backend.put_object(store.bucket, key, source.get(key))

    def left(self, store: S3Store) -> MemoryStore:
        """Return what a bucket holds, and remove it."""
        memory, bucket = MemoryStore(), self._backend.buckets[store.bucket]
        for key in list(bucket.keys):
            memory.objects[key] = bucket.keys[key].value
        self._backend.buckets.pop(store.bucket)
        return memory

    def stop(self) -> None:
        """End the server."""
        self._server.stop()


def client_of(address: str) -> Any:
    """Return a client that asks once: what botocore would do again is done again at the server."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 1}
    return boto3.client("s3", endpoint_url=address, config=Config(retries=retries))


class Trial:
    """Rounds over all families on both stores."""

    def __init__(
        self, root: Path, seed: int, families: Sequence[str] = tuple(FAMILIES), site: Path | None = None
    ) -> None:
        self.root, self.seed = root, seed
        self.families = [FAMILIES[name] for name in families]
        self.site = make(site or root / "site", [family.begins for family in self.families])
        self.outside = root / "delivered"
        self.bucket = Bucket()
        self.quiet = {family.name: self._undisturbed(family) for family in self.families}
        self.children = _forkserver()

    def _undisturbed(self, family: Family) -> Quiet:
        quiet, store = Quiet(), self._local(family)
        for task in family.tasks:
            counted = DisturbedStore(store, Disk())
            began = time.perf_counter()
            quiet.handed[task] = family.do(task, self._call(family, counted, quiet.handed, 0))
            quiet.seconds[task], quiet.calls[task] = time.perf_counter() - began, counted.calls
        quiet.left, quiet.delivered = objects(store), self._delivered()
        return quiet

    def round(self, kind: str, where: str, number: int, family: Family) -> dict[str, Any]:
        """Do a family's tasks, disturbed, and return what happened.

        Parameters
        ----------
        kind : str
            ``kill`` or ``fault``.
        where : str
            The kind of store.
        number : int
            Which round it is; with the seed it says what happens.
        family : Family
        """
        draw = random.Random(f"{self.seed}/{kind}/{where}/{number}/{family.name}")  # noqa: S311 - no secret
        random.seed(draw.random())
        quiet, done = self.quiet[family.name], dict[str, Any]()
        found: dict[str, Any] = {"happened": Counter(), "wrong": [], "retried": 0, "temporary": 0}
        store = self._local(family) if where == "local" else self._s3(family)
        for task in family.tasks:
            disturb = self._kill if kind == "kill" else self._fail
            finished = disturb(family, task, store, done, draw, found)
            try:
                done[task] = family.do(task, self._call(family, store, done, finished + 1))
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                found["wrong"].append(f"{task} can't be ended: {type(error).__name__}: {error}")
                break
            if done[task] != quiet.handed[task]:
                found["wrong"].append(f"{task} handed over {done[task]}, not {quiet.handed[task]}")
        if isinstance(store, LocalStore):
            found["temporary"] = len(list(store.root.glob("~writing/*")))
        left = objects(store) if isinstance(store, LocalStore) else objects(self.bucket.left(store))
        for there, wanted in ((left, quiet.left), (self._delivered(), quiet.delivered)):
            found["wrong"] += [
                f"{key} is {_differs(there, wanted, key)}"
                for key in sorted({*there, *wanted})
                if there.get(key) != wanted.get(key)
            ]
        return found

    def _fail(
        self, family: Family, task: str, store: Any, done: dict[str, Any], draw: random.Random, found: dict[str, Any]
    ) -> int:
        calls = self.quiet[family.name].calls[task]
        for attempt in range(TIMES["fault"]):
            below = Disk() if isinstance(store, LocalStore) else self.bucket.gateway
            disturbed = DisturbedStore(store, below, fail_at=draw.randint(1, max(calls, 1)), draw=draw)
            try:
                family.do(task, self._call(family, disturbed, done, attempt))
                calls = disturbed.calls
            except StoreUnavailable:
                found["retried"] += 1
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                found["wrong"].append(f"{task}, {disturbed.fault}: {type(error).__name__}: {error}")
            if disturbed.fault:
                found["happened"][disturbed.fault] += 1
        return TIMES["fault"]

    def _kill(
        self, family: Family, task: str, store: Any, done: dict[str, Any], draw: random.Random, found: dict[str, Any]
    ) -> int:
        place = store.root if isinstance(store, LocalStore) else (self.bucket.address, store.bucket)
        for attempt in range(TIMES["kill"]):
            ours, theirs = self.children.Pipe()
            given = (self.site.root, place, family.name, task, done, attempt, self.outside, theirs)
            child = self.children.Process(target=_in_child, args=given)
            child.start()
            if not ours.poll(120) or ours.recv() != "ready":
                raise SystemExit(f"{family.name}.{task}: the process that was to be killed did not begin")
            ours.send("go")
            ended = ours.poll(draw.uniform(0, self.quiet[family.name].seconds[task]))
            child.kill()
            child.join()
            if not ended:
                found["happened"]["kill"] += 1
            elif (said := ours.recv()) != "ended":
                found["wrong"].append(f"{task}, in a process: {said}")
        return TIMES["kill"]

    def _call(self, family: Family, store: Any, done: dict[str, Any], attempt: int) -> Call:
        return call_of(self.site, family, store, done, attempt, self.outside)

    def _local(self, family: Family) -> LocalStore:
        shutil.rmtree(self.outside, ignore_errors=True)
        root = self.root / "round"
        shutil.rmtree(root, ignore_errors=True)
        if family.begins:  # objects never change, so a copy may share their files
            shutil.copytree(self.site.store(family.begins).root, root, copy_function=os.link)
        return LocalStore(root)

    def _s3(self, family: Family) -> S3Store:
        shutil.rmtree(self.outside, ignore_errors=True)
        store = self.bucket.new()
        if family.begins:
            self.bucket.fill(store, self.site.store(family.begins))
        return store

    def _delivered(self) -> dict[str, Any]:
        return objects(LocalStore(self.outside)) if self.outside.exists() else {}


def call_of(
    site: Site, family: Family, store: PrunableStore, done: dict[str, Any], attempt: int, outside: Path
) -> Call:
    """Return what a task is given at one of its attempts."""
    at = family.at + (attempt * timedelta(minutes=1) if family.later else timedelta())
    return Call(site, store, done, at, outside)


def _differs(there: dict[str, Any], wanted: dict[str, Any], key: str) -> str:
    if key not in there or key not in wanted:
        return "missing" if key not in there else "left over"
    return f"not the same: {there[key]!r:.300} and {wanted[key]!r:.300}"


def _forkserver() -> ForkServerContext:
    """Return where processes come from: forked from one that has imported everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["benchmarks.faults", "boto3", "include.data.quality.library", "skops.io", "sklearn.tree"]
    )
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return context


def _in_child(
    site: Path, place: Any, family: str, task: str, done: dict[str, Any], attempt: int, outside: Path, ready: Connection
) -> None:
    """Do one task in a process of its own, which waits for its start."""
    _be_quiet()
    store: Any = LocalStore(place) if isinstance(place, Path) else S3Store(client_of(place[0]), place[1])
    call = call_of(Site(site), FAMILIES[family], store, done, attempt, outside)
    _ = call.site.models
    ready.send("ready")
    ready.recv()
    try:
        FAMILIES[family].do(task, call)
        ready.send("ended")
    except Exception as error:  # noqa: BLE001 - the parent says it
        ready.send(f"{type(error).__name__}: {error}")
    time.sleep(60)


def _be_quiet() -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.environ.update(_CREDENTIALS)


# ---- races


def race(store: Any, promoters: int, rounds: int, children: ForkServerContext) -> list[str]:
    """Let promoters decide on the same version at once, again and again, and return what is wrong.

    Parameters
    ----------
    store : LocalStore or (str, str)
        Or the address and the bucket of one in S3.
    promoters, rounds : int
    children : ForkServerContext
    """
    from include.registry.ledger import Ledger
    from tests import worlds

    opened = _opened(store)
    world = worlds.World(opened)
    versions = [world.version(1 + number % 12, 0.6 + number / 1000, name=str(number)) for number in range(rounds)]
    ledger = Ledger(opened, world.model.name)
    for version in versions:
        ledger.register(version, actor={"trigger": "manual"}, at=worlds.NOW)
    barrier, answers = children.Barrier(promoters), children.Queue()
    processes = [
        children.Process(target=_promote, args=(store, versions, world.quality, number, barrier, answers))
        for number in range(promoters)
    ]
    for process in processes:
        process.start()
    outcomes = [answers.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    wrong = []
    ledger.verify()
    decided = [entry for entry in ledger.entries() if entry.kind == "decided"]
    for number, version in enumerate(versions):
        winners = [entry for entry in decided if entry.body["version"] == version.id]
        if len(winners) != 1:
            wrong.append(f"{len(winners)} decisions on {version.id}")
        if len({said[number] for said in outcomes}) != 1:
            wrong.append(f"promoters were told different things of {version.id}")
    if rounds > 9 and len({entry.body["actor"]["run"] for entry in decided}) < 2:
        wrong.append("one promoter won all races: they never met")
    return wrong


def _opened(store: Any) -> Any:
    return LocalStore(store) if isinstance(store, Path) else S3Store(client_of(store[0]), store[1])


def _promote(
    store: Any, versions: list[Any], quality: dict[str, float], number: int, barrier: Any, answers: Any
) -> None:
    from include.registry.ledger import Ledger
    from tests import worlds

    _be_quiet()
    opened = _opened(store)
    world = worlds.World(opened)
    world.quality = quality
    ledger, told = Ledger(opened, world.model.name), []
    for version in versions:
        barrier.wait()
        actor = {"trigger": "manual", "run": f"promoter {number}"}
        decision = ledger.decide(world.model, version.id, measure=world.measure, actor=actor, at=worlds.NOW)
        told.append((decision.outcome.value, decision.incumbent))
    answers.put(told)


# ---- all of it


def rounds_until(
    trial: Trial, kind: str, where: str, wanted: int, record: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rounds until so many disturbances happened; those on record are read, the others done and put on record."""
    known = {}
    if record is not None and record.exists():
        lines = [json.loads(line) for line in record.read_text().splitlines()]
        known = {tuple(line["round"]): line["found"] for line in lines}
    happened = number = 0
    while happened < wanted:
        for family in trial.families:
            name = (trial.seed, kind, where, number, family.name)
            if (found := known.get(name)) is None:
                found = trial.round(kind, where, number, family)
                if record is not None:
                    with record.open("a") as file:
                        file.write(json.dumps({"round": name, "found": found}) + "\n")
            happened += sum(found["happened"].values())
            yield family.name, found
            if happened >= wanted:
                break
        number += 1


def main() -> int:
    """Run it and write the page; the status is 1 if a store was not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--faults", type=int, default=FAULTS)
    parser.add_argument("--races", type=int, default=RACES, help="rounds of promoters who decide at once")
    parser.add_argument("--promoters", type=int, default=PROMOTERS)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="a file of the rounds that are done; the others go on from there")
    parser.add_argument("--site", type=Path, help="a folder that keeps the trained models for the next time")
    asked = parser.parse_args()
    _be_quiet()
    began = time.monotonic()
    rows: dict[str, dict[str, Counter[str]]] = {name: {where: Counter() for where in STORES} for name in asked.families}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ratchet-faults-") as folder:
        trial = Trial(Path(folder), asked.seed, asked.families, asked.site)
        for kind, wanted in (("kill", asked.kills), ("fault", asked.faults)):
            for where in STORES:
                for family, found in rounds_until(trial, kind, where, round(wanted * SHARE[where]), asked.record):
                    row = rows[family][where]
                    row.update(found["happened"])
                    row.update(
                        rounds=1, retried=found["retried"], temporary=found["temporary"], wrong=len(found["wrong"])
                    )
                    wrong += [f"{kind} {where} {family}: {one}" for one in found["wrong"]]
                    for one in found["wrong"]:
                        sys.stderr.write(f"{kind} {where} {family}: {one}\n")
        for where in STORES if asked.races else ():
            place = Path(folder) / "race" if where == "local" else (trial.bucket.address, trial.bucket.new().bucket)
            lost = race(place, asked.promoters, asked.races // 2, trial.children)
            wrong += [f"race {where}: {one}" for one in lost]
            sys.stderr.write("".join(f"race {where}: {one}\n" for one in lost))
        trial.bucket.stop()
    text = table(rows, asked.races, asked.promoters, len(wrong), time.monotonic() - began)
    sys.stdout.write(text + "\n")
    whole = (asked.kills, asked.faults, asked.races, asked.families) == (KILLS, FAULTS, RACES, list(FAMILIES))
    if whole and not wrong:
        put("faults", text, PAGE)
    return 1 if wrong else 0


def table(rows: dict[str, dict[str, Counter[str]]], races: int, promoters: int, wrong: int, seconds: float) -> str:
    """Return the figures as a table for the page."""
    kinds = ("kill", "before", "after", "lost", "slow", "truncated")
    lines = [
        "| DAG | tasks | rounds | killed | before | after | lost answer | slow | truncated | tried again | temporary files left | stores that differ |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    total: Counter[str] = Counter()
    for name, by_store in [*rows.items()]:
        row = sum(by_store.values(), Counter[str]())
        total += row
        figures = [row[kind] for kind in ("rounds", *kinds, "retried", "temporary", "wrong")]
        lines.append(f"| {name} | {len(FAMILIES[name].tasks)} | " + " | ".join(f"{one:,}" for one in figures) + " |")
    figures = [total[kind] for kind in ("rounds", *kinds, "retried", "temporary", "wrong")]
    tasks = sum(len(FAMILIES[name].tasks) for name in rows)
    lines.append(f"| **all** | {tasks} | " + " | ".join(f"{one:,}" for one in figures) + " |")
    faults = sum(total[kind] for kind in kinds[1:])
    on = {where: sum((row[where] for row in rows.values()), Counter[str]()) for where in STORES}
    disturbed = ", ".join(
        f"{sum(row[kind] for kind in kinds[1:]):,} faults and {row['kill']:,} kills on {name}"
        for name, row in (("a folder", on["local"]), ("S3", on["s3"]))
    )
    said = [
        machine(),
        "",
        f"{total['kill']:,} kills and {faults:,} faults of the store: {disturbed}. {races} rounds of {promoters} promoters who decide on one version "
        f"at once, half of them on S3. Wrong in all: {wrong}. {seconds / 60:.0f} minutes.",
        "",
    ]
    return "\n".join([*said, *lines])


if __name__ == "__main__":
    sys.exit(main())
