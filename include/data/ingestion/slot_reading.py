"""Read slots of a source and store their rows as partitions, each named by its content."""

from __future__ import annotations

import functools
import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.sources import ColumnType
from include.data.columns.conversion import ARROW, declared_type
from include.data.columns.lookalikes import LookAlikes
from include.data.ingestion.due_slots import settled_at
from include.data.ingestion.readings import Observation
from include.data.ingestion.slot_buffer import SlotBuffer
from include.data.row_digests import in_canonical_order, table_digest, without_duplicates
from include.data.slots import bounds
from include.data.snapshots import DUPLICATES, Snapshot, partitions_folder
from include.data.sources.connections import Connections
from include.data.sources.registry import read
from include.errors import ObjectCorrupt, SourceError
from include.storage.content import from_iso, to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


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

    def again(data: Data, pinned: Snapshot) -> Snapshot:
        slots = [one.slot for one in pinned.partitions]
        schema = cast(dict[str, ColumnType], pinned.own_schema)
        place, rectify = partitions_folder(pinned.model, pinned.source), model.rectify_of(data)
        observations, _ = read_slots(scratch, place, model.name, data, folder, slots, schema, at, connections, rectify)
        return replace(pinned, partitions=tuple(one.pinned() for one in observations), excluded=None)

    own, *others = [again(*one) for one in zip(model.data.sources, snapshot.sources, strict=True)]
    joins = [replace(join, rows=rows) for join, rows in zip(snapshot.joins, others, strict=True)]
    return replace(own, joins=tuple(joins))


def read_slots(
    store: ObjectStore,
    place: str,
    model: str,
    data: Data,
    folder: Path,
    slots: list[str],
    recorded: Mapping[str, ColumnType],
    started: datetime,
    connections: Connections,
    rectify: Rectify = AS_READ,
) -> tuple[list[Observation], dict[str, str]]:
    """Read some slots of a source, whole, and store their rows.

    Parameters
    ----------
    store : ObjectStore
    place : str
        The folder of the source's partitions in the store.
    model : str
        The model's name, for the log.
    data : Data
        How the source is declared.
    folder : Path
        The model's folder.
    slots : list of str
        The slots to read, oldest first.
    recorded : mapping of str to ColumnType
        The schema on record, empty before the first ingestion.
    started : datetime
        When the run began: what the source holds is known until then.
    connections : Connections
        Opens the clients that the source needs.
    rectify : Rectify
        Corrections of the rows; slot by slot, so that no row depends on rows that arrive later.

    Returns
    -------
    list of Observation, dict of str to str
        One observation a slot, in their order, and the schema of the rows.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    """
    observations = []
    looks = LookAlikes()
    with tempfile.TemporaryDirectory(prefix="ratchet-ingest-") as scratch:
        spool = SlotBuffer(Path(scratch), slots, data.event_time)
        schema: dict[str, str] = dict(recorded)
        for batch in read(
            data,
            folder,
            slots=slots,
            recorded=recorded,
            connections=connections,
            rectify=rectify,
            changed=spool.count,
        ):
            spool.add(batch)
            looks.add(batch)
        if spool.schema is not None and not schema:
            schema = _words(spool.schema)
        if spool.elsewhere:
            log.info(
                "%s: %d rows of other partitions were ignored (event times %s to %s)",
                *(model, spool.elsewhere, _instant(spool.first), _instant(spool.last)),
            )
        for slot, table in spool.tables():
            if table is None:
                table = _empty(schema)
            complete_to = to_iso(min(started.astimezone(UTC), settled_at(slot, data.label_delay)))
            if rectify.drop_duplicates:
                table, dropped = without_duplicates(table)
                spool.changed[slot][DUPLICATES] += dropped
            counts = tuple(sorted((name, count) for name, count in spool.changed[slot].items() if count))
            kept = _keep(store, place, slot, table, data, complete_to)
            observations.append(replace(kept, rectified=counts))
            log.debug("%s: partition %s has %d rows", model, slot, observations[-1].rows)
    for name, count in looks.found().items():
        log.warning("%s: %d levels of column %s look like another one; they are kept apart", model, count, name)
    return observations, schema


def unfinished(found: Observation) -> Observation:
    """Return what was found in a slot as what is not known to be whole yet: a later run reads it again."""
    before_its_end = bounds(found.slot)[1] - timedelta(microseconds=1)
    return replace(found, complete_to=to_iso(min(before_its_end, from_iso(found.complete_to))))


def keep_nothing(store: ObjectStore, place: str, slot: str, schema: Mapping[str, str], data: Data) -> Observation:
    """Store a partition without rows, of which nothing is known yet.

    Parameters
    ----------
    store : ObjectStore
    place : str
        The folder of the source's partitions in the store.
    slot : str
        The partition.
    schema : mapping of str to str
        The types of its columns.
    data : Data
        How the source is declared.
    """
    return _keep(store, place, slot, _empty(schema), data, to_iso(bounds(slot)[0]))


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
                "The rows of a stored partition do not match its digest.",
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
            remedy="add a column to `row_id` that tells them apart (of a join, that which says when a row became known, as `known_at`), or remove repeated rows in the source",
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
