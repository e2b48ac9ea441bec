"""The interface of every object store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from include.errors import StoreError

# A segment never starts with a dot (`..`, hidden files) and always fits a file name (255 bytes).
_SEGMENT = r"[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_PREFIX = re.compile(rf"({_SEGMENT}/)*({_SEGMENT})?")
_LONGEST = 800  # S3 takes 1,024 bytes, of which the store's own prefix is a part


def is_key(text: str) -> bool:
    """Tell whether ``text`` may name an object."""
    return len(text) <= _LONGEST and _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    """Raise `StoreError` unless ``key`` may name an object."""
    if not is_key(key):
        raise _refused("key", key)


def check_prefix(prefix: str) -> None:
    """Raise `StoreError` unless keys may start with ``prefix``; the empty prefix is that of every key."""
    if len(prefix) > _LONGEST or _PREFIX.fullmatch(prefix) is None:
        raise _refused("prefix", prefix)


def _refused(what: str, text: str) -> StoreError:
    return StoreError(
        f"not a {what} of the object store",
        expected="segments of letters, digits and ._=- that do not start with a dot, joined by single slashes",
        found=repr(text),
        remedy="use plain names for models, partitions and files",
    )


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing knows it.

    Attributes
    ----------
    size : int
        In bytes.
    written : datetime
        When its bytes were written, by the store's clock.
    """

    key: str
    size: int
    written: datetime


class ObjectStore(Protocol):
    """Objects under keys such as ``flight_delay/ledger/00000000.json``; written once, never changed.

    Keys are relative POSIX paths of ``[A-Za-z0-9._=-]`` segments (`check_key`); no key is the folder of another. An object is visible whole or not at all, and once
    ``put_if_absent`` has returned it survives a crash. There is no overwrite, and no delete but by `PrunableStore`: the ledger is the only state.
    Every method raises `StoreUnavailable` when the store does not answer.
    """

    url: str

    parallel: int
    """How many calls are worth having under way at once, from threads: 1 where answers do not wait for a network."""

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` (bytes, or a file's content) under ``key`` unless something is there already.

        Returns True when this call wrote it, False when the key was taken. Of any number of racing calls one returns True.
        A lost answer may turn a True into a False: a caller that must know for sure reads the object.
        """

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object."""

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""


class PrunableStore(ObjectStore, Protocol):
    """A store for retention and erasure alone, which may remove objects. No other part of the project is given one."""

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what `list` yields, with size and age: as many calls as `list` makes."""

    def delete(self, key: str) -> bool:
        """Remove an object permanently; a missing object is not an error, so that the call can be repeated.

        Returns
        -------
        bool
            Whether the bytes are gone; False where a bucket keeps them as a former version, which only its own rules expire.
        """
