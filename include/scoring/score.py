"""Batch scoring: predict the rows of one interval with the champion as of its start."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.config.schedule_ticks import interval_until
from include.config.sections.rows.sources import Slot
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest_window
from include.data.random_split import whole_table
from include.data.snapshots import Snapshot
from include.data.sources.connections import Connections
from include.data.windows import Window
from include.registry.versions import Version
from include.scoring.attributions import Attributions, NotAttributable, attribute
from include.scoring.champions import Champions, SegmentChampion
from include.scoring.library_check import require_usable
from include.scoring.predictor import Predictor, open_predictor
from include.scoring.publication import Manifest, Publication
from include.scoring.scores import Scores, keys_of, scores_of
from include.storage.content import to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

_TICKS = {Slot.HOUR: "@hourly", Slot.DAY: "@daily", Slot.MONTH: "@monthly"}


def interval_at(model: ModelConfig, instant: datetime) -> Window:
    """Return the newest interval that is over at ``instant``: between two ticks of ``schedule.score``.

    Without such a schedule an interval is as long as a partition. A table without event time is scored as of the instant
    itself, to the second: its interval begins and ends there.
    """
    schedule = model.schedule
    if model.data.timeless:
        second = instant.astimezone(UTC).replace(microsecond=0)
        return Window(second, second)
    if schedule.score is None:
        return Window(*interval_until(_TICKS[model.data.partition], instant, "UTC"))  # as partitions begin and end
    return Window(*interval_until(schedule.score, instant, schedule.timezone))


def ingest_interval(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    interval: Window,
    *,
    at: datetime,
    connections: Connections,
    started: datetime | None = None,
) -> Snapshot:
    """Bring in and pin the rows of an interval from `interval_at`; of a table without event time all its rows.

    Errors are those of `include.data.ingestion.ingest.ingest_window`.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    folder : Path
        The model's folder.
    interval : Window
        In event time.
    at : datetime
        The instant that goes on record.
    connections : Connections
        Open what the source needs.
    started : datetime, optional
        When the run began.

    Returns
    -------
    Snapshot
        Whose holdout window is the interval.
    """
    window = whole_table() if model.data.timeless else interval
    return ingest_window(
        store,
        model,
        folder,
        window,
        as_of=interval.until,
        at=at,
        started=started,
        connections=connections,
        wait=True,
    )


def score(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, *, at: datetime, threads: int = 1
) -> Manifest | None:
    """Predict the rows of a snapshot's holdout window, and publish the scores as those of that interval.

    The version is ``champion_as_of`` the interval's start: it was in force before any of the rows happened, so none of
    them can have been in its training, for any lengths of interval and holdout. Of a table without event time all rows
    are predicted, by the champion as of the snapshot's as-of. Rows without a target are predicted
    like all others, and columns are derived by the code that the version was fitted with. Rows of a segment whose own model
    has such a champion are predicted by that one. Repeated, the same bytes are found in force. If another champion as of then
    lands meanwhile, the rows are scored again, by that one.

    Parameters
    ----------
    folder : Path
        The model's folder.
    snapshot : Snapshot
        From `ingest_interval`.
    at : datetime
        The instant that goes on record.
    threads : int
        How many threads predicting may compute with.

    Returns
    -------
    Manifest or None
        What is in force for the interval; None if there was no champion.

    Raises
    ------
    NotEnoughRows
        When the interval holds no row.
    EvaluationError, DataError, ModelFileRefused
        When the version can't predict these rows.
    LibrariesChanged
        When it can't be used unchanged with the installed libraries.
    ObjectCorrupt, ObjectMissing
        When something that the ledger names, directly or not, is not what it is named by; nothing of it is run then.
    """
    interval = snapshot.split.holdout
    if model.data.timeless:
        interval = Window(snapshot.as_of, snapshot.as_of)
    champions, publication = Champions(store, model, interval.after), Publication(store, model.name, interval)
    while (wanted := champions.ids())[0] is not None:
        version, segments = wanted[0], champions.of_segments(wanted[1])
        record = champions.pooled.version(version)
        scores, answered = _predict_all(store, model, folder, snapshot, record, segments, threads)
        manifest = Manifest(
            version=version,
            **interval.to_json(),
            rows=scores.table.num_rows,
            outside=scores.outside,
            columns=scores.columns,
            scores=publication.put(scores.table),
            snapshot=snapshot.digest,
            segments=answered,
        )
        if publication.publish(manifest, still_wanted=lambda scored=wanted: champions.ids() == scored, at=at):  # type: ignore[misc] # mypy can't type a bound default
            _say(model, manifest)
            return manifest
        log.info("Another version is the champion as of %s now: scoring again", to_iso(interval.after))
    return None


def _predict_all(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    version: Version,
    segments: Sequence[SegmentChampion],
    threads: int,
) -> tuple[Scores, dict[str, str]]:
    """Return the scores of all rows in their order, and which segments a version of their own answered for."""
    if not segments:
        return _predict(store, model, folder, snapshot, version, threads), {}
    column = segments[0].segment.column
    levels = read_rows(store, snapshot, model, folder, window="holdout", columns=[column], labelled=False)
    places = {one.name: found for one in segments if len(found := one.positions(levels))}
    others = np.setdiff1d(np.arange(len(levels)), np.concatenate([np.empty(0, "intp"), *places.values()]))
    parts = [
        (places[one.name], _predict(store, one.model, folder, one.rows_of(snapshot), one.version, threads))
        for one in segments
        if one.name in places
    ]
    if len(others):
        parts.append((others, _predict(store, model, folder, snapshot, version, threads, only=others)))
    whole = pa.concat_tables([scores.table for _, scores in parts], promote_options="default")
    ordered = whole.take(np.argsort(np.concatenate([where for where, _ in parts]))).combine_chunks()
    outside: Counter[str] = Counter()
    for _, scores in parts:
        outside.update(scores.columns)
    answered = {one.name: one.version.id for one in segments if one.name in places}
    return Scores(ordered, sum(scores.outside for _, scores in parts), dict(outside)), answered


def _predict(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    version: Version,
    threads: int,
    *,
    only: np.ndarray[Any, Any] | None = None,
) -> Scores:
    data = model.data
    require_usable(store, model, folder, version)
    with open_predictor(store, model, folder, version) as predictor:
        columns = list(dict.fromkeys([*keys_of(data, snapshot.schema), *predictor.fit.columns]))
        frame = predictor.read(store, snapshot, columns)
        if only is not None:
            frame = frame.iloc[only].reset_index(drop=True)
        with threadpool_limits(limits={"openmp": threads, "blas": 1}):
            predictions = predictor.predict(frame)
            reasons = _reasons(predictor, frame) if model.score.contributions else None
        return scores_of(frame[keys_of(data, snapshot.schema)], predictions, version.id, reasons)


def _reasons(predictor: Predictor, frame: pd.DataFrame) -> Attributions | None:
    try:
        return attribute(predictor, frame)
    except NotAttributable as error:
        log.warning("%s is scored without contributions: %s", predictor.version.id, error.message)
        return None


def _say(model: ModelConfig, manifest: Manifest) -> None:
    log.info(
        "%s: %s rows %s scored by %s",
        *(model.name, f"{manifest.rows:,}", _when(manifest), manifest.version),
    )
    if manifest.segments:
        log.info("%s: versions of their own answered for the segments %s", model.name, ", ".join(manifest.segments))
    if manifest.outside:
        by_column = ", ".join(f"{name} {count:,}" for name, count in sorted(manifest.columns.items()))
        log.warning(
            "%s: %s rows (%.1f %%) lie outside what %s was fitted on and are flagged: %s",
            *(model.name, f"{manifest.outside:,}", 100 * manifest.outside / manifest.rows, manifest.version, by_column),
        )


def _when(manifest: Manifest) -> str:
    if manifest.after == manifest.until:
        return f"as of {manifest.until}"
    return f"after {manifest.after} until {manifest.until}"
