"""A lock that allows one local Airflow for each checkout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.errors import RatchetError


@contextmanager
def only_one(folder: Path, *, what: str) -> Iterator[None]:
    """Hold the folder for this process; the operating system lets go of it when the process ends in any way.

    Parameters
    ----------
    folder : Path
        What not to share.
    what : str
        What this process is, for the message that the next one gets.

    Raises
    ------
    RatchetError
        When another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RatchetError(
                "This checkout's Airflow is already running.",
                expected="one `make demo` or `make up` at a time",
                found=file.read().strip() or "another process",
                where=path,
                remedy="wait for it, or end it with Ctrl-C in its terminal",
            ) from None
        file.truncate(0)
        file.write(f"{what}, process {os.getpid()}\n")
        file.flush()
        yield
