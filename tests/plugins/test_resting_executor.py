"""A scheduler that has nothing to do looks less often, and one that has tasks at work as often as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.executors.local_executor import LocalExecutor as AirflowLocalExecutor
from airflow.models.taskinstancekey import TaskInstanceKey

from include.command_line.local_airflow.environment import airflow_environment
from ratchet_operators import resting_executor
from ratchet_operators.resting_executor import AWAKE, REST, LocalExecutor

TASK = TaskInstanceKey("retrain_parcels", "ingest", "one")


class Clock:
    """A clock that goes on when somebody sleeps, and when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(resting_executor, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    return clock


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(parallelism=1)
    executor.start()
    yield executor
    executor.end()


def test_an_executor_without_tasks_rests_in_each_loop(executor: LocalExecutor, clock: Clock) -> None:
    for _ in range(3):
        executor.heartbeat()
    assert clock.slept == 3 * REST


def test_an_executor_with_a_task_at_work_does_not_rest(executor: LocalExecutor, clock: Clock) -> None:
    executor.running.add(TASK)
    for _ in range(3):
        executor.heartbeat()
        clock.now += AWAKE
    assert clock.slept == 0


def test_between_two_tasks_it_does_not_rest_and_after_the_last_it_does(executor: LocalExecutor, clock: Clock) -> None:
    executor.running.add(TASK)
    executor.heartbeat()
    executor.running.discard(TASK)
    clock.now += AWAKE
    executor.heartbeat()
    assert clock.slept == 0
    clock.now += 0.25
    executor.heartbeat()
    assert clock.slept == REST


def test_the_local_airflow_runs_on_it(tmp_path: Path) -> None:
    module, _, name = airflow_environment(tmp_path, 1)["AIRFLOW__CORE__EXECUTOR"].rpartition(".")
    assert getattr(import_module(module), name) is LocalExecutor
    assert issubclass(LocalExecutor, AirflowLocalExecutor)
