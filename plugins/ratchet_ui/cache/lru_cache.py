"""A cache of the values that were asked for last, for several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from cachetools import LRUCache

Found = TypeVar("Found")


class ThreadSafeCache:
    """The values that were asked for last, by their key.

    Parameters
    ----------
    most : int
        How many are kept.
    clock : callable
        Returns seconds, by which values age.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: LRUCache[Hashable, tuple[float, Any]] = LRUCache(most)
        self._lock = threading.Lock()
        self._clock = clock

    def get(self, key: Hashable, make: Callable[[], Found], *, seconds: float | None = None) -> Found:
        """Return the value of a key, made if it is not there or too old; two threads may make it twice, and one is kept.

        Parameters
        ----------
        seconds : float, optional
            How old the value may be, counted from when its making began; of any age if left out, for what never changes.
        """
        began = self._clock()
        with self._lock:
            kept = self._values.get(key)
        if kept is not None and (seconds is None or began - kept[0] < seconds):
            return kept[1]  # type: ignore[no-any-return]
        made = make()
        with self._lock:
            kept = self._values.get(key)
            # What another thread began to make later is newer.
            if kept is None or (seconds is not None and kept[0] <= began):
                kept = self._values[key] = (began, made)
            return kept[1]
