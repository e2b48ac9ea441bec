"""Anchors: copies of the newest signed head of a ledger, in a place that writers of the store can't change."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
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

    def newest(self, model: str, near: int = 0) -> bytes | None:
        """Return the envelope that was kept last, or None; ``near`` is the number of an event that is about the newest, to look there first."""

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

    def newest(self, model: str, near: int = 0) -> bytes | None:
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
    """Return the number of a remembered head; -1 if it can't be read, which the caller reports.

    Parameters
    ----------
    envelope : bytes or None
        As an anchor keeps it; its signature is not looked at here.
    """
    try:
        return int(_payload(envelope)["number"])
    except (ValueError, KeyError, TypeError):
        return -1


def is_of(envelope: bytes, model: str) -> bool:
    """Tell whether a remembered head is that of a model; one that can't be read is, so that the caller reports it."""
    try:
        return bool(_payload(envelope).get("model", model) == model)
    except (ValueError, KeyError, TypeError, AttributeError):
        return True


def _payload(envelope: bytes | None) -> Any:
    return json.loads(base64.b64decode(json.loads(envelope or b"{}")["payload"]))


class StoreAnchor:
    """A second store, written by the same tasks: a bucket with object lock, in which no object can be removed."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.where = store.url

    def newest(self, model: str, near: int = 0) -> bytes | None:
        """Return the envelope with the greatest number: of any number of events in two calls, if it has that of ``near`` or a later one."""
        folder = f"{model}/heads/"
        newest = max(self._store.list(folder, after=f"{folder}{near:08d}"), default=None)
        newest = newest or max(self._store.list(folder), default=None)
        return None if newest is None else self._store.get(newest)

    def keep(self, model: str, number: int, envelope: bytes) -> None:
        """Add the envelope; what is there stays."""
        self._store.put_if_absent(f"{model}/heads/{number:08d}.json", envelope)
