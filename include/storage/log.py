"""An append-only, hash-chained log that any number of writers share without a lock."""

from __future__ import annotations

import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from include.errors import ChainBroken, ObjectMissing
from include.storage.checkpoints import Checkpoints
from include.storage.concurrency import at_once
from include.storage.entries import Entry, check_chain, open_entry, recorded_by, seal_fields
from include.storage.store import ObjectStore

__all__ = ["Decide", "Entry", "Log", "recorded_by"]

log = logging.getLogger(__name__)

_LONGEST_WAIT = 2.0  # seconds
_TRIES = 8  # checkpoints in a row that do not fit, until entries are read one by one
_LISTED = 1000  # keys that S3 lists in one call
Decide = Callable[[tuple[Entry, ...]], tuple[str, dict[str, Any]] | None]


class Heads(Protocol):
    """Vouches for the newest entry of a log and so, by the chain, for all of them."""

    def sign(self, number: int, digest: str, at: str) -> None:
        """Called before an entry is written; what it raises keeps it from being written."""

    def appended(self, entry: Entry) -> None:
        """Called after an entry was written by this process."""

    def check(
        self, entries: tuple[Entry, ...], read_on: Callable[[tuple[Entry, ...]], tuple[Entry, ...]]
    ) -> tuple[Entry, ...]:
        """Return what was read, or what ``read_on`` returns of it, if its newest entry is vouched for."""


class Log:
    """Entries 0, 1, 2, ... under ``prefix``, each one object written with put-if-absent.

    A writer that loses the race for a number reads what won and decides again. Entries never change, so an instance reads each
    one once. Nothing in a log can tell that its newest entries were removed; a reader that must know gives ``heads``.

    The writer of an entry also writes a checkpoint of those before it, from which a log of any length is read in few
    calls; see `include.storage.checkpoints`. It is a cache that is compared with the log's newest entries at every reading.
    """

    def __init__(self, store: ObjectStore, prefix: str, *, heads: Heads | None = None) -> None:
        self.store = store
        self.prefix = prefix.rstrip("/")
        self._heads = heads
        self._entries: tuple[Entry, ...] = ()
        self._checkpoints = Checkpoints(store, self.prefix)

    def read(self) -> tuple[Entry, ...]:
        """Return all entries, oldest first, verified.

        Raises
        ------
        ChainBroken
            Naming the first entry that is missing, changed or forked, of those that no checkpoint holds.
        """
        entries = self._read_on(self._entries) if self._entries else self._read_anew()
        if self._heads is not None and (not self._entries or len(entries) > len(self._entries)):
            entries = self._heads.check(entries, self._read_on)
        self._entries = entries
        return entries

    @property
    def known(self) -> tuple[Entry, ...]:
        """The entries as this instance last read or wrote them, without a call of the store."""
        return self._entries

    def has_more(self) -> bool:
        """Tell in one call of the store, for a log of any length, whether it has entries beyond those read."""
        try:
            self.store.get(
                self._key(len(self._entries))
            )  # to `exists`, S3 gives one answer for a missing object and a missing bucket
        except ObjectMissing:
            return False
        return True

    def verify(self) -> tuple[Entry, ...]:
        """Read every entry from the store again, verify their chain and the newest checkpoint; raises `ChainBroken`."""
        checkpoint = next(self._checkpoints.listed(), None)  # read before the entries: it is never written before them
        entries = self._read_on(())
        if checkpoint is not None:
            self._checkpoints.verify(checkpoint, entries)
        self._entries = entries
        return entries

    def append(self, decide: Decide, *, at: str) -> Entry | None:
        """Write the entry that ``decide`` wants, on top of exactly the entries that it has seen.

        Parameters
        ----------
        decide : callable
            Called with all entries; returns the kind and body of the next one, or None if there is nothing to do. Called
            again whenever another writer was faster. It should find its own earlier work among the entries: a call that
            raised `StoreUnavailable`, or whose process was killed, may have written.
        at : str
            The instant that goes on record.

        Returns
        -------
        Entry or None
            What was written.
        """
        entries = self.read()
        losses = 0
        while (decided := decide(entries)) is not None:
            kind, body = decided
            number, nonce = len(entries), secrets.token_hex(16)
            previous = entries[-1].digest if entries else None
            fields = {"number": number, "previous": previous, "kind": kind, "at": at, "nonce": nonce, "body": body}
            stored, key = seal_fields(fields), self._key(number)
            entry = open_entry(stored, number, where=f"{self.store.url}: {key}")
            began = time.monotonic()
            if self._heads is not None:
                self._heads.sign(number, entry.digest, at)
            if self.store.put_if_absent(key, stored):
                self._entries = (*entries, entry)
                if self._heads is not None:
                    self._heads.appended(entry)
                self._checkpoints.write(self._entries)
                return entry
            losses += 1
            taken = time.monotonic() - began
            # Spreads the writers, in proportion to how long a write takes here, so that most of them win at their next try.
            time.sleep(min(random.random() * taken * 2**losses, _LONGEST_WAIT))  # noqa: S311
            entries = self.read()
            # A refused write can still be ours: its answer was lost and the client asked again.
            if mine := [entry for entry in entries[number:] if entry.nonce == nonce]:
                return mine[0]
            log.debug("%s: another writer was faster, deciding again", key)
        return None

    def _key(self, number: int) -> str:
        return f"{self.prefix}/{number:08d}.json"

    def _read_anew(self) -> tuple[Entry, ...]:
        # One listing of both folders: that of the checkpoints comes first. Of a longer log, what it left out is listed with the rest.
        keys = list(itertools.islice(self.store.list(self.prefix), _LISTED))
        whole, listed = len(keys) < _LISTED, self._newest_of(keys, default=-1)
        for checkpoint in itertools.islice(self._checkpoints.among(keys), _TRIES):
            end = checkpoint.end
            calls: list[Callable[[], Any]] = [partial(self._entry, end)]
            calls += [partial(self._checkpoints.get, part) for part in checkpoint.parts]
            calls += [] if whole else [partial(self._newest, after=end)]
            try:
                next_entry, *found = at_once(self.store, calls)
            except ChainBroken as error:  # either names no checkpoint of this log, or the entry that is read below
                log.warning("A checkpoint of %s is passed over: %s", self.prefix, error.message)
                continue
            newest = max(listed, end) if whole else found.pop()
            if (held := self._checkpoints.open(checkpoint, found, next_entry)) is not None:
                return self._through((*held, next_entry), newest)
        return self._through((), listed) if whole else self._read_on(())

    def _read_on(self, known: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return self._through(known, self._newest(after=len(known) - 1))

    def _through(self, known: tuple[Entry, ...], newest: int) -> tuple[Entry, ...]:
        """Return entries and those after them, as far as number ``newest``."""
        where = f"{self.store.url}: {self.prefix}"
        for first in range(len(known), newest + 1, _LISTED):  # a stray name of a great number ends at the first gap
            numbers = range(first, min(first + _LISTED, newest + 1))
            entries = at_once(self.store, [partial(self._entry, number) for number in numbers])
            check_chain([*known[-1:], *entries], where=where)
            known = (*known, *entries)
        return known

    def _newest(self, *, after: int) -> int:
        """Return the number of the newest entry; ``after`` if there is none after that.

        A listing may miss entries that are written at the same time, even earlier ones than it shows: it only tells how far to read.
        """
        keys = self.store.list(f"{self.prefix}/", after=self._key(after) if after >= 0 else None)
        return self._newest_of(keys, default=after)

    def _newest_of(self, keys: Iterable[str], *, default: int) -> int:
        return max((number for key in keys if (number := self._number(key)) is not None), default=default)

    def _entry(self, number: int) -> Entry:
        key = self._key(number)
        where = f"{self.store.url}: {key}"
        try:
            return open_entry(self.store.get(key), number, where=where)
        except ObjectMissing:
            raise ChainBroken("an entry of the log is missing", number=number, where=where) from None

    def _number(self, key: str) -> int | None:
        number = key.removeprefix(f"{self.prefix}/").removesuffix(".json")
        return int(number) if number.isdecimal() and key == self._key(int(number)) else None
