"""Concurrent calls of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
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


class _Unwritten:
    """A store that delays writes; a delayed object can be read."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.url = store.url
        self.parallel = store.parallel
        self.bodies: dict[str, bytes | Path] = {}

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Let a write wait."""
        self.bodies.setdefault(key, body)
        return True

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""
        body = self.bodies.get(key)
        if body is None:
            return self.store.get(key)
        return body.read_bytes() if isinstance(body, Path) else body

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object, or will."""
        return key in self.bodies or self.store.exists(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that are in the store by now."""
        return self.store.list(prefix, after=after)


@contextmanager
def written_together(store: ObjectStore) -> Iterator[ObjectStore]:
    """Give a store whose writes are made at the same time when the context ends, and not at all if it ends by an error.

    For objects whose keys follow from their content (`include.storage.content.put_content`): it does not matter which writer
    wins, and the objects are not found before an object that names them is written after the context.

    Parameters
    ----------
    store : ObjectStore
    """
    unwritten = _Unwritten(store)
    yield unwritten
    at_once(store, [partial(store.put_if_absent, key, body) for key, body in unwritten.bodies.items()])
