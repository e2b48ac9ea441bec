"""Anchors: copies of the newest signed head of a ledger, in a place that writers of the store can't change."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from include.errors import ConfigError, StoreUnavailable
from include.storage.store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator


def lies_in(path: Path, store: ObjectStore) -> bool:
    """Tell whether a path leads into a store that is a folder."""
    root = urlsplit(store.url)
    return root.scheme == "file" and Path(os.path.realpath(path)).is_relative_to(unquote(root.path))


class Anchor(Protocol):
    """A place that keeps the newest signed head of each model.

    It need not be trusted to be honest: what it returns is checked like any envelope. It must not be writable for anybody who
    may write to the store, or it proves nothing. Both methods raise `StoreUnavailable` when it does not answer.
    """

    where: str
    """What a person looks for, such as a path."""

    def newest(self, model: str) -> bytes | None:
        """Return the envelope that was kept last, or None."""

    def keep(self, model: str, number: int, envelope: bytes) -> None:
        """Keep the envelope of the head of this number; the caller has seen that it is newer than `newest`."""


class FileAnchor:
    """A folder on this machine with one file a model; for commands, servers and notebooks.

    Raises
    ------
    ConfigError
        When the folder lies in the store.
    """

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        if lies_in(folder, store):
            raise ConfigError(
                "An anchor must not lie in the store.",
                expected="a folder that writers of the store can't write to",
                found=str(folder),
                where="environment variable RATCHET_ANCHORS",
            )
        self.folder = folder
        self.where = str(folder)

    def newest(self, model: str) -> bytes | None:
        """Return the content of the model's file, if there is one."""
        with self._answering():
            path = self._path(model)
            return path.read_bytes() if path.exists() else None

    def keep(self, model: str, number: int, envelope: bytes) -> None:
        """Replace the model's file, whole or not at all, unless it holds a newer head."""
        with self._answering():
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if number <= number_of(self.newest(model)):
                    return  # another writer, who came later, was faster
                path = self._path(model)
                path.parent.mkdir(parents=True, exist_ok=True)  # a segment's name has folders
                part = path.with_name(f".{path.name}.part")
                with part.open("wb") as file:
                    file.write(envelope)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)

    def _path(self, model: str) -> Path:
        return self.folder / f"{model}.json"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                "an anchor can't be read or written", found=error.strerror, where=f"RATCHET_ANCHORS: {self.where}"
            ) from error


def number_of(envelope: bytes | None) -> int:
    """Return the number of a head that was kept; -1 of what can't be read, which the caller is told.

    Parameters
    ----------
    envelope : bytes or None
        As an anchor keeps it; its signature is not looked at here.
    """
    try:
        return int(json.loads(base64.b64decode(json.loads(envelope or b"{}")["payload"]))["number"])
    except (ValueError, KeyError, TypeError):
        return -1


class StoreAnchor:
    """A second store, written by the same tasks: a bucket whose objects are locked, in which nobody can take one away."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.where = store.url

    def newest(self, model: str) -> bytes | None:
        """Return the envelope with the greatest number, in two calls up to a thousand events."""
        newest = max(self._store.list(f"{model}/heads/"), default=None)
        return None if newest is None else self._store.get(newest)

    def keep(self, model: str, number: int, envelope: bytes) -> None:
        """Add the envelope; what is there stays."""
        self._store.put_if_absent(f"{model}/heads/{number:08d}.json", envelope)
