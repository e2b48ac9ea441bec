"""A store with a read cache for small immutable objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from include.errors import StoreError
from include.storage.concurrency import at_once
from include.storage.store import ObjectStore

FOLDERS = frozenset(("checks", "configs", "evidence", "fits", "quarantine", "snapshots", "versions"))
"""The folders of each model whose objects are cached, in addition to its partitions. Logs are not cached: verification reads them again."""
_SMALL = 1 << 20  # bytes of one object
_MOST = 64 << 20  # bytes of all


class RememberingStore:
    """Pass calls on to ``store``, and remember small objects for as long as this object lives: one task.

    What is remembered is what the store gave or took, so a digest that is checked is still that of stored bytes.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.url = store.url
        self.parallel = store.parallel
        self._bodies: dict[str, bytes] = {}
        self._ahead: dict[str, bytes] = {}
        self._bytes = 0

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` under ``key`` unless something is there already; see `ObjectStore.put_if_absent`."""
        won = self.store.put_if_absent(key, body)
        if won and isinstance(body, bytes):
            self._remember(key, body)
        return won

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""
        if (body := self._bodies.get(key)) is None:
            ahead = self._ahead.pop(key, None)
            body = self.store.get(key) if ahead is None else ahead
            self._remember(key, body)
        return body

    def read_ahead(self, keys: Iterable[str]) -> None:
        """Ask for objects at the same time; see `read_ahead`."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._bodies and key not in self._ahead]
        if self.parallel > 1 and len(wanted) > 1:
            found = at_once(self, [partial(self._get_if_there, key) for key in wanted])
            self._ahead |= {key: body for key, body in zip(wanted, found, strict=True) if body is not None}

    def _get_if_there(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except StoreError:
            return None  # missing, damaged or out of reach: it is read again when it is needed, and the error is reported there

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object."""
        return key in self._bodies or self.store.exists(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""
        return self.store.list(prefix, after=after)

    def _remember(self, key: str, body: bytes) -> None:
        parts = key.split("/", 4)
        folder = parts[3] if parts[1] == "segments" and len(parts) > 3 else parts[1]  # a segment's own, or the model's
        if folder not in FOLDERS and not (folder == "partitions" and key.endswith(".parquet")):
            return
        if len(body) <= _SMALL and self._bytes + len(body) <= _MOST:
            self._bodies[key] = body
            self._bytes += len(body)


def read_ahead(store: ObjectStore, keys: Iterable[str]) -> None:
    """Ask at the same time for objects that are read next, one after the other, where a task's store can hold them until then.

    Each object is held until it is read once; so ask for what will be read, and not for what is large.

    Parameters
    ----------
    store : ObjectStore
        Any store; one that does not remember is asked for nothing.
    keys : iterable of str
        Keys of immutable objects. One that is missing is found missing when it is read.
    """
    if isinstance(store, RememberingStore):
        store.read_ahead(keys)
