"""kill -9 at every call of the store, and at any moment: repeated, the store is as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Literal

import pytest
from chain_run import Done, Run, month, objects, run_chain, step_in_child
from faults import FaultyStore, Killed

from include.config.model import ModelConfig
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

TRAINED = ("train_logistic_regression", "train_decision_tree", "train_baselines")
STEPS = ("ingest", "check", *TRAINED, "select", "evaluate", "gate", "decide", "settle")
# What came before the run: nothing, or a newer one whose decision its settle has to make again.
SITUATIONS = {"first": (4, ()), "out_of_order": (8, (9,))}


@dataclass(frozen=True)
class Stage:
    """One task of an undisturbed run: what it found, what it left, and how often it called the store."""

    run: Run
    name: str
    found: Path
    given: Done
    left: dict[str, Any]
    done: Done
    calls: int
    seconds: float


@pytest.fixture(scope="module")
def stage(folder: Path, model: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Stage]:
    """Finds the task of an undisturbed run, by situation and name."""
    runs: dict[str, dict[str, Stage]] = {}

    def find(situation: str, name: str) -> Stage:
        if situation not in runs:
            runs[situation] = {
                stage.name: stage for stage in undisturbed(situation, folder, model, tmp_path_factory.mktemp(situation))
            }
            assert tuple(runs[situation]) == STEPS
        return runs[situation][name]

    return find


def undisturbed(situation: str, folder: Path, model: ModelConfig, tmp: Path) -> Iterator[Stage]:
    number, before = SITUATIONS[situation]
    store = LocalStore(tmp / "store")
    store.root.mkdir()
    for other in before:
        run_chain(store, model, folder, month(other))
    run, done = Run(model, folder, month(number)), Done()
    for name in run.steps:
        given, found, counted = done, copied(store.root, tmp / name), FaultyStore(store)
        began = time.perf_counter()
        done = run.do(name, counted, given)
        yield Stage(run, name, found, given, objects(store), done, counted.calls, time.perf_counter() - began)


def copied(store: Path, to: Path) -> Path:
    # Objects never change, so a copy may share their files.
    return shutil.copytree(store, to, copy_function=os.link)


def later(run: Run, times: int = 1) -> Run:
    """The same run, repeated after a while."""
    return replace(run, at=run.at + times * timedelta(hours=1))


def assert_same(store: ObjectStore, expected: dict[str, Any]) -> None:
    found = objects(store)
    assert set(found) ^ set(expected) == set()
    assert [key for key in found if found[key] != expected[key]] == []


@pytest.mark.parametrize(
    ("situation", "name"),
    # What only rows decide is the same in both situations.
    [(one, name) for one in SITUATIONS for name in STEPS if one == "first" or name not in ("check", *TRAINED)],
)
def test_a_task_killed_at_any_call_of_the_store_and_repeated_leaves_the_same(
    situation: str, name: str, stage: Callable[[str, str], Stage], tmp_path: Path
):
    one = stage(situation, name)
    seen: list[dict[str, Any]] = []
    for number in range(1, one.calls + 1):
        for mode in ("before", "after"):
            root = copied(one.found, tmp_path / f"{number}_{mode}")
            with pytest.raises(Killed):
                one.run.do(name, FaultyStore(LocalStore(root), fail_at=number, mode=mode), one.given)
            if (left := objects(LocalStore(root))) in seen:
                continue  # a dead process leaves nothing but the store: from the same store the same follows
            seen.append(left)
            again = LocalStore(copied(root, tmp_path / f"{number}_{mode}_again"))
            assert later(one.run).do(name, LocalStore(root), one.given) == one.done
            assert_same(LocalStore(root), one.left)
            done: Done = {}
            for cleared in one.done:
                done = later(one.run).do(cleared, again, done)
            assert done == one.done
            assert_same(again, one.left)
    assert len(seen) > 1 or set(objects(LocalStore(one.found))) == set(one.left)


@pytest.mark.parametrize(("situation", "kind"), [("first", "local"), ("out_of_order", "local"), ("out_of_order", "s3")])
def test_a_run_killed_twice_in_every_task_ends_as_an_undisturbed_one(
    situation: str, kind: str, stage: Callable[[str, str], Stage], request: pytest.FixtureRequest
):
    end, draw = stage(situation, STEPS[-1]), random.Random(7)
    store: ObjectStore = request.getfixturevalue(f"{kind}_store")
    fill(store, stage(situation, STEPS[0]).found)
    done: Done = {}
    for name in STEPS:
        calls = stage(situation, name).calls
        for attempt in (1, 2):
            modes: tuple[Literal["before", "after"], ...] = ("before", "after")
            faulty = FaultyStore(store, fail_at=draw.randint(1, calls), mode=draw.choice(modes))
            try:  # the second attempt may have so little left to do that it ends before its fault
                later(end.run, attempt).do(name, faulty, done)
            except Killed:
                pass
            else:
                assert attempt == 2
        done = later(end.run, 3).do(name, store, done)
    assert done == end.done
    assert_same(store, end.left)
    Ledger(store, end.run.model.name).verify()


def fill(store: ObjectStore, source: Path) -> None:
    objects = LocalStore(source)
    for key in objects.list(""):
        store.put_if_absent(key, objects.get(key))


@pytest.mark.parametrize("name", ["ingest", "check", "train_decision_tree", "evaluate", "settle"])
def test_a_process_killed_at_any_moment_and_repeated_leaves_the_same(
    name: str, stage: Callable[[str, str], Stage], children: ForkServerContext, tmp_path: Path
):
    one, draw = stage("out_of_order", name), random.Random(name)
    for attempt in range(4):
        root = copied(one.found, tmp_path / str(attempt))
        ours, theirs = children.Pipe()
        child = children.Process(target=step_in_child, args=(root, one.run, name, one.given, theirs))
        child.start()
        assert ours.poll(60)
        assert ours.recv() == child.pid
        ours.send("go")
        time.sleep(draw.uniform(0, 1.2) * one.seconds)
        child.kill()
        child.join()
        assert child.exitcode == -9
        assert later(one.run).do(name, LocalStore(root), one.given) == one.done
        assert_same(LocalStore(root), one.left)


def test_out_of_order_a_newer_promotion_is_taken_back(stage: Callable[[str, str], Stage], model: ModelConfig):
    found = Ledger(LocalStore(stage("out_of_order", "ingest").found), model.name).timeline()
    newer = found.standings[0]
    assert newer.decision.outcome is Outcome.PROMOTE
    assert stage("out_of_order", "settle").done["settle"] not in (None, newer.version)
