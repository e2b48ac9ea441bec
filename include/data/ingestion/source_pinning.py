"""Pin one source: read its partitions that are due, record them in its catalogue, and name their contents in a snapshot."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from include.config.sections.data import Data
from include.config.sections.rows.rectify import Rectify
from include.data.ingestion.catalogue import Catalogue, doubtful_slots
from include.data.ingestion.due_slots import due_slots
from include.data.ingestion.lateness import late_marker, late_slot
from include.data.ingestion.readings import in_doubt, in_force, recorded_schema, retractions
from include.data.ingestion.slot_reading import read_slots, unfinished
from include.data.snapshots import Snapshot
from include.data.sources.connections import Connections
from include.data.sources.registry import source_digest
from include.data.windows import Split
from include.storage.content import to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestionRun:
    """One run of ingestion, which reads the model's own source and those that are joined with it.

    Attributes
    ----------
    store : ObjectStore
        The store that partitions and catalogues are written to.
    model : str
        The model's name.
    folder : Path
        The model's folder.
    as_of : datetime
        The as-of of the run.
    at : datetime
        The instant of reading, which is recorded.
    started : datetime
        When the run began. What the source holds is known until then.
    connections : Connections
        Clients of the sources.
    done : dict of str to set of str
        The slots that this run has read, by the digest of their source.
    """

    store: ObjectStore
    model: str
    folder: Path
    as_of: datetime
    at: datetime
    started: datetime
    connections: Connections
    done: dict[str, set[str]] = field(default_factory=dict)


def pin_source(run: IngestionRun, data: Data, rectify: Rectify, split: Split, *, wait: bool) -> Snapshot:
    """Bring the partitions of one source into the store, and pin those that the windows need.

    Parameters
    ----------
    data : Data
        How the source is declared.
    rectify : Rectify
        What is corrected in its rows as they are read.
    split : Split
        The windows whose partitions are needed.
    wait : bool
        Whether the newest partition may be waited for, as ``data.wait`` declares.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    NotYetThere
        When the newest partition is waited for and has not arrived.
    """
    needed = split.slots(data.partition)
    source = source_digest(data, run.folder, rectify)
    catalogue = Catalogue(run.store, run.model, source)
    entries = catalogue.log.read()
    known = in_force(entries, retractions(entries))
    doubtful = doubtful_slots(entries, run.started) | in_doubt(entries)
    due = due_slots(needed, known, data, doubtful, split.holdout.until)
    # Two joins of one source, such as the weather at both ends of a flight: the run has read it.
    before = run.done.setdefault(source, set())
    due = again = [slot for slot in due if slot not in before]
    until = run.as_of + data.wait.at_most if wait else run.as_of
    where = f"model {run.model}, as of {to_iso(run.as_of)}"
    # Looked for before the rows are read: what is read after the marker was seen is whole.
    unmarked = late_marker(data, needed, split.holdout, run.folder, run.connections) if due else None
    unmarked = unmarked if unmarked is not None and unmarked.slot in due else None
    if unmarked is not None and run.at < until:
        raise unmarked.to_error(data, until, where)
    while again:
        log.info("%s: reading %d of %d partitions, %s to %s", run.model, len(again), len(needed), again[0], again[-1])
        entries = catalogue.log.known
        observations, schema = read_slots(
            run.store,
            catalogue.folder,
            run.model,
            data,
            run.folder,
            again,
            recorded_schema(entries),
            run.started,
            run.connections,
            rectify,
        )
        looked = [one.pinned() for one in observations]
        late = unmarked or late_slot(run.store, catalogue.folder, data, needed, looked, split.holdout)
        if late is not None and run.at < until:
            # What is waited for is not on record as empty: `as_known_then` would have it empty for ever.
            observations = [one for one in observations if one.slot != late.slot]
        elif late is not None and data.wait.at_most:
            observations = [unfinished(one) if one.slot == late.slot else one for one in observations]
        again = catalogue.record(observations, schema, run.at, seen=len(entries), started=run.started)
        if late is not None and run.at < until:
            raise late.to_error(data, until, where)
    before |= set(due)
    newest = catalogue.newest()
    chosen = newest if data.corrections == "as_now_known" else catalogue.known_by(run.as_of, data.label_delay)
    if behind := [slot for slot in needed if chosen[slot].content != newest[slot].content]:
        log.info("%s: as known at as-of, before later corrections: %s", run.model, ", ".join(behind))
    pinned = tuple(chosen[slot].pinned() for slot in needed)
    snapshot = Snapshot(
        run.model, run.as_of.astimezone(UTC), source, split, pinned, cast(dict[str, str], catalogue.schema())
    )
    changed = sum(slot in known and known[slot].content != newest[slot].content for slot in due)
    log.info(
        "%s: snapshot %s pins %d partitions with %d rows; %d were read, %d of them new, %d corrected",
        *(run.model, snapshot.digest[:12], len(pinned), sum(one.rows for one in pinned)),
        *(len(due), sum(slot not in known for slot in due), changed),
    )
    return snapshot
