"""Tombstones: a log of objects that were removed or will be, beside the ledger.

An object is marked first, and may be removed after the instant that its mark names. A task that needs it before then takes the mark
back. The order of the log decides which of the two came first, so an object that was taken back is never lost: bytes are deleted
only after ``removing`` was appended to a log in which the object is still marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, TypeVar

from include.errors import ObjectMissing, ObjectRemoved, StoreUnavailable
from include.storage.content import from_iso, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

T = TypeVar("T")

MARKED, KEPT, REMOVING, REMOVED = "marked", "kept", "removing", "removed"
BATCH = 500
"""How many objects one entry names at most."""


class State(StrEnum):
    """How far a removal has come."""

    MARKED = MARKED
    REMOVING = REMOVING
    REMOVED = REMOVED


@dataclass(frozen=True)
class Tombstone:
    """What is said of one object.

    Attributes
    ----------
    key : str
        Its key in the store; the digest in it identifies the bytes.
    kind : str
        Its kind, as retention and erasure name it.
    size : int
        In bytes.
    reason : str
        Why, in words for people.
    at : datetime
        When it was marked; once it is removed, when that was.
    due : datetime
        From when it may be removed.
    instead : str or None
        The key of what was written in its place, by an erasure.
    """

    key: str
    kind: str
    size: int
    reason: str
    at: datetime
    due: datetime
    state: State
    instead: str | None = None

    def error(self, where: str) -> ObjectRemoved:
        """Return the error for a reader of the object."""
        return ObjectRemoved(
            f"An object was removed on {self.at:%Y-%m-%d}: {self.reason}.",
            found=self.key,
            where=where,
            remedy="nothing is damaged; a backup from before may still hold it",
        )


def fold(entries: Iterable[Entry], before: Mapping[str, Tombstone] = MappingProxyType({})) -> dict[str, Tombstone]:
    """Return the tombstones in force, by key, after entries and those that were in force before them."""
    found = dict(before)
    for entry in entries:
        at = from_iso(entry.at)
        if entry.kind == MARKED:
            due, reason = from_iso(entry.body["due"]), entry.body["reason"]
            for one in entry.body["objects"]:
                facts = (one["key"], one["kind"], one["size"], reason, at, due, State.MARKED, one.get("instead"))
                found[one["key"]] = Tombstone(*facts)
            continue
        for key in entry.body["keys"]:
            if entry.kind == KEPT:
                found.pop(key, None)
            elif key in found:
                found[key] = replace(found[key], state=State(entry.kind), at=at)
    return found


class Tombstones:
    """The tombstones of one model."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/tombstones/log")
        self._folded, self._known, self._folding = 0, dict[str, Tombstone](), Lock()

    def read(self) -> dict[str, Tombstone]:
        """Return the tombstones in force, by key; the chain of the log is verified."""
        return self._fold(self._log.read())

    def _fold(self, entries: tuple[Entry, ...]) -> dict[str, Tombstone]:
        """Return the tombstones in force after entries; entries that this object has folded before are not folded again."""
        with self._folding:
            if new := entries[self._folded :]:
                self._known = fold(new, self._known)
                self._folded = len(entries)
            return self._known

    def mark(self, objects: Iterable[Tombstone], *, at: datetime) -> None:
        """Mark objects with one reason and due instant; objects that are marked already are skipped."""
        for batch in _batches(list(objects)):

            def unless_marked(
                entries: tuple[Entry, ...], batch: Sequence[Tombstone] = batch
            ) -> tuple[str, dict[str, Any]] | None:
                known = self._fold(entries)
                news = [one for one in batch if one.key not in known or known[one.key].state is State.REMOVED]
                body = {"due": to_iso(batch[0].due), "reason": batch[0].reason, "objects": [_said(one) for one in news]}
                return (MARKED, body) if news else None

            self._log.append(unless_marked, at=to_iso(at))

    def keep(self, keys: Iterable[str], *, why: str, at: datetime) -> None:
        """Take marks back, except those of objects that are already being removed."""
        for batch in _batches(sorted(keys)):

            def still_marked(
                entries: tuple[Entry, ...], batch: Sequence[str] = batch
            ) -> tuple[str, dict[str, Any]] | None:
                known = self._fold(entries)
                own = [key for key in batch if key in known and known[key].state is State.MARKED]
                return (KEPT, {"keys": own, "why": why}) if own else None

            self._log.append(still_marked, at=to_iso(at))

    def remove(self, keys: Iterable[str], delete: Callable[[str], bool], *, at: datetime) -> tuple[list[str], int]:
        """Remove objects whose marks stand, and finish what an earlier removal began.

        Parameters
        ----------
        keys : iterable of str
            Which of the marked objects.
        delete : callable
            Removes one object's bytes, and tells whether they are gone.

        Returns
        -------
        list of str
            What was removed, by this call or by one that was killed before it could say so.
        int
            Of how many the store keeps a former version.
        """
        removed, former = [], 0
        under_way = sorted(key for key, one in self.read().items() if one.state is State.REMOVING)
        for batch in (*_batches(under_way), *_batches(sorted(set(keys) - set(under_way)))):

            def still_marked(
                entries: tuple[Entry, ...], batch: Sequence[str] = batch
            ) -> tuple[str, dict[str, Any]] | None:
                known = self._fold(entries)
                own = [
                    key for key in batch if key in known and known[key].state is State.MARKED and known[key].due <= at
                ]
                return (REMOVING, {"keys": own}) if own else None

            def under_way_still(
                entries: tuple[Entry, ...], batch: Sequence[str] = batch
            ) -> tuple[str, dict[str, Any]] | None:
                known = self._fold(entries)
                own = [key for key in batch if key in known and known[key].state is State.REMOVING]
                return (REMOVED, {"keys": own}) if own else None

            self._log.append(still_marked, at=to_iso(at))
            known = self._fold(self._log.known)
            gone = [key for key in batch if key in known and known[key].state is State.REMOVING]
            former += sum(not delete(key) for key in gone)
            self._log.append(under_way_still, at=to_iso(at))
            removed += gone
        return removed, former


class MarkedStore:
    """A store whose error for a missing object names its tombstone, and that takes back marks of objects that are read.

    Parameters
    ----------
    store : ObjectStore
    model : str
    keep : callable, optional
        Returns the instant that goes on record when a mark is taken back. The marks are then read once, before the first
        call; what is marked later stays for the whole grace period, which is longer than any task. Without it nothing is
        written, and the log is read when an object is missing.
    """

    def __init__(self, store: ObjectStore, model: str, *, keep: Callable[[], datetime] | None = None) -> None:
        self.store, self.url, self.parallel = store, store.url, store.parallel
        self._tombstones, self._folder, self._keep = Tombstones(store, model), f"{model}/", keep
        self._known: dict[str, Tombstone] | None = None

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` under ``key`` unless something is there already; raises `StoreUnavailable` while it is being removed."""
        if self._being_removed(key):
            raise StoreUnavailable(
                "an object that must be written is being removed",
                found=key,
                where=self.url,
                remedy="try again; if it was the removal that was killed, run it again first",
            )
        return self.store.put_if_absent(key, body)

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`, `ObjectRemoved`."""
        if self._being_removed(key):
            raise self._stones()[key].error(self.url)
        try:
            return self.store.get(key)
        except ObjectMissing:
            stone = self._stones().get(key) if key.startswith(self._folder) else None
            if stone is None or stone.state is State.MARKED:
                raise
            raise stone.error(self.url) from None

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object that stays."""
        return not self._being_removed(key) and self.store.exists(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""
        return self.store.list(prefix, after=after)

    def _stones(self) -> dict[str, Tombstone]:
        if self._known is None:
            self._known = self._tombstones.read()
        return self._known

    def _being_removed(self, key: str) -> bool:
        """Take back the mark of an object that is needed, and tell whether it is too late."""
        if self._keep is None:
            return False
        stone = self._stones().get(key)
        if stone is not None and stone.state is State.MARKED:
            self._tombstones.keep([key], why="a task needed it", at=self._keep())
            self._known = self._tombstones.read()
            stone = self._known.get(key)
        return stone is not None and stone.state is State.REMOVING


def _batches(objects: Sequence[T]) -> Iterator[Sequence[T]]:
    return (objects[start : start + BATCH] for start in range(0, len(objects), BATCH))


def _said(one: Tombstone) -> dict[str, Any]:
    instead = {} if one.instead is None else {"instead": one.instead}
    return {"key": one.key, "kind": one.kind, "size": one.size, **instead}
