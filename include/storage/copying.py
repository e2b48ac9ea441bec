"""Copy a store to another one while runs go on: a backup, a restored store, or one as it was at an instant."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from typing import TypeVar

from include.errors import ChainBroken, ObjectCorrupt, ObjectMissing, StoreError
from include.storage.checkpoints import Checkpoints, is_checkpoint
from include.storage.concurrency import at_once
from include.storage.content import canonical_json, digest, read_json
from include.storage.entries import Entry, check_chain, open_entry, recorded_by, seal_entry
from include.storage.store import ObjectStore
from include.storage.tombstones import State, fold

T = TypeVar("T")

_ENTRY = re.compile(r"(?P<log>.+)/(?P<number>\d{8})\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEDGER = "/ledger"
_TOMBSTONES = "/tombstones/log"
_PARTITIONS = "/partitions/"
_PARQUET = b"PAR1"  # a file's first and last bytes
_BATCH = 64  # objects between two lines of progress


@dataclass(frozen=True)
class Copied:
    """What `copy_store` has done.

    Attributes
    ----------
    objects, present : int
        Objects that were copied, and those that the copy had already; entries of logs are not among them.
    size : int
        Bytes of what was copied.
    logs, entries : int
        Logs, and how many of their entries were copied.
    damaged : tuple of str
        What was wrong with objects that were not copied.
    removed : int
        Objects that retention or an erasure removed while the copy was made; their tombstones are in it.
    """

    objects: int
    present: int
    size: int
    logs: int
    entries: int
    damaged: tuple[str, ...]
    removed: int = 0

    def told(self) -> str:
        """Return it as sentences."""
        lines = [
            f"Copied {self.objects:,} objects ({self.size / 1e6:,.1f} MB) and {self.entries:,} entries of {self.logs:,} logs; "
            f"{self.present:,} objects were there already.",
        ]
        if self.removed:
            lines.append(f"{self.removed:,} objects were removed meanwhile, as their tombstones say.")
        lines += [f"NOT COPIED: {one}" for one in self.damaged]
        return "\n".join(lines)


def copy_store(
    source: ObjectStore,
    target: ObjectStore,
    prefixes: Sequence[str] = ("",),
    *,
    until: datetime | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Copied:
    """Copy the content of a store; objects that the copy has already are skipped, so that a killed copy can be continued.

    Logs are listed before all else and written after all else, the ledgers last: each log of the copy is the beginning of
    the source's log, and what its entries name is there, while others write to the source and whenever the copy
    is killed. Every entry is verified against its digest and the entry before it, an object against its digest, and a JSON
    object must be complete. Checkpoints are created again.

    Parameters
    ----------
    source, target : ObjectStore
    prefixes : sequence of str
        Beginnings of keys, such as ``flight_delay/``.
    until : datetime, optional
        Copy only the entries that were on record at this instant. Objects of later entries may be there; nothing names them.
        All tombstones are copied, so that the copy records what was removed since.
    tell : callable, optional
        Called with a line of progress now and then.

    Returns
    -------
    Copied

    Raises
    ------
    ChainBroken
        When an entry of a log in the source is missing or was changed.
    StoreError
        When a log of the target is not the beginning of the source's: the target is no copy of this store.
    StoreUnavailable
    """
    logs = {log: _read_log(source, log, newest) for log, newest in _newest_of(source, prefixes).items()}
    if until is not None:
        logs = {log: known if log.endswith(_TOMBSTONES) else recorded_by(known, until) for log, known in logs.items()}
    tell(f"{len(logs):,} logs with {sum(map(len, logs.values())):,} entries in {source.url}")
    begun = _newest_of(target, prefixes)
    for log, newest in begun.items():
        _check_beginning(target, log, newest, logs.get(log, ()))

    objects = [key for key in _listed(source, prefixes) if not _ENTRY.fullmatch(key) and not is_checkpoint(key)]
    present = set(_listed(target, prefixes))
    missing = [key for key in objects if key not in present]
    tell(f"{len(missing):,} of {len(objects):,} objects are to be copied to {target.url}")
    size, damaged, gone = 0, [], list[str]()
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        copied = _at_once(source, target, [partial(_copy_object, source, target, key) for key in batch])
        for key, one in zip(batch, copied, strict=True):
            if one is None:
                gone.append(key)
            elif isinstance(one, int):
                size += one
            else:
                damaged.append(one)
        tell(f"{start + len(batch):,} of {len(missing):,} objects, {size / 1e6:,.1f} MB")

    unsaid: list[str] = []
    if gone:  # an object is removed after its tombstone is written, so the tombstone exists by now
        for log, newest in _newest_of(source, prefixes).items():
            if log.endswith(_TOMBSTONES):
                logs[log] = _read_log(source, log, newest)
        stones = fold(entry for log, entries in logs.items() if log.endswith(_TOMBSTONES) for entry in entries)
        unsaid = [key for key in gone if key not in stones or stones[key].state is State.MARKED]
        damaged += [f"{key}: it is missing, and no tombstone says that it was removed" for key in unsaid]

    added = 0
    for log in sorted(logs, key=lambda log: (log.endswith(_LEDGER), log)):
        entries = logs[log]
        for entry in entries[begun.get(log, -1) + 1 :]:
            target.put_if_absent(_key(log, entry.number), seal_entry(entry))
            added += 1
        if entries:
            Checkpoints(target, log).write(entries)
    removed = len(gone) - len(unsaid)
    done = len(missing) - len(damaged) - removed
    return Copied(done, len(objects) - len(missing), size, len(logs), added, tuple(damaged), removed)


def _listed(store: ObjectStore, prefixes: Sequence[str]) -> Iterator[str]:
    return itertools.chain.from_iterable(store.list(prefix) for prefix in prefixes)


def _newest_of(store: ObjectStore, prefixes: Sequence[str]) -> dict[str, int]:
    """Return each log and the number of its newest entry."""
    found = (_ENTRY.fullmatch(key) for key in _listed(store, prefixes))
    return {one["log"]: int(one["number"]) for one in found if one}  # keys ascend: the last of a log is its newest


def _key(log: str, number: int) -> str:
    return f"{log}/{number:08d}.json"


def _read_log(store: ObjectStore, log: str, newest: int) -> tuple[Entry, ...]:
    def read(number: int) -> Entry:
        where = f"{store.url}: {_key(log, number)}"
        try:
            return open_entry(store.get(_key(log, number)), number, where=where)
        except ObjectMissing:
            raise ChainBroken("an entry of the log is missing", number=number, where=where) from None

    entries = tuple(at_once(store, [partial(read, number) for number in range(newest + 1)]))
    check_chain(entries, where=f"{store.url}: {log}")
    return entries


def _check_beginning(target: ObjectStore, log: str, newest: int, entries: Sequence[Entry]) -> None:
    key = _key(log, newest)
    held = open_entry(target.get(key), newest, where=f"{target.url}: {key}")
    if newest >= len(entries) or entries[newest].digest != held.digest:
        raise StoreError(
            "the target is not a copy of this store: one of its logs has entries that the source's log does not have",
            expected=f"the beginning of a log of {len(entries)} entries",
            found=f"{newest + 1} entries, the last of {held.at}",
            where=f"{target.url}: {log}",
            remedy="copy to an empty place; if another process copied to the target meanwhile, just copy again",
        )


def _at_once(source: ObjectStore, target: ObjectStore, calls: Sequence[Callable[[], T]]) -> list[T]:
    return at_once(max(source, target, key=lambda store: store.parallel), calls)


def _copy_object(source: ObjectStore, target: ObjectStore, key: str) -> int | str | None:
    """Copy one object; return its bytes, or what is wrong with it, or None if it is not there any more."""
    try:
        body = source.get(key)
        _check_object(source, key, body)
    except ObjectCorrupt as error:
        return f"{key}: {error.message}"
    except ObjectMissing:
        return None
    target.put_if_absent(key, body)
    return len(body)


def _check_object(store: ObjectStore, key: str, body: bytes) -> None:
    path = PurePosixPath(key)
    if not _DIGEST.fullmatch(path.stem) or digest(body) == path.stem:
        return
    # A record is named by the question that it answers, a partition by its rows: both can only be seen to be whole here.
    if path.suffix == ".json":
        whole = _is_json(body)
    elif _PARTITIONS in key:
        whole = body[:4] == body[-4:] == _PARQUET
    else:
        whole = False
    if not whole:
        raise ObjectCorrupt("it is damaged", found=f"{len(body):,} bytes", where=f"{store.url}: {key}")


def _is_json(body: bytes) -> bool:
    try:
        return canonical_json(read_json(body)) == body
    except ValueError:
        return False
