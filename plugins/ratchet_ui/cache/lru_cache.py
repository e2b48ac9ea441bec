"""A cache of the values that were asked for last, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from cachetools import LRUCache

Found = TypeVar("Found")


class ThreadSafeCache:
    """The values that were asked for last, by their key."""

    def __init__(self, most: int) -> None:
        self._values: LRUCache[Hashable, Any] = LRUCache(most)
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """Return the value of a key, made if it is not there; two threads may make it twice, and one is kept."""
        with self._lock:
            if key in self._values:
                return self._values[key]  # type: ignore[no-any-return]
        made = make()
        with self._lock:
            return self._values.setdefault(key, made)  # type: ignore[no-any-return]
