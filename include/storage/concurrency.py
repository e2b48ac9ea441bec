"""Calls of a store that do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from include.storage.store import ObjectStore

T = TypeVar("T")


def at_once(store: ObjectStore, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls from threads, at most ``store.parallel`` at a time, and return their answers in order.

    Where a store is no quicker for it, they are made one after the other.

    Raises
    ------
    Exception
        What the first call that failed has raised, first in the order of ``calls``.
    """
    workers = min(store.parallel, len(calls))
    if workers <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(workers) as pool:
        started = [pool.submit(call) for call in calls]
        try:
            return [one.result() for one in started]
        except BaseException:
            for one in started:
                one.cancel()
            raise
