"""An append-only, hash-chained log that any number of writers share without a lock."""

from __future__ import annotations

import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from include.errors import ChainBroken, ObjectMissing, StoreUnavailable
from include.storage.content import canonical_json, digest, read_json
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

_LONGEST_WAIT = 2.0  # seconds
_PACK = 256  # entries
Decide = Callable[[tuple["Entry", ...]], tuple[str, dict[str, Any]] | None]


@dataclass(frozen=True)
class Entry:
    """One entry of a log.

    ``digest`` is that of all other fields (canonical JSON), among them ``previous``, the digest of the entry before.
    """

    number: int
    previous: str | None
    kind: str
    at: str
    nonce: str
    body: dict[str, Any]
    digest: str


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

    Whoever loses the race for a number reads what won and decides again. Entries never change, so an instance reads each
    one once. Nothing in a log can tell that its newest entries were removed; whoever must know gives ``heads``.

    Whoever writes the last of 256 entries also writes all of them as one object, so that a long log is read in few calls.
    Such a pack is a cache: one that is missing or does not fit is passed over, and `verify` holds each against its entries.
    """

    def __init__(self, store: ObjectStore, prefix: str, *, heads: Heads | None = None) -> None:
        self.store = store
        self.prefix = prefix.rstrip("/")
        self._heads = heads
        self._entries: tuple[Entry, ...] = ()

    def read(self) -> tuple[Entry, ...]:
        """Return all entries, oldest first, verified.

        Raises
        ------
        ChainBroken
            Naming the first entry that is missing, changed or forked.
        """
        entries = self._read_on(self._entries or self._read_packs())
        if self._heads is not None and (not self._entries or len(entries) > len(self._entries)):
            entries = self._heads.check(entries, self._read_on)
        self._entries = entries
        return entries

    def has_more(self) -> bool:
        """Tell in one call of the store, whatever the log's length, whether it has entries beyond those read."""
        return self.store.exists(self._key(len(self._entries)))

    def verify(self) -> tuple[Entry, ...]:
        """Read every entry, and every pack, from the store again, verify the chain and return it; raises `ChainBroken`."""
        entries = self._read_from(())
        for key in self.store.list(f"{self.prefix}/packs/"):
            start = self._number(key)
            packed = entries[start : start + _PACK]
            if self.store.get(key) != _pack(packed):
                raise ChainBroken(
                    "entries of the log and their pack do not agree",
                    number=start + min(len(packed), _PACK - 1),
                    expected=f"{_PACK} entries from {start} on, as in the pack",
                    found=f"{len(packed)} entries that form a chain",
                    where=f"{self.store.url}: {key}",
                    remedy="one of the two was changed or removed: restore it from a backup; without its pack a log is only slower to read",
                )
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
            stored, key = _seal(fields), self._key(number)
            began = time.monotonic()
            if self._heads is not None:
                self._heads.sign(number, digest(canonical_json(fields)), at)
            if self.store.put_if_absent(key, stored):
                entry = _open(stored, number, where=f"{self.store.url}: {key}")
                self._entries = (*entries, entry)
                if len(self._entries) % _PACK == 0:
                    self._write_packs()
                if self._heads is not None:
                    self._heads.appended(entry)
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

    def _write_packs(self) -> None:
        try:
            there = set(self.store.list(f"{self.prefix}/packs/"))
            for start in range(0, len(self._entries), _PACK):  # also those that a killed writer left out
                if (key := f"{self.prefix}/packs/{start:08d}.jsonl") not in there:
                    self.store.put_if_absent(key, _pack(self._entries[start : start + _PACK]))
        except StoreUnavailable as error:  # the entry stands, and whoever reads can do without its pack
            log.warning("The log is not packed: %s", error)

    @staticmethod
    def _number(key: str) -> int:
        return int(key.rpartition("/")[2].partition(".")[0])

    def _read_packs(self) -> tuple[Entry, ...]:
        """Return the entries that packs hold from the first on, as far as they form a chain."""
        keys = list(self.store.list(f"{self.prefix}/packs/"))
        if self.store.parallel > 1:
            with ThreadPoolExecutor(self.store.parallel) as pool:
                packs = list(pool.map(self.store.get, keys))
        else:
            packs = [self.store.get(key) for key in keys]
        entries: list[Entry] = []
        for key, stored in zip(keys, packs, strict=True):
            try:
                found = [_open(line, len(entries) + n, where=key) for n, line in enumerate(stored.split(b"\n"))]
                self._check_chain([*entries[-1:], *found])
            except ChainBroken as error:
                log.warning("A pack is passed over: %s", error)
                break
            entries += found
        return tuple(entries)

    def _read_on(self, known: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return known + self._read_from(known)

    def _read_from(self, known: tuple[Entry, ...]) -> tuple[Entry, ...]:
        after = self._key(len(known) - 1) if known else None
        # A listing may miss what is written meanwhile, even an entry before one that it shows: it only says how far to read.
        newest = max(filter(self._is_entry, self.store.list(f"{self.prefix}/", after=after)), default="")
        numbers = list(itertools.takewhile(lambda number: self._key(number) <= newest, itertools.count(len(known))))
        if 1 < self.store.parallel < len(numbers):
            with ThreadPoolExecutor(self.store.parallel) as pool:
                entries = list(pool.map(self._entry, numbers))
        else:
            entries = [self._entry(number) for number in numbers]
        self._check_chain([*known[-1:], *entries])
        return tuple(entries)

    def _entry(self, number: int) -> Entry:
        key = self._key(number)
        where = f"{self.store.url}: {key}"
        try:
            return _open(self.store.get(key), number, where=where)
        except ObjectMissing:
            raise ChainBroken("an entry of the log is missing", number=number, where=where) from None

    def _is_entry(self, key: str) -> bool:
        number = key.removeprefix(f"{self.prefix}/").removesuffix(".json")
        return number.isdecimal() and key == self._key(int(number))

    def _check_chain(self, entries: list[Entry]) -> None:
        for index, (before, entry) in enumerate(itertools.pairwise(entries)):
            if entry.previous == before.digest:
                continue
            # Of two that don't fit, the one without a successor that fits was put in the place of another.
            follows = any(later.previous == entry.digest for later in entries[index + 2 : index + 3])
            raise ChainBroken(
                "the log forks: an entry was put in the place of another",
                number=before.number if follows else entry.number,
                expected=f"entry {entry.number} written after digest {before.digest}",
                found=f"entry {entry.number} written after digest {entry.previous}",
                where=f"{self.store.url}: {self.prefix}",
                remedy="restore the entry from a backup; nothing from it on can be trusted until then",
            )


def recorded_by(entries: Sequence[Entry], instant: datetime) -> tuple[Entry, ...]:
    """Return the entries that were on record at an instant: the first so many of them.

    The order of entries is certain; their instants are what the clocks of many machines said. Where those contradict the
    order, the cut is made where the fewest entries have to be disbelieved, and of equal cuts at the earliest. So one clock
    that was far ahead or far behind neither hides what was known nor makes known what was not.
    """
    known, disbelieved, fewest = 0, 0, 0
    for number, entry in enumerate(entries, 1):
        disbelieved += 1 if datetime.fromisoformat(entry.at) > instant else -1
        if disbelieved < fewest:
            known, fewest = number, disbelieved
    return tuple(entries[:known])


_SEAL = b'{"digest":"%s",'
_SEAL_LENGTH = len(_SEAL % (b"0" * 64))


def _seal(fields: dict[str, Any]) -> bytes:
    """Return the stored form: canonical JSON of the fields, with their digest in front so that bytes can be checked as they are."""
    content = canonical_json(fields)
    return _SEAL % digest(content).encode() + content[1:]


def _pack(entries: tuple[Entry, ...]) -> bytes:
    """Return the stored forms of entries as lines."""
    return b"\n".join(_seal({key: value for key, value in vars(entry).items() if key != "digest"}) for entry in entries)


def _open(stored: bytes, number: int, *, where: str) -> Entry:
    content = b"{" + stored[_SEAL_LENGTH:]
    sealed = digest(content)
    try:
        if stored[:_SEAL_LENGTH] != _SEAL % sealed.encode():
            raise ValueError("bytes and digest do not agree")
        entry = Entry(**read_json(content), digest=sealed)
        if entry.number != number or (entry.previous is None) != (number == 0):
            raise ValueError(f"it says that it is entry {entry.number} after {entry.previous}")
    except (ValueError, TypeError) as error:
        raise ChainBroken(
            "an entry of the log was changed",
            number=number,
            found=error,
            where=where,
            remedy="restore the entry from a backup; nothing from it on can be trusted until then",
        ) from error
    return entry
