"""A store that counts: its calls, and how often somebody waits for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from include.storage.store import ObjectStore

T = TypeVar("T")
PAGE = 1000
"""Keys that S3 lists in one call."""


class CountingStore:
    """Pass calls on to ``store``, each ``delay`` seconds late, and count them.

    Attributes
    ----------
    calls : list of str
        ``get <key>``, ``put <key>``, ``exists <key>`` and ``list <prefix>``, in the order in which they began; of a listing, one for each
        thousand keys that are read.
    trips : int
        How many calls began while no other was under way: with a delay longer than what happens between two calls of
        one batch, the sequential round trips.
    """

    def __init__(self, store: ObjectStore, *, delay: float = 0.0, parallel: int = 10) -> None:
        self.store = store
        self.url = store.url
        self.parallel = parallel
        self.delay = delay
        self.calls: list[str] = []
        self.trips = 0
        self._pools: list[str] = []
        self._under_way = 0
        self._lock = threading.Lock()

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        return self._count(f"put {key}", lambda: self.store.put_if_absent(key, body))

    def get(self, key: str) -> bytes:
        return self._count(f"get {key}", lambda: self.store.get(key))

    def exists(self, key: str) -> bool:
        return self._count(f"exists {key}", lambda: self.store.exists(key))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        keys = self.store.list(prefix, after=after)

        def answer() -> list[str]:
            return self._count(f"list {prefix}", lambda: [*itertools.islice(keys, PAGE)])

        def read_on(page: list[str]) -> Iterator[str]:
            yield from page
            while len(page) == PAGE:
                yield from (page := answer())

        return read_on(answer())

    def in_folder(self, folder: str) -> list[str]:
        """Return the calls whose key or prefix lies in a folder of this name; of a log, also those of its checkpoints."""
        places = (f"/{folder}/", f"/{folder}-checkpoints/")
        return [call for call in self.calls if call.endswith(f"/{folder}") or any(place in call for place in places)]

    def waits(self, *folders: str) -> int:
        """Return how often somebody waits for calls of `in_folder`, counted without a clock: those that one pool of threads makes are one."""
        wanted = {call for folder in folders for call in self.in_folder(folder)}
        pools = [pool for call, pool in zip(self.calls, self._pools, strict=True) if call in wanted]
        return pools.count("") + len(set(pools) - {""})

    def reset(self) -> None:
        """Count from zero."""
        self.calls, self._pools, self.trips = [], [], 0

    def _count(self, call: str, answer: Callable[[], T]) -> T:
        pool, _, _ = threading.current_thread().name.rpartition("_")  # "" of no pool's thread
        with self._lock:
            self.calls.append(call)
            self._pools.append(pool)
            self.trips += not self._under_way
            self._under_way += 1
        try:
            time.sleep(self.delay)
            return answer()
        finally:
            with self._lock:
                self._under_way -= 1
