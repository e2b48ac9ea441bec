from __future__ import annotations

import io

from include.command_line.local_airflow.backfill import Progress, Task
from include.command_line.local_airflow.progress import ProgressLine

TRAIN = Task("backfill__2013-06-01", "2013-06-01", "train[0]", "train", 0, 1, "up_for_retry")
HALF = Progress({"2013-05-01": "success", "2013-06-01": "running"}, (TRAIN,), ())
ALL = Progress({"2013-05-01": "success", "2013-06-01": "failed"}, (), (TRAIN,))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_each_run_that_ends_is_one_line():
    stream = io.StringIO()
    line = ProgressLine(stream)
    for progress in (HALF, HALF, ALL, ALL):
        line.show(progress)
    first, second = stream.getvalue().splitlines()
    assert "2013-05-01  done    1 of 2" in first
    assert "2013-06-01  FAILED  2 of 2" in second


def test_a_terminal_shows_what_is_at_work_and_forgets_it():
    stream = Terminal()
    line = ProgressLine(stream)
    line.show(HALF)
    assert "1 of 2 done, 1 running" in stream.getvalue()
    assert "2013-06-01 train[0] (up for retry)" in stream.getvalue()
    line.say("end")
    assert stream.getvalue().endswith("\r\x1b[Kend\n")
