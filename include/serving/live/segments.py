"""The loaded versions of a model's segments, loaded when requests need them."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.config.model import ModelConfig
from include.config.sections.rows.segments import kept_as, segment_key
from include.data.segment_log import SegmentLog
from include.errors import RatchetError, RegistryError, RequestError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline, fold
from include.serving import metrics
from include.serving.live.served import RETRY_SECONDS, Served, open_served
from include.serving.protocol.row_schema import Row
from include.storage.concurrency import at_once
from include.storage.content import to_iso
from include.storage.entries import Entry
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

IN_MEMORY = 50
"""The default number of segments' versions that a model may have in memory."""


@dataclass(frozen=True)
class InForce:
    """The version of a segment that is in force."""

    segment: str
    version: str
    as_of: str


class LiveSegments:
    """The served versions of one model's segments.

    The watching thread follows the ledgers: all of them by one log, in which another champion is announced before it is in
    force. A version is loaded when the first row of its segment arrives; the least recently used version is removed from
    memory. A version in memory is replaced by the watching thread, and answers until the new one can.

    Parameters
    ----------
    store : ObjectStore
    folder : Path
        The model's folder.
    declared : ModelConfig
        Of all rows.
    most : int
        How many versions may be in memory.
    """

    def __init__(self, store: ObjectStore, folder: Path, declared: ModelConfig, most: int = IN_MEMORY) -> None:
        self._store, self._folder, self._declared, self._most = store, folder, declared, most
        self._log = SegmentLog(store, declared.name)
        self._ledgers: dict[str, Ledger] = {}
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._names: dict[Any, str] = {}
        self._in_force: dict[str, InForce] = {}
        self._held: dict[str, Served] = {}
        self._used: dict[str, int] = {}
        self._uses = itertools.count()
        self._refused: dict[str, tuple[float, str | None]] = {}
        self._loading = threading.Lock()
        self._behind = declared.segments is not None
        self.known = declared.segments is None
        """Whether it is known which segments have a version of their own; nothing is answered before."""

    @property
    def declared(self) -> bool:
        """Whether the model has segments."""
        return self._declared.segments is not None

    @property
    def in_force(self) -> list[InForce]:
        """The segments with a version of their own, by name."""
        return [one for _, one in sorted(self._in_force.items())]

    @property
    def loaded(self) -> list[Served]:
        """The versions in memory."""
        return list(self._held.values())

    def segments_of(self, rows: pa.Table | list[Row]) -> list[str | None] | None:
        """Return of each row which segment's version answers it, None for that of all rows; None if that answers them all."""
        names, in_force, declared = self._names, self._in_force, self._declared.segments
        if declared is None or not in_force:
            return None
        column = declared.column
        if isinstance(rows, list):
            values = [row.get(column) for row in rows]
        else:
            values = rows[column].to_pylist() if column in rows.column_names else []
        found = [name if (name := names.get(value)) in in_force else None for value in values]
        return found if any(found) else None

    def get(self, segment: str) -> Served | None:
        """Return the version of a segment, if it is in memory."""
        self._used[segment] = next(self._uses)
        return self._held.get(segment)

    def open(self, segment: str) -> Served:
        """Return the version of a segment, and load it if necessary; raises `RequestError` if that fails."""
        with self._loading:
            if (held := self._held.get(segment)) is not None:
                return held
            try:
                return self._load(segment)
            except RatchetError as error:
                why = error.message.partition(":")[0]
                raise RequestError(
                    f"The version of segment {segment} does not answer: {why}.", status=503, retry_after=2
                ) from error

    def look(self) -> bool:
        """Update the versions from the ledgers; without new events this takes one call of the store for any number of segments.

        Returns
        -------
        bool
            Whether a version is in memory that is not compiled yet.

        Raises
        ------
        RatchetError
            When a ledger can't be read, or the store does not answer; for its segment what is served stays.
        """
        if not self.declared:
            return False
        try:
            if self._behind or self._log.has_news():
                self._read()
        finally:
            self._replace()
        return not all(served.compiled for served in self.loaded)

    def _read(self) -> None:
        """Read the ledgers that are not read as far as is announced."""
        self._behind = True
        announced, names = self._log.announced(), self._log.ever()
        for name in names.values():
            self._ledgers.setdefault(name, Ledger(self._store, segment_key(self._declared.name, name)))
        due = [name for name in self._ledgers if announced.get(name, 0) >= len(self._entries.get(name, ()))]
        found = at_once(self._store, [partial(self._read_one, name) for name in due])
        failed = [error for error in found if error is not None]
        self._names = names
        self._in_force = {name: one for name in self._ledgers if (one := self._champion(name)) is not None}
        if failed:
            raise failed[0]
        self.known = True
        self._behind = any(announced.get(name, -1) >= len(self._entries[name]) for name in due)

    def _read_one(self, segment: str) -> RatchetError | None:
        try:
            self._entries[segment] = self._ledgers[segment].entries()
        except RatchetError as error:
            return error
        return None

    def _timeline(self, segment: str) -> Timeline:
        return fold(self._entries.get(segment, ()))

    def _champion(self, segment: str) -> InForce | None:
        timeline = self._timeline(segment)
        version = timeline.champion
        return None if version is None else InForce(segment, version, to_iso(timeline[version].as_of))

    def _replace(self) -> None:
        """Replace loaded versions that are no longer in force; a withdrawn version is removed in any case."""
        for segment, served in list(self._held.items()):
            wanted = self._in_force.get(segment)
            if wanted is not None and wanted.version == served.version:
                continue
            if wanted is None or self._timeline(segment)[served.version].withdrawn is not None:
                self._held.pop(segment, None)
            if wanted is None:
                continue
            try:
                with self._loading:
                    self._load(segment)
            except StoreUnavailable:
                raise
            except RatchetError:
                continue

    def _load(self, segment: str) -> Served:
        """Load the version in force, and its successor if that changes during loading."""
        while (wanted := self._in_force.get(segment)) is not None:
            served = self._held[segment] = self._open(wanted)
            self._used[segment] = next(self._uses)
            while len(self._held) > self._most:
                self._held.pop(min(list(self._held), key=lambda one: self._used.get(one, -1)), None)
            if self._in_force.get(segment) == wanted:
                metrics.SWAPS.labels(self._declared.declared_name).inc()
                log.info("%s: %s answers for segment %s now", self._declared.declared_name, wanted.version, segment)
                return served
        self._held.pop(segment, None)
        raise RegistryError("It is no longer in force.")

    def _open(self, wanted: InForce) -> Served:
        tried, why = self._refused.get(wanted.version, (0.0, None))
        if why is not None and time.monotonic() < tried + RETRY_SECONDS:
            raise RegistryError(why)
        ledger, declared = self._ledgers[wanted.segment], kept_as(self._declared, wanted.segment)
        try:
            served = open_served(ledger, declared, self._folder, wanted.version)
        except StoreUnavailable:
            raise
        except RatchetError as error:
            self._refused[wanted.version] = (time.monotonic(), error.message)
            metrics.REFUSED.labels(self._declared.declared_name).inc()
            log.error("%s: %s can't be served: %s", declared.declared_name, wanted.version, error.message)
            raise
        self._refused.pop(wanted.version, None)
        return served
