"""Entries of a log, their stored form, and the chain that they make."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.errors import ChainBroken
from include.storage.content import build, canonical_json, digest, read_json

_SEAL = b'{"digest":"%s",'
_SEAL_LENGTH = len(_SEAL % (b"0" * 64))


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


def seal_fields(fields: dict[str, Any]) -> bytes:
    """Return the stored form: canonical JSON of the fields, with their digest in front so that bytes can be checked as they are."""
    content = canonical_json(fields)
    return _SEAL % digest(content).encode() + content[1:]


def seal_entry(entry: Entry) -> bytes:
    """Return the stored form of an entry that was read."""
    return seal_fields({key: value for key, value in vars(entry).items() if key != "digest"})


def open_entry(stored: bytes, number: int, *, where: str) -> Entry:
    """Return the entry that bytes hold; raises `ChainBroken` if they do not fit their digest or the number."""
    content = b"{" + stored[_SEAL_LENGTH:]
    sealed = digest(content)
    try:
        if stored[:_SEAL_LENGTH] != _SEAL % sealed.encode():
            raise ValueError("bytes and digest do not agree")
        fields = read_json(content)
        if "digest" in fields:
            raise ValueError("it holds a digest of its own")
        entry = build(Entry, {**fields, "digest": sealed})
        if not (isinstance(entry.body, dict) and isinstance(entry.kind, str) and isinstance(entry.at, str)):
            raise ValueError("kind, instant and body are of other types")
        if type(entry.number) is not int or entry.number != number or (entry.previous is None) != (number == 0):
            raise ValueError(f"it says that it is entry {entry.number} after {entry.previous}")
    except (ValueError, TypeError, RecursionError) as error:
        raise ChainBroken(
            "an entry of the log was changed",
            number=number,
            found=error,
            where=where,
            remedy="restore the entry from a backup; nothing from it on can be trusted until then",
        ) from error
    return entry


def check_chain(entries: Sequence[Entry], *, where: str) -> None:
    """Raise `ChainBroken` unless each entry was written after the one before it."""
    for index, (before, entry) in enumerate(itertools.pairwise(entries)):
        if entry.previous == before.digest:
            continue
        # Of two entries that don't fit, the one without a fitting successor replaced another entry.
        follows = any(later.previous == entry.digest for later in entries[index + 2 : index + 3])
        raise ChainBroken(
            "the log forks: an entry was put in the place of another",
            number=before.number if follows else entry.number,
            expected=f"entry {entry.number} written after digest {before.digest}",
            found=f"entry {entry.number} written after digest {entry.previous}",
            where=where,
            remedy="restore the entry from a backup; nothing from it on can be trusted until then",
        )


def recorded_by(entries: Sequence[Entry], instant: datetime) -> tuple[Entry, ...]:
    """Return the entries that were on record at an instant: a prefix of the log.

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
