"""Ingestion: read what a run needs of its sources, record it in their catalogues, and pin it in a snapshot."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.data.ingestion.source_pinning import IngestionRun, pin_source
from include.data.joins.pinning import with_joins
from include.data.random_split import random_split
from include.data.snapshots import Snapshot, coverage
from include.data.sources.connections import Connections
from include.data.table_versions import name_snapshot
from include.data.windows import Split, Window, split_at
from include.errors import DataError, NotEnoughRows
from include.storage.content import to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


def ingest(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    *,
    as_of: datetime,
    at: datetime,
    connections: Connections,
    started: datetime | None = None,
    wait: bool = False,
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
        then, also if the clock of a worker is wrong.
    wait : bool
        Whether the newest partition may be waited for, as ``data.wait`` says; nothing of it is put on record meanwhile.

    Returns
    -------
    Snapshot
        Already saved.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    NotYetThere
        When what is waited for of the newest partition that is over is not there yet.
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
    wait: bool = False,
) -> Snapshot:
    """Bring the partitions of one window into the store, and pin them: rows to predict, nothing to learn from.

    The window is the snapshot's holdout, its training window is empty, and it may hold no row at all.

    Parameters
    ----------
    at, started : datetime
        As for `ingest`.
    as_of : datetime, optional
        The as-of of the run; the window's end if left out. It is needed for a table without event time, whose
        window (`include.data.random_split.whole_table`) does not lie in time.

    Raises
    ------
    SourceError, SchemaChanged
        When rows are not as declared, or not as on record.
    NotYetThere
        When what is waited for of the newest partition that is over is not there yet.
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
    wait: bool,
) -> Snapshot:
    if as_of > started:
        raise DataError(
            "The as-of lies in the future.",
            expected=f"an instant until {to_iso(started)}, when the run began",
            found=to_iso(as_of),
            where=f"model {model.name}",
            remedy="choose an earlier as-of",
        )
    run = IngestionRun(store, model.name, folder, as_of, at, started, connections)

    def pin(data: Data, split: Split, wait: bool = False) -> Snapshot:
        return pin_source(run, data, model.rectify_of(data), split, wait=wait)

    return with_joins(pin(model.data, split, wait), model.data, pin)


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
