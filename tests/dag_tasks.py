"""The tasks of every DAG family that writes to a store, as functions over a small model: each can be killed, disturbed and repeated."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include.audit.audit import audit
from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.score import FilesDelivery
from include.data.ingestion.ingest import ingest, ingest_window
from include.data.ingestion.retract import readings, retract
from include.data.quality.check import check
from include.data.request_files import request_key
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.monitoring.monitor import monitor
from include.registry.decisions import Measure
from include.registry.evaluator import evaluator
from include.registry.history.card_files import save_card
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_held
from include.registry.rollback import roll_back
from include.reproduction.page import save
from include.reproduction.rebuild import find_own_rebuild, rebuild
from include.reproduction.reproduce import reproduce
from include.retention.erase import erase
from include.retention.people import People
from include.retention.tidy import tidy
from include.scoring.deliver import deliver
from include.scoring.score import score
from include.stages import send
from include.storage.content import digest
from include.storage.copying import copy_store
from include.storage.local import LocalStore
from include.storage.remembering import RememberingStore
from include.storage.store import ObjectStore, PrunableStore
from include.storage.tombstones import MarkedStore
from include.training import recipe
from tests.chain_run import NOW, Done, Run, declare, month, parcels, run_chain

LIVE = {"trigger": "manual", "dag": "of the family", "run": "one", "user": "ada"}
PERSON = "planted-person-4711"
OCTOBER = Window(month(10), month(11))
APRIL_4 = Window(month(4) + timedelta(days=3), month(4) + timedelta(days=4))
LATER = NOW + timedelta(days=3000)
"""Ages are those of bytes, which stores write at the real time."""


@dataclass(frozen=True)
class Site:
    """A folder with the models, and with the stores that families begin with."""

    root: Path

    def folder(self, name: str) -> Path:
        return self.root / name / "parcels"

    @cached_property
    def models(self) -> dict[str, ModelConfig]:
        """The declarations by the names of their folders."""
        found = self.root.glob("*/parcels/model.yaml")
        return {path.parent.parent.name: load_model(path) for path in found}

    def store(self, name: str) -> LocalStore:
        """A store that was made with the site, which nobody changes."""
        return LocalStore(self.root / "stores" / name)


@dataclass(frozen=True)
class Call:
    """What a task is given: a store, what the tasks before it handed over, and an instant that goes on record."""

    site: Site
    store: PrunableStore
    done: Done
    at: datetime
    outside: Path
    """A folder that is no store, to deliver to."""

    name = "monthly"

    @property
    def folder(self) -> Path:
        return self.site.folder(self.name)

    @property
    def model(self) -> ModelConfig:
        return self.site.models[self.name]

    @cached_property
    def opened(self) -> ObjectStore:
        """The store as operators open it for a task."""
        return RememberingStore(MarkedStore(self.store, "parcels", keep=lambda: self.at))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.opened, "parcels")

    def of(self, name: str) -> Call:
        """The same call for another of the site's models."""
        other = replace(self)
        object.__setattr__(other, "name", name)
        return other

    def bring(self, window: Window) -> Snapshot:
        return ingest_window(self.opened, self.model, self.folder, window, at=self.at, connections=None)  # type: ignore[arg-type] # a Python source needs none

    def checked(self, window: Window) -> Snapshot:
        report = check(self.opened, self.model, self.folder, self.bring(window))
        return Snapshot.load(self.opened, "parcels", report.snapshot)

    def measure(self, as_of: datetime) -> Measure:
        return evaluator(self.opened, self.folder, threads=1, as_of=as_of, ingest=self.checked, clock=_even_clock())

    def score(self, window: Window) -> Any:
        snapshot = Snapshot.load(self.opened, "parcels", self.done["ingest"])
        published = score(self.opened, self.model, self.folder, snapshot, at=self.at)
        assert published is not None
        return [published.version, published.rows, published.scores]


Task = Callable[[Call], Any]


@dataclass(frozen=True)
class Family:
    """A DAG family: its tasks in their order, and the store that they begin with."""

    name: str
    tasks: dict[str, Task]
    begins: str | None = None
    at: datetime = NOW
    later: bool = True
    """Whether a repeated task puts a later instant on record; not where that instant is part of what is written."""

    def do(self, task: str, call: Call) -> Any:
        """Do one task, and return what is handed over, as XCom would."""
        return json.loads(json.dumps(self.tasks[task](call)))


def _even_clock() -> Callable[[], float]:
    ticks = iter(range(10**9))
    return lambda: float(next(ticks))


# ---- retrain, in order and out of it


def _retrain(number: int) -> dict[str, Task]:
    def task(name: str) -> Task:
        def do(call: Call) -> Any:
            run = Run(call.model, call.folder, month(number), call.at)
            return run.steps[name](run, call.opened, call.done)

        return do

    names = (
        "ingest",
        "check",
        "train_decision_tree",
        "train_baselines",
        "select",
        "evaluate",
        "gate",
        "decide",
        "settle",
    )
    return {name: task(name) for name in names}


# ---- score, monitor


def _deliver(call: Call) -> Any:
    place = FilesDelivery(kind="files", path=call.outside.as_uri())
    done = deliver(call.opened, call.model, place, OCTOBER, at=call.at, connections=None)  # type: ignore[arg-type]
    return [done.manifest.version, done.manifest.scores]


def _monitor(call: Call) -> Any:
    found = monitor(call.opened, call.model, call.folder, APRIL_4, at=call.at, labels=call.bring)
    assert found is not None
    return [found.version, len(found.alarms)]


# ---- reconsider, roll back, retract


def _reconsider(call: Call) -> Any:
    ledger, instant = call.ledger, month(12)
    version = find_held(ledger.timeline(), None)
    comparison = ledger.measure(call.model, version, call.measure(instant), since=instant)
    save_card(call.opened, call.model, comparison, comparison.judge(call.model.gate))
    return version


def _decide_again(call: Call) -> Any:
    decision = call.ledger.reconsider(
        call.model, call.done["reconsider"], as_of=month(12), measure=call.measure(month(12)), actor=LIVE, at=call.at
    )
    return decision.outcome.value


def _settle(call: Call) -> Any:
    ledger = call.ledger
    ledger.settle(measure=call.measure(month(12)), actor=LIVE, at=call.at)
    return ledger.timeline(fresh=False).champion


def _withdraw(call: Call) -> Any:
    done = roll_back(call.ledger, None, "wrong units", asked=NOW, actor=LIVE, at=call.at)
    return [done.version, done.champion]


def _retract(call: Call, *, restore: bool = False) -> Any:
    found = readings(call.opened, call.model, call.folder, "2024-08")
    done = retract(
        call.opened, call.model, call.folder, "2024-08", found[0].found.content, "a broken sensor",
        actor=LIVE, at=call.at, restore=restore,
    )  # fmt: skip
    return [done.now.slot, done.now.rows]


def _ingest(call: Call) -> Any:
    return ingest(call.opened, call.model, call.folder, as_of=month(9), at=call.at, connections=None).digest  # type: ignore[arg-type]


# ---- audit, tidy, erase


def _audit(run: str, calls: int) -> Task:
    def do(call: Call) -> Any:
        found = audit(call.opened, call.model, call.folder, run=run, calls=calls, at=call.at)
        return [found.first, found.last, found.total, found.wrong]

    return do


def _tidy(at: datetime) -> Task:
    def do(call: Call) -> Any:
        tidy(call.store, call.model, at=at, remove=True)

    return do


def _erase(call: Call) -> Any:
    people = People(("customer",), frozenset({(PERSON,)}))
    erase(call.store, call.site.models["forgotten"], people, at=call.at, remove=True)


# ---- other stores: a stage, a backup


def _send(call: Call) -> Any:
    source = Ledger(call.site.store("monthly"), "parcels")
    done = send(source, call.ledger, call.model, call.folder, None, actor=LIVE, at=call.at)
    return done.version


def _decide_there(call: Call) -> Any:
    there, instant = call.of("stage"), month(11)
    return there.ledger.reconsider(
        there.model, call.done["send"], as_of=instant, measure=there.measure(instant), actor=LIVE, at=call.at
    ).outcome.value


def _copy(call: Call) -> Any:
    return list(copy_store(call.site.store("monthly"), call.store).damaged)


# ---- reproduce


def _reproduce(call: Call) -> Any:
    champion = call.ledger.timeline().champion
    assert champion is not None
    report = reproduce(call.opened, call.model, call.folder, champion, at=NOW, connections=None)  # type: ignore[arg-type]
    return [champion, save(call.opened, report)[0]]


def _rebuild(call: Call) -> Any:
    ledger, actor = call.ledger, {**LIVE, "task": "rebuild"}
    own = find_own_rebuild(ledger.entries(), actor)
    if own is None:
        rebuild(ledger, call.model, call.folder, call.done["reproduce"][0], actor=actor, at=call.at)
        own = find_own_rebuild(ledger.entries(), actor)
    assert own is not None
    return [own.body["version"], own.body["proof"]]


FAMILIES = {
    one.name: one
    for one in (
        Family("retrain", _retrain(4)),
        Family("backfill", _retrain(8), "newer"),
        Family(
            "score",
            {
                "ingest": lambda call: call.bring(OCTOBER).digest,
                "score": lambda call: call.score(OCTOBER),
                "deliver": _deliver,
            },
            "monthly",
        ),
        Family(
            "monitor",
            {
                "ingest": lambda call: call.of("daily").bring(APRIL_4).digest,
                "score": lambda call: call.of("daily").score(APRIL_4),
                "monitor": lambda call: _monitor(call.of("daily")),
            },
            "daily",
        ),
        Family("reconsider", {"reconsider": _reconsider, "decide": _decide_again, "settle": _settle}, "held"),
        Family("rollback", {"withdraw": _withdraw}, "monthly"),
        Family(
            "retract",
            {
                "retract": _retract,
                "ingest": _ingest,
                "restore": lambda call: _retract(call, restore=True),
                "ingest_again": _ingest,
            },
            "monthly",
        ),
        Family("audit", {"part": _audit("one", 40), "rest": _audit("two", 10**6)}, "monthly"),
        Family("tidy", {"mark": _tidy(LATER), "remove": _tidy(LATER + timedelta(days=15))}, "full", later=False),
        Family("erase", {"erase": _erase}, "full", at=NOW + timedelta(days=1), later=False),
        Family("promote_to_stage", {"send": _send, "decide": _decide_there}),
        Family("reproduce", {"reproduce": _reproduce, "rebuild": _rebuild}, "older"),
        Family("copy", {"copy": _copy}),
    )
}


def make(root: Path, begins: Iterable[str | None]) -> Site:
    """Write the models and train what families begin with, unless that was made here before.

    Parameters
    ----------
    begins : iterable of str
        The names of stores, as in `Family.begins`; the one of name ``monthly`` is always made.
    """
    site = Site(root)
    if not (root / "monthly").exists():
        _declare(site)
    for name in dict.fromkeys(["monthly", *(name for name in begins if name)]):
        if not site.store(name).root.exists():
            _MADE[name](site, site.store(name))
    return site


def _declare(site: Site) -> None:
    rows, others = parcels(), parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000)
    rows["customer"] = [PERSON if place % 7 == 0 else f"customer {place % 90}" for place in range(len(rows))]
    for name in ("monthly", "stage", "forgotten"):
        declare(site.folder(name), others if name == "stage" else rows)
        _edit(site.folder(name))
    # Whoever erases takes the person out of the source first.
    rows[rows["customer"] != PERSON].to_parquet(site.folder("forgotten") / "rows.parquet", index=False)
    daily = rows[rows["sent_at"] < pd.Timestamp(month(4) + timedelta(days=6))].reset_index(drop=True)
    declare(site.folder("daily"), daily, partition="day")
    _edit(site.folder("daily"), end='2025-01-01, score: "@daily", monitor: "@daily"}')


def _monthly(site: Site, store: LocalStore) -> None:
    for number in (4, 9):
        run_chain(store, site.models["monthly"], site.folder("monthly"), month(number), actor=LIVE)


def _newer(site: Site, store: LocalStore) -> None:
    run_chain(store, site.models["monthly"], site.folder("monthly"), month(9))


def _held(site: Site, store: LocalStore) -> None:
    _continue(site.store("monthly"), store)
    gate = site.models["monthly"].gate
    sure = gate.model_copy(update={"primary": gate.primary.model_copy(update={"confidence": 0.9999})})
    run_chain(store, site.models["monthly"].model_copy(update={"gate": sure}), site.folder("monthly"), month(10))


def _older(site: Site, store: LocalStore) -> None:
    """With libraries of which scikit-learn had another version, so that it can be rebuilt."""
    installed = recipe.version
    with patch.object(recipe, "version", lambda name: "1.0.0" if name == "scikit-learn" else installed(name)):
        run_chain(store, site.models["monthly"], site.folder("monthly"), month(9), actor=LIVE)


def _daily(site: Site, store: LocalStore) -> None:
    run_chain(store, site.models["daily"], site.folder("daily"), month(4), actor=LIVE)
    call = Call(site, store, {}, NOW, site.root).of("daily")
    for day in range(3):
        window = Window(month(4) + timedelta(days=day), month(4) + timedelta(days=day + 1))
        score(store, call.model, call.folder, call.bring(window), at=NOW)


def _full(site: Site, store: LocalStore) -> None:
    """With scores, a withdrawn version, a run that ended after its check, and the request log."""
    _continue(site.store("monthly"), store)
    model, folder = site.models["monthly"], site.folder("monthly")
    run = Run(model, folder, month(10))
    run.do("check", store, run.do("ingest", store, {}))
    score(store, model, folder, Call(site, store, {}, NOW, site.root).bring(OCTOBER), at=NOW)
    champion = Ledger(store, "parcels").timeline().champion
    assert champion is not None
    Ledger(store, "parcels").withdraw(champion, "wrong units", actor=LIVE, at=NOW)
    rows, sink = pd.read_parquet(folder / "rows.parquet").tail(10), io.BytesIO()
    pq.write_table(pa.Table.from_pandas(rows[["parcel", "weight"]], preserve_index=False), sink)
    store.put_if_absent(request_key("parcels", month(10), digest(sink.getvalue())), sink.getvalue())


_MADE: dict[str, Callable[[Site, LocalStore], None]] = {
    "monthly": _monthly, "newer": _newer, "held": _held, "older": _older, "daily": _daily, "full": _full,
}  # fmt: skip


def _continue(source: LocalStore, target: LocalStore) -> None:
    for key in source.list(""):
        target.put_if_absent(key, source.get(key))


def _edit(folder: Path, *, end: str | None = None) -> None:
    path = folder / "model.yaml"
    text = path.read_text().replace("    - {estimator: logistic_regression}\n", "")
    text += "retention: {versions: 24mo, scores: 13mo, quarantine: 90d}\n"
    path.write_text(text.replace("end: 2025-01-01}", f"end: {end}") if end else text)
