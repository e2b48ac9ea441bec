"""Progress output: one line that changes on a terminal, and otherwise a line for each run that ends."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from include.command_line.local_airflow.backfill import Progress


class ProgressLine:
    """Shows the progress of a backfill.

    Parameters
    ----------
    stream : TextIO
        Where to; a terminal gets one changing line.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._begun = time.monotonic()
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._erase()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def wait(self, text: str) -> None:
        """Print a line that the next one replaces; elsewhere than on a terminal, a line that stays."""
        if not self._live:
            return self.say(text)
        self._erase()
        self._stream.write(text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()
        return None

    def show(self, progress: Progress) -> None:
        """Print the progress of the backfill."""
        done = progress.ended
        for date in done:
            if date not in self._said:
                self._said.add(date)
                outcome = "FAILED" if progress.runs[date] == "failed" else "done"
                self.say(f"  {date}  {outcome:6}  {len(self._said)} of {len(progress.runs)}  {self._elapsed()}")
        if self._live:
            running = sum(state == "running" for state in progress.runs.values())
            failed = f", {len(progress.unsuccessful)} failed" if progress.unsuccessful else ""
            tasks = ", ".join(f"{task.as_of} {task.name}{_remark(task.state)}" for task in progress.at_work)
            self.wait(
                f"  {len(done)} of {len(progress.runs)} done, {running} running{failed}  {self._elapsed()}  {tasks}"
            )

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._begun:.0f} s"

    def _erase(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")


def _remark(state: str) -> str:
    return "" if state == "running" else f" ({state.replace('_', ' ')})"
