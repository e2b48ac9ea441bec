"""A scratch store: it reads from another store, and writes to a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from include.storage.local import LocalStore
from include.storage.store import ObjectStore


class ScratchStore:
    """The objects of a store, without those under some prefixes, and those that are written here.

    Parameters
    ----------
    store : ObjectStore
        Is only read.
    folder : Path
        Takes what is written.
    without : sequence of str
        Prefixes under which the store seems empty, so that what is kept there is made again and not found.
    """

    parallel = 1

    def __init__(self, store: ObjectStore, folder: Path, *, without: tuple[str, ...]) -> None:
        self.store = store
        self.written = LocalStore(folder)
        self.without = without
        self.url = store.url

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write into the folder; what the store holds under ``key`` is not looked at."""
        return self.written.put_if_absent(key, body)

    def get(self, key: str) -> bytes:
        """Return what was written here, else what the store holds; raises `ObjectMissing`."""
        return self._holder(key).get(key)

    def exists(self, key: str) -> bool:
        """Tell whether there is an object to `get`."""
        return self._holder(key).exists(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys of what can be read here, ascending."""
        theirs = {key for key in self.store.list(prefix, after=after) if not key.startswith(self.without)}
        yield from sorted(theirs | set(self.written.list(prefix, after=after)))

    def _holder(self, key: str) -> ObjectStore:
        hidden = key.startswith(self.without)
        return self.written if hidden or self.written.exists(key) else self.store
