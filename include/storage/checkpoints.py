"""Checkpoints of a log: its state up to an entry in at most two objects, so that a read needs few calls.

A checkpoint that ends at entry ``n`` holds the entries before ``n``, and is written by the process that has written entry ``n``. It is
one object with all of them, or one with the newest of them on top of an earlier checkpoint that is one object. The whole is
written again while it is small, and later when the newest parts that were written have as many bytes as the whole: with ``n`` entries of one size
about every ``sqrt(2 n)`` entries, so that what is written grows with ``n`` to the power of 1.5 and never with its square.

All this is a cache. A reader takes entry ``n`` itself from the log and believes a checkpoint only if its last entry
is the one that entry ``n`` was written after: a chain of digests up to an entry of the log is that log's chain. A
checkpoint that is missing, truncated, changed or from another log is ignored.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from include.errors import ChainBroken, ObjectCorrupt, ObjectMissing, StoreUnavailable
from include.storage.entries import Entry, check_chain, open_entry, seal_entry
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

FEWEST = 2
"""Entries that are worth a checkpoint: a shorter log is read in as few calls without one."""

WHOLE = 1 << 14
"""Bytes up to which a checkpoint is written whole, so that a young log is read in one call less: the events of some fifty decisions."""

_GZIP = 31  # zlib's word for the format of gzip, so that `zcat` shows a checkpoint
_LARGEST = 1 << 30  # bytes of one object, unpacked
_SMALL, _RATIO = (
    1 << 20,
    100,
)  # entries are full of digests, which hardly shrink; gzip could make a thousand bytes of one
_NAME = re.compile(r"(\d{8})-(\d{8})\.jsonl\.gz")
BESIDE = "-checkpoints"
"""What the folder of a log's checkpoints is called by, after the name of the log."""
_NEWEST_FIRST = 99_999_999  # names count down, so that a listing begins with the newest


def is_checkpoint(key: str) -> bool:
    """Tell whether an object is a part of a log's checkpoint."""
    folder, _, name = key.rpartition("/")
    return folder.endswith(BESIDE) and _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Checkpoint:
    """The entries before ``end``: an object of those from ``start`` on, and one of those before, if there are any."""

    end: int
    start: int = 0

    @property
    def parts(self) -> tuple[Checkpoint, ...]:
        """The objects that make it up, oldest first."""
        return (Checkpoint(self.start), self) if self.start else (self,)

    @property
    def name(self) -> str:
        """The name of the object of the newest part."""
        return f"{_NEWEST_FIRST - self.end:08d}-{self.start:08d}.jsonl.gz"


class Checkpoints:
    """The checkpoints of the log under ``prefix``, as one reader and writer knows them.

    They are stored outside of the log's folder, so that a listing of entries does not contain them.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self.store = store
        self.folder = f"{prefix}{BESIDE}/"
        self._whole, self._whole_bytes = 0, 0  # where the newest one-object checkpoint known here ends, and its size
        self._unfit: set[str] = set()

    def listed(self) -> Iterator[Checkpoint]:
        """Yield what checkpoints there are, newest first."""
        return _named(self.store.list(self.folder), self.folder)

    def among(self, keys: Iterable[str]) -> Iterator[Checkpoint]:
        """Yield those among keys of the log, newest first, without those of which a part did not fit."""
        return (one for one in _named(keys, self.folder) if not self._unfit & {part.name for part in one.parts})

    def get(self, part: Checkpoint) -> bytes | None:
        """Return the stored bytes of one part; None if there are none, or the store finds them damaged."""
        try:
            return self.store.get(self.folder + part.name)
        except (ObjectMissing, ObjectCorrupt):
            return None

    def open(self, checkpoint: Checkpoint, stored: Iterable[bytes | None], after: Entry) -> tuple[Entry, ...] | None:
        """Return the entries of a checkpoint if ``after`` was written on top of them, None if the checkpoint does not fit."""
        entries: list[Entry] = []
        whole = b""
        for part, packed in zip(checkpoint.parts, stored, strict=True):
            where = self.folder + part.name
            try:
                if packed is None:
                    raise ChainBroken("a part of a checkpoint is missing", number=part.start, where=where)
                found = unpack(packed, part, where=where)
                check_chain([*entries[-1:], *found, *([after] if part.end == checkpoint.end else [])], where=where)
            except ChainBroken as error:
                log.warning("The checkpoint %s is passed over: %s", where, error.message)
                self._unfit.add(part.name)
                return None
            entries += found
            whole = whole or packed
        self._whole, self._whole_bytes = checkpoint.parts[0].end, len(whole)
        return tuple(entries)

    def write(self, entries: Sequence[Entry]) -> None:
        """Write the checkpoint of all but the newest entry, which its writer has just put on record."""
        end = len(entries) - 1
        if end < FEWEST:
            return
        newest = pack(entries[self._whole : end])
        checkpoint = Checkpoint(end, self._whole)
        parts = (end - self._whole) * len(newest) / 2  # what those of this kind came to, about
        if self._whole_bytes < WHOLE or parts > self._whole_bytes:
            checkpoint, newest = Checkpoint(end), newest if self._whole == 0 else pack(entries[:end])
        try:
            self.store.put_if_absent(self.folder + checkpoint.name, newest)
        except StoreUnavailable as error:  # the entry is written, and readers do not need the checkpoint
            log.warning("The log has no new checkpoint: %s", error)
            return
        if not checkpoint.start:
            self._whole, self._whole_bytes = end, len(newest)

    def verify(self, checkpoint: Checkpoint, entries: Sequence[Entry]) -> None:
        """Hold a checkpoint against all entries of the log; raises `ChainBroken`."""
        if checkpoint.end >= len(entries):
            raise ChainBroken(
                "entries of the log are missing that were there when its checkpoint was written",
                number=len(entries),
                expected=f"at least {checkpoint.end + 1} entries",
                found=f"{len(entries)} that form a chain",
                where=f"{self.store.url}: {self.folder}{checkpoint.name}",
                remedy="restore the entries from a backup",
            )
        for part in checkpoint.parts:
            where = self.folder + part.name
            try:
                packed = self.get(part)
                held = None if packed is None else unpack(packed, part, where=where)
            except ChainBroken:
                held = None
            if held != tuple(entries[part.start : part.end]):
                raise ChainBroken(
                    "entries of the log and their checkpoint do not agree",
                    number=part.start,
                    expected=f"the entries from {part.start} to {part.end - 1}, as in the log",
                    found="a damaged object" if held is None else "other entries",
                    where=f"{self.store.url}: {where}",
                    remedy="find out who changed it, and remove the object: without its checkpoint a log is only slower to read",
                )


def _named(keys: Iterable[str], folder: str) -> Iterator[Checkpoint]:
    for key in keys:
        if key.startswith(folder) and (match := _NAME.fullmatch(key.removeprefix(folder))):
            found = Checkpoint(_NEWEST_FIRST - int(match[1]), int(match[2]))
            if found.start < found.end:
                yield found


def pack(entries: Sequence[Entry]) -> bytes:
    """Return the stored forms of entries as lines, packed by gzip."""
    packer = zlib.compressobj(wbits=_GZIP)
    return packer.compress(b"\n".join(map(seal_entry, entries))) + packer.flush()


def unpack(packed: bytes, part: Checkpoint, *, where: str) -> tuple[Entry, ...]:
    """Return the entries of one object of a checkpoint, each verified against its digest; raises `ChainBroken`."""
    try:
        unpacker = zlib.decompressobj(wbits=_GZIP)
        text = unpacker.decompress(packed, min(_LARGEST, _SMALL + _RATIO * len(packed)))
    except zlib.error as error:
        raise ChainBroken("a checkpoint can't be unpacked", number=part.start, found=error, where=where) from error
    lines = text.count(b"\n") + 1
    if not unpacker.eof or unpacker.unused_data or lines != part.end - part.start:
        raise ChainBroken(
            "a checkpoint is not whole",
            number=part.start,
            expected=f"{part.end - part.start} entries",
            found=f"{lines}" if unpacker.eof else "an end too early",
            where=where,
        )
    return tuple(open_entry(line, number, where=where) for number, line in enumerate(text.split(b"\n"), part.start))
