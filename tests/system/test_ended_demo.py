"""However and whenever a demo ends, no process of it is left; one that is killed in a task is in `test_interrupted_demo`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command, declared_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MOMENTS: dict[str, Callable[[Command], object]] = {
    "migrating": lambda it: it.logs("components/preparation.log"),
    "starting": lambda it: it.logs("components/scheduler.log"),
    "starting, all at work": lambda it: len(it.seen) > 8,
    "in a task": lambda it: it.logs("dag_id=*/*/task_id=ingest/*.log"),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("migrating", signal.SIGTERM),
        ("starting", signal.SIGINT),
        ("starting, all at work", signal.SIGKILL),
        ("in a task", signal.SIGINT),
    ],
)
def test_nothing_is_left_of_a_demo_that_is_ended(start, tmp_path: Path, moment: str, number: signal.Signals):
    command = start("demo", RATCHET_MODELS=str(declared_until(tmp_path, "2013-05-01")))
    command.until(lambda: MOMENTS[moment](command))
    command.look()

    if number == signal.SIGKILL:
        command.kill()
    else:
        command.process.send_signal(number)
        assert command.end(60) == 128 + number
    assert len(command.seen) >= 2
    assert not command.left()
