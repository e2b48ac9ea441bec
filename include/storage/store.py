"""What every object store promises, wherever it keeps its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Objects under keys such as ``flight_delay/ledger/00000000.json``; written once, never changed.

    Keys are relative POSIX paths of ``[A-Za-z0-9._=-]`` segments. An object is visible whole or not at all, and once
    ``put_if_absent`` has returned it survives a crash. There is no overwrite and no delete: the ledger is the only state.
    Every method raises `StoreUnavailable` when the store does not answer.
    """

    url: str

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` (bytes, or a file's content) under ``key`` unless something is there already.

        Returns True when this call wrote it, False when the key was taken. Of any number of racing calls one is told True.
        A lost answer may turn a True into a False: who must know for sure reads the object back.
        """

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object."""

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""
