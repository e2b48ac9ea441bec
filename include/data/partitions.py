"""Partitions of a source: read once, stored by content, listed in a log; what is on record decides what is read."""

from __future__ import annotations

import functools
import hashlib
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.durations import Duration
from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.config.sections.sources import ColumnType
from include.data.columns.conversion import ARROW, declared_type
from include.data.columns.lookalikes import LookAlikes
from include.data.random_split import random_split
from include.data.row_digests import in_canonical_order, table_digest
from include.data.slot_buffer import SlotBuffer
from include.data.slots import bounds
from include.data.snapshots import Pinned, Snapshot, coverage, partitions_folder
from include.data.sources.connections import Connections
from include.data.sources.registry import read, source_digest
from include.data.table_versions import name_snapshot
from include.data.windows import Split, Window, split_at
from include.errors import DataError, NotEnoughRows, NotYetThere, ObjectCorrupt, SchemaChanged, SourceError
from include.storage.content import from_iso, known_fields, to_iso
from include.storage.log import Entry, Log, recorded_by
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

OBSERVED = "observed"
SKEW = timedelta(minutes=5)
"""How far the clocks of machines may differ; one that is ahead by more is not believed."""


@dataclass(frozen=True)
class Observation:
    """What one reading of the source found in one slot.

    ``complete_to`` is how far in time the reading knew the slot: until its run began, but no later than the slot's end plus
    the label delay, from when on nothing is due any more.
    """

    slot: str
    content: str
    file: str
    rows: int
    bytes: int
    complete_to: str


class Catalogue:
    """The partitions of one source that are on record. Of several observations of a slot the last on record stands.

    The log is read once: what this object has read or written by then is what it knows.
    """

    def __init__(self, store: ObjectStore, model: str, source: str) -> None:
        self.folder = partitions_folder(model, source)
        self.log = Log(store, f"{self.folder}/log")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the log as this object last read or wrote them."""
        return self.log.known or self.log.read()

    def schema(self) -> dict[str, ColumnType]:
        """Return the schema on record, empty before the first ingestion found a row."""
        return _schema(self.entries)

    def newest(self) -> dict[str, Observation]:
        """Return the newest observation of every slot."""
        return {slot: observation for slot, (observation, _) in _newest(self.entries).items()}

    def known_by(self, instant: datetime) -> dict[str, Observation]:
        """Return of every slot what was on record at ``instant``; the first observation of those that were read later."""
        entries = self.entries
        first = {slot: observation for slot, (observation, _) in _newest(reversed(entries)).items()}
        return first | {slot: one for slot, (one, _) in _newest(recorded_by(entries, instant)).items()}

    def record(
        self,
        observations: Sequence[Observation],
        schema: Mapping[str, str],
        at: datetime,
        *,
        seen: int,
        started: datetime,
    ) -> list[str]:
        """Put on record what is news, and return the slots that must be read again.

        An observation is no news when the newest of its slot has the same content and knows no less. If somebody else put
        another content on record while the source was read, nobody can say which of the two looked last: the slot is read
        again, and nothing is recorded of it.

        Parameters
        ----------
        at : datetime
            The instant that goes on record, for people.
        seen : int
            How many entries were on record before the source was read.
        started : datetime
            When the run that read the source began.

        Raises
        ------
        SchemaChanged
            When another ingestion has recorded another schema meanwhile.
        """
        again: list[str] = []

        def decide(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known, recorded = _newest(entries), _schema(entries)
            if schema and recorded and dict(schema) != recorded:
                raise SchemaChanged(
                    "Another ingestion has just recorded another schema.", expected=recorded, found=dict(schema)
                )
            doubtful, news = _doubtful(entries, started), []
            again.clear()
            for one in observations:
                before, number = known.get(one.slot, (None, -1))
                if before is not None and number >= seen and before.content != one.content:
                    again.append(one.slot)
                elif before is None or one.slot in doubtful or _tells_more(one, before):
                    news.append(one)
            if not news:
                return None
            return OBSERVED, {"partitions": [asdict(one) for one in news], "schema": dict(schema or recorded)}

        self.log.append(decide, at=to_iso(at))
        return again


def ingest(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    *,
    as_of: datetime,
    at: datetime,
    connections: Connections,
    started: datetime | None = None,
    wait: Duration | None = None,
) -> Snapshot:
    """Bring the partitions that a run at ``as_of`` needs into the store, and pin them.

    Read are those that are lacking, gaps (empty, but younger than the first data) or were not complete when they were last read, and the newest ``data.recheck``
    of the others. A slot is always read whole, also beyond ``as_of``: so what is stored does not depend on the order in
    which runs came; `read_rows` gives a run only what lies before its as-of.

    Parameters
    ----------
    folder : Path
        The model's folder.
    as_of : datetime
        The instant that the run stands at.
    at : datetime
        The instant of reading, which goes on record for people.
    started : datetime, optional
        When the run began, by the clock of those who start runs; ``at`` if left out. What the source holds is known until
        then, whatever the clock of a worker says.
    wait : Duration, optional
        How long after ``as_of`` the newest partition may be waited for; nothing of it is put on record meanwhile.

    Returns
    -------
    Snapshot
        Already saved.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    NotYetThere
        When the newest partition that is over has no row yet, and may be waited for.
    NotEnoughRows
        When the source has no row at all in a window's partitions.
    DataError
        When ``as_of`` lies after ``started``.
    """
    split = _split(model.data, as_of)
    snapshot = _pin(
        store, model, folder, split, as_of=as_of, at=at, started=started or at, connections=connections, wait=wait
    )
    _check_coverage(snapshot)
    if model.data.timeless:
        snapshot = name_snapshot(store, snapshot)
    snapshot.save(store)
    return snapshot


def _split(data: Data, as_of: datetime) -> Split:
    if data.windows is None:
        return random_split(data.holdout or 0.0)
    return split_at(as_of, data.windows, data.label_delay)


def ingest_window(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    window: Window,
    *,
    at: datetime,
    connections: Connections,
    as_of: datetime | None = None,
    started: datetime | None = None,
    wait: Duration | None = None,
) -> Snapshot:
    """Bring the partitions of one window into the store, and pin them: rows to predict, nothing to learn from.

    The window is the snapshot's holdout, its training window is empty, and it may hold no row at all.

    Parameters
    ----------
    at, started : datetime
        As for `ingest`.
    as_of : datetime, optional
        The instant that the run stands at; the window's end if left out. It is needed for a table without event time, whose
        window (`include.data.random_split.whole_table`) does not lie in time.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    NotYetThere
        When the newest partition that is over has no row yet, and may be waited for.
    DataError
        When the window ends after ``started``.
    """
    split = Split(train=Window(window.after, window.after), holdout=window)
    snapshot = _pin(
        store,
        model,
        folder,
        split,
        as_of=as_of or window.until,
        at=at,
        started=started or at,
        connections=connections,
        wait=wait,
    )
    snapshot.save(store)
    return snapshot


def read_again(
    scratch: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    *,
    at: datetime,
    connections: Connections,
) -> Snapshot:
    """Read a snapshot's partitions from the source once more, into another store; return what is pinned there.

    Parameters
    ----------
    scratch : ObjectStore
        The store that the partitions are written to.
    folder : Path
        The model's folder.
    snapshot : Snapshot
        Gives the partitions to read and their schema.
    at : datetime
        Instant that goes on record as the time of reading.
    connections : Connections
        Opens the clients that the source needs.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or no longer of the snapshot's schema.
    """
    slots = [pinned.slot for pinned in snapshot.partitions]
    schema = cast(dict[str, ColumnType], snapshot.schema)
    place = partitions_folder(snapshot.model, snapshot.source)
    observations, _ = _observe(scratch, place, model, folder, slots, schema, at, connections)
    return replace(snapshot, partitions=tuple(map(_pinned, observations)), excluded=None)


def _pin(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    split: Split,
    *,
    as_of: datetime,
    at: datetime,
    started: datetime,
    connections: Connections,
    wait: Duration | None,
) -> Snapshot:
    data = model.data
    if as_of > started:
        raise DataError(
            "The as-of lies in the future.",
            expected=f"an instant until {to_iso(started)}, when the run began",
            found=to_iso(as_of),
            where=f"model {model.name}",
            remedy="choose an earlier as-of",
        )
    needed = split.slots(data.partition)
    source = source_digest(data, folder)
    catalogue = Catalogue(store, model.name, source)
    entries = catalogue.log.read()
    known = {slot: one for slot, (one, _) in _newest(entries).items()}
    due = again = _due(needed, known, data, _doubtful(entries, started))
    until = as_of + (wait or Duration("0s"))
    while again:
        log.info("%s: reading %d of %d partitions, %s to %s", model.name, len(again), len(needed), again[0], again[-1])
        entries = catalogue.log.known
        observations, schema = _observe(
            store, catalogue.folder, model, folder, again, _schema(entries), started, connections
        )
        late = _late(needed, observations, split.holdout) if at < until else None
        # What is waited for is not on record as empty: `as_known_then` would have it empty for ever.
        there = [one for one in observations if one.slot != late]
        again = catalogue.record(there, schema, at, seen=len(entries), started=started)
        if late is not None:
            raise NotYetThere(
                f"Partition {late} has no row yet.",
                until=until,
                expected=f"rows by {to_iso(until)}, which `data.wait: {wait}` gives it",
                where=f"model {model.name}, as of {to_iso(as_of)}",
            )
    newest = catalogue.newest()
    chosen = newest if data.corrections == "as_now_known" else catalogue.known_by(as_of)
    if behind := [slot for slot in needed if chosen[slot].content != newest[slot].content]:
        log.info("%s: as known at as-of, before later corrections: %s", model.name, ", ".join(behind))
    pinned = tuple(_pinned(chosen[slot]) for slot in needed)
    snapshot = Snapshot(
        model.name, as_of.astimezone(UTC), source, split, pinned, cast(dict[str, str], catalogue.schema())
    )
    changed = sum(slot in known and known[slot].content != newest[slot].content for slot in due)
    log.info(
        "%s: snapshot %s pins %d partitions with %d rows; %d were read, %d of them new, %d corrected",
        *(model.name, snapshot.digest[:12], len(pinned), sum(one.rows for one in pinned)),
        *(len(due), sum(slot not in known for slot in due), changed),
    )
    return snapshot


def _pinned(one: Observation) -> Pinned:
    return Pinned(one.slot, one.content, one.file, one.rows)


def _due(needed: Sequence[str], known: Mapping[str, Observation], data: Data, doubtful: set[str]) -> list[str]:
    first = min((slot for slot, one in known.items() if one.rows), default="")

    def settled(slot: str) -> bool:
        # An empty slot is a gap that a late file may fill, unless it lies before all data.
        if slot not in known or slot in doubtful or not (known[slot].rows or slot < first):
            return False
        return from_iso(known[slot].complete_to) >= _settled_at(slot, data.label_delay)

    if data.timeless:
        return list(needed)  # nothing but reading tells whether a table has changed
    recheck = set(needed[len(needed) - data.recheck :]) if data.recheck else set()
    return [slot for slot in needed if slot in recheck or not settled(slot)]


def _late(needed: Sequence[str], found: Sequence[Observation], window: Window) -> str | None:
    """Return the newest slot that is over by the window's end, if a look at it found no row."""
    over = [slot for slot in needed if bounds(slot)[1] <= window.until]
    return next((one.slot for one in found if over and one.slot == over[-1] and not one.rows), None)


def _settled_at(slot: str, label_delay: Duration) -> datetime:
    """Return when nothing of a slot is due any more: its newest row has its label."""
    settled: datetime = bounds(slot)[1] + label_delay
    return settled


def _observe(
    store: ObjectStore,
    place: str,
    model: ModelConfig,
    folder: Path,
    slots: list[str],
    recorded: Mapping[str, ColumnType],
    started: datetime,
    connections: Connections,
) -> tuple[list[Observation], dict[str, str]]:
    data = model.data
    observations = []
    looks = LookAlikes()
    with tempfile.TemporaryDirectory(prefix="ratchet-ingest-") as scratch:
        spool = SlotBuffer(Path(scratch), slots, data.event_time)
        schema: dict[str, str] = dict(recorded)
        for batch in read(data, folder, slots=slots, recorded=recorded, connections=connections):
            spool.add(batch)
            looks.add(batch)
        if spool.schema is not None and not schema:
            schema = _words(spool.schema)
        if spool.elsewhere:
            log.info(
                "%s: %d rows of other partitions were passed over (event times %s to %s)",
                *(model.name, spool.elsewhere, _instant(spool.first), _instant(spool.last)),
            )
        for slot, table in spool.tables():
            if table is None:
                table = _empty(schema)
            complete_to = to_iso(min(started.astimezone(UTC), _settled_at(slot, data.label_delay)))
            observations.append(_keep(store, place, slot, table, data, complete_to))
            log.debug("%s: partition %s has %d rows", model.name, slot, observations[-1].rows)
    for name, count in looks.found().items():
        log.warning("%s: %d levels of column %s look like another one; they are kept apart", model.name, count, name)
    return observations, schema


def _keep(store: ObjectStore, place: str, slot: str, table: pa.Table, data: Data, complete_to: str) -> Observation:
    """Store the rows of one slot under their content, unless they are there."""
    keys = dict.fromkeys([data.event_time, *data.row_id])
    table = in_canonical_order(table, [key for key in keys if key in table.column_names])
    _check_unique(table, data, slot)
    content = table_digest(table)
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=texts, write_page_checksum=True)
    key, body = f"{place}/{slot}/{content}.parquet", sink.getvalue().to_pybytes()
    if not store.put_if_absent(key, body):
        stored = store.get(key)
        # Another version of the library may have written the same rows in other bytes: those in the store stand.
        if stored != body and table_digest(pq.read_table(pa.BufferReader(stored))) != content:
            raise ObjectCorrupt(
                "A stored partition does not hold the rows that it is named by.",
                where=f"{store.url}: {key}",
                remedy="restore the object from a backup, or remove it and ingest again",
            )
        body = stored
    file = hashlib.sha256(body).hexdigest()
    return Observation(slot, content, file, table.num_rows, len(body), complete_to)


def _check_unique(table: pa.Table, data: Data, slot: str) -> None:
    if not table.num_rows:
        return
    row_id = list(data.row_id)
    if data.event_time in row_id:
        # Sorted by event time and id, so equal ids are neighbours; far cheaper than grouping.
        same = [pc.equal(table[name][1:], table[name][:-1]) for name in row_id]
        repeated = pc.sum(functools.reduce(pc.and_, same)).as_py() or 0
    else:
        repeated = table.num_rows - table.select(row_id).group_by(row_id).aggregate([]).num_rows
    if repeated:
        raise SourceError(
            f"Rows of partition {slot} have the same id.",
            expected=f"one row for each {', '.join(row_id)}",
            found=f"{repeated} rows too many",
            remedy="add a column to `data.row_id` that tells them apart, or remove repeated rows where they come from",
        )


def _words(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(declared_type(field.type)) for field in schema}


def _empty(schema: Mapping[str, str]) -> pa.Table:
    return pa.table({name: pa.array([], ARROW[cast(ColumnType, word)]) for name, word in schema.items()})


def _instant(microseconds: int | None) -> str:
    return (
        "none"
        if microseconds is None
        else to_iso(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds))
    )


def _newest(entries: Iterable[Entry]) -> dict[str, tuple[Observation, int]]:
    """Return the last observation of each slot, with the number of its entry."""
    newest = {value["slot"]: (value, entry.number) for entry in entries for value in entry.body["partitions"]}
    return {slot: (_observation(value), number) for slot, (value, number) in newest.items()}


def _observation(value: dict[str, Any]) -> Observation:
    return Observation(**known_fields(Observation, value))


def _doubtful(entries: Sequence[Entry], started: datetime) -> set[str]:
    """Return the slots of which nobody can say how far in time they are known, since the clock that said so was ahead."""
    # No entry can be younger than those after it, nor than now. Beyond what clocks differ by, it was not read when it says.
    latest, ahead = started, set()
    for entry in reversed(entries):
        at = from_iso(entry.at)
        if at > latest + SKEW:
            ahead.add(entry.number)
        latest = min(latest, at)
    return {slot for slot, (_, number) in _newest(entries).items() if number in ahead} if ahead else set()


def _schema(entries: Sequence[Entry]) -> dict[str, ColumnType]:
    return next((dict(entry.body["schema"]) for entry in entries if entry.body["schema"]), {})


def _tells_more(one: Observation, before: Observation) -> bool:
    return one.content != before.content or from_iso(one.complete_to) > from_iso(before.complete_to)


def _check_coverage(snapshot: Snapshot) -> None:
    for name in ("train", "holdout"):
        window = getattr(snapshot.split, name)
        facts = coverage(snapshot, window)
        if not facts.rows:
            raise NotEnoughRows(
                f"The source has no row for the {name} window.",
                expected=f"rows after {to_iso(window.after)} until {to_iso(window.until)}",
                found=f"{facts.slots} partitions, all of them empty",
                where=f"model {snapshot.model}, as of {to_iso(snapshot.as_of)}",
                remedy="choose an as-of at which the source has data, or shorten `data.windows`",
            )
        if facts.empty:
            what = "begins before the data" if facts.begins_before_data else "has gaps"
            log.warning(
                "%s: the %s window %s: %d of %d partitions are empty (%s to %s)",
                *(snapshot.model, name, what, len(facts.empty), facts.slots, facts.empty[0], facts.empty[-1]),
            )
