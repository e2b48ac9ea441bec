"""What is timed apart, and what the table of steps says of it."""

from __future__ import annotations

import time
from types import SimpleNamespace

from benchmarks import rows


def test_what_is_timed_apart_is_the_function_that_the_step_calls() -> None:
    for _, module, name in rows.APART.values():
        assert callable(getattr(module, name))


def test_a_timed_function_answers_as_before_and_is_put_back() -> None:
    def busy(seconds: float) -> str:
        until = time.process_time() + seconds
        while time.process_time() < until:
            pass
        return "done"

    module = SimpleNamespace(busy=busy)
    with rows.timed(module, "busy") as seconds:
        assert [module.busy(0.02), module.busy(0.01)] == ["done", "done"]
    assert module.busy is busy
    assert [one >= least for one, least in zip(seconds, (0.02, 0.01), strict=True)] == [True, True]


def test_a_part_of_a_step_has_seconds_and_no_ratio_and_counts_in_the_sum() -> None:
    ours = {"ingest": (12.0, 1.0), "ingest: digests": (3.0, None), "gate, promote": (1.0, 0.5)}
    lines = rows.table({3_000_000: (ours, {"ingest": (10.0, 2.0)})}).splitlines()[-4:]
    assert lines == [
        "| 3.0 million | ingest | 12.0 | 10.0 | 1.20 | 1.00 | 2.00 |",
        "| 3.0 million | ingest: digests | 3.0 | | |  | |",
        "| 3.0 million | gate, promote | 1.0 | | | 0.50 | |",
        "| 3.0 million | **all** | 16.0 | 10.0 | 1.60 | | |",
    ]
