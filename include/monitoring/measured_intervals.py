"""Metrics of a champion on an interval with matured labels, for its recorded predictions and for its predecessor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.sections.rows.segments import segment_of
from include.data.rare_levels import RareLevels
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import NotEnoughRows, ObjectRemoved
from include.evaluation.scored_rows import Scored, of_classes
from include.evaluation.uncertainty.intervals import rounded
from include.evaluation.unknown_classes import JudgedRows, judged_rows
from include.monitoring.drift.champion_reference import ChampionReference
from include.monitoring.drift.periods import period_of
from include.monitoring.drift.references import label_table, measurable, watched_slices
from include.monitoring.drift.watched_version import WatchedRows, WatchedVersion, open_watched_version
from include.monitoring.performance.measured import Performance, measure_performance
from include.monitoring.performance.probation import Paired
from include.monitoring.predicted_rows import predicted_in
from include.monitoring.sketches.counting import sketch
from include.monitoring.watch_log import WatchLog, measured_in, observed_in
from include.registry.timeline import Timeline
from include.scoring.scores import PREDICTION as PUBLISHED_PREDICTION
from include.storage.content import canonical_json, put_content, read_json
from include.storage.store import ObjectStore
from include.training.metrics.definitions import sign
from include.training.metrics.multiclass import value_of

log = logging.getLogger(__name__)

Array = NDArray[Any]
Labels = Callable[[Window], Snapshot]
"""Takes the rows of an interval in again, with the labels that have matured since."""


def matured_intervals(model: ModelConfig, watched: WatchLog, version: str, until: datetime) -> list[Window]:
    """Return the observed intervals whose labels have matured and that are not measured yet.

    Parameters
    ----------
    model : ModelConfig
    watched : WatchLog
        What was observed and measured so far.
    version : str
        The champion's id.
    until : datetime
        Labels that are known by this instant count.

    Returns
    -------
    list of Window
        Ascending.
    """
    entries = watched.entries()
    done = {one.until for one in measured_in(entries, version)}
    seen = {one.period.until: one.period for one in observed_in(entries, version)}
    return [
        Window(seen[end].after, end)
        for end in sorted(seen)
        if end not in done and end + model.data.label_delay <= until
    ]


def measure_interval(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    watching: WatchedVersion,
    kept: ChampionReference,
    timeline: Timeline,
    version: str,
    interval: Window,
    labels: Labels,
    watched: WatchLog,
    *,
    at: datetime,
) -> None:
    """Measure a champion, and its predecessor on the same rows, on an interval whose labels have matured.

    Rows of classes that the champion never learned are judged as the gate judges them (`include.evaluation.unknown_classes`),
    and named on record.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    folder : Path
        The model's folder.
    watching : WatchedVersion
        The champion.
    kept : ChampionReference
        Its reference, for slices and the promised metrics.
    timeline : Timeline
        Says who its predecessor is.
    version : str
        The champion's id on record: of a rebuilt one that of the version that it rebuilds.
    interval : Window
        In event time.
    labels : callable
        Brings in and pins the interval's rows with their labels.
    watched : WatchLog
        Where the measurement goes on record.
    at : datetime
        The instant that goes on record.
    """
    snapshot = labels(interval)
    equal = [one.version for one in timeline.standings if one.original == version] or [version]
    found_by = (predicted_in(store, model, interval, None, one) for one in equal)
    predicted = next((one for one in found_by if one is not None), None)
    try:
        rows = watching.rows(snapshot, "holdout", labelled=True)
    except NotEnoughRows:
        log.info("%s: no label has matured after %s until %s", model.name, interval.after, interval.until)
        return
    fit, data = watching.fit, watching.model.data
    assert data.target is not None  # noqa: S101 (there are labels)
    shared = model.segments is not None or segment_of(model.name) is not None  # others answered the rest of the rows
    if predicted is not None and (shared or rows.scored.score.ndim == 1):
        try:
            answers = predicted.said()
        except ObjectRemoved as gone:  # of a version that is in force again, after retention removed what it predicted
            log.info("%s: what was predicted after %s can't be measured: %s", model.name, interval.after, gone.message)
            return
        if answers is None:
            log.info("%s: no ids were kept of what was predicted after %s", model.name, interval.after)
            return
        place, said = _as_predicted(answers, rows.table, data.row_id)
        several = rows.scored.score.ndim > 1  # what was published of those is one number of them
        rows = _at(rows, place, Scored(rows.scored.score[place] if several else said, rows.scored.threshold))
    if not rows.table.num_rows:
        if model.segments is not None:  # its segments answered all of them, and it is not asked again
            nothing = put_content(store, f"{model.name}/watch/details", ".json", canonical_json({"slices": []}))
            empty = Performance(version, interval.after, interval.until, 0, {})
            watched.measure(empty, details=nothing, labels=None, reference=kept.digest, at=at)
        return
    labelled, times = rows.frame[data.target], rows.frame[data.event_time]
    judged = judged_rows(labelled, rows.scored, fit.classes, RareLevels.of(data, rows.frame))
    rows = _at(rows, np.flatnonzero(judged.kept), judged.scored)
    if len(judged.target):
        found = measure_performance(
            version,
            interval.after,
            interval.until,
            judged.target,
            judged.scored,
            measurable(model),
            watched_slices(rows.frame, watching.slices, watching.model, kept),
            resamples=model.evaluation.resamples,
        )
    else:
        found = Performance(version, interval.after, interval.until, 0, {})
    found = replace(found, unknown=judged.unknown)
    counts: dict[str, Any] | None = None
    details: dict[str, Any] = {"slices": [asdict(one) for one in found.slices]}
    if kept.labels is not None:
        table = label_table(labelled, times, data.event_time)
        counted = sketch([table], kept.labels.layout)
        counts = period_of(counted, kept.labels.bins, interval.after, interval.until).to_json()
        details["sketch"] = read_json(counted.to_bytes())
    details["labels"] = counts
    digest = put_content(store, f"{model.name}/watch/details", ".json", canonical_json(details))
    predecessor = timeline.incumbent_of(version) if version in timeline else None
    if predecessor is not None and found.rows:
        gain = _gain(store, model, folder, predecessor, snapshot, rows, judged)
        rows_ = 0 if gain is None else found.rows
        watched.pair(
            Paired(
                version, timeline.original_of(predecessor) or predecessor, interval.after, interval.until, rows_, gain
            ),
            at=at,
        )
    # Written last: a measured interval is not measured again.
    watched.measure(found, details=digest, labels=counts, reference=kept.digest, at=at)


def _at(rows: WatchedRows, place: Array, scored: Scored) -> WatchedRows:
    return WatchedRows(rows.frame.iloc[place].reset_index(drop=True), rows.table.take(pa.array(place)), scored)


def _as_predicted(scores: pa.Table, rows: pa.Table, row_id: tuple[str, ...]) -> tuple[np.ndarray[Any, Any], Any]:
    """Return the places of labelled rows that were predicted, and what was predicted of each."""
    keys = list(row_id)
    ours = rows.select(keys).append_column("place", pa.array(np.arange(rows.num_rows)))
    theirs = scores.select([*keys, PUBLISHED_PREDICTION])
    for key in keys:  # texts may be numbered in one and written out in the other
        for table in (ours, theirs):
            if pa.types.is_dictionary(table.schema.field(key).type):
                ours, theirs = (
                    one.set_column(one.schema.get_field_index(key), key, one[key].cast(pa.string()))
                    for one in (ours, theirs)
                )
                break
    joined = ours.join(theirs, keys=keys, join_type="inner").sort_by("place")
    return joined["place"].to_numpy(), joined[PUBLISHED_PREDICTION].to_numpy()


def _gain(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    predecessor: str,
    snapshot: Snapshot,
    rows: WatchedRows,
    judged: JudgedRows,
) -> float | None:
    """Return how much better the champion was in the primary metric than its predecessor, in the shadow, on the same rows.

    None where the metric has no value, or where one of two classes is none that the predecessor knows.
    """
    metric, data, target, scored = model.gate.primary.metric, model.data, judged.target, judged.scored
    with open_watched_version(store, model, folder, predecessor) as before:
        own = before.fit.classes
        if judged.classes is not None and len(judged.classes) == 2 and not set(judged.classes) <= set(own or ()):
            return None
        shadow = before.rows(snapshot, "holdout", labelled=True)
    theirs = of_classes(shadow.scored, own, judged.classes)
    # In the shadow it predicts all rows, of which the champion may have answered some only.
    every = pa.array(np.arange(shadow.table.num_rows))
    answers = shadow.table.select(list(data.row_id)).append_column(PUBLISHED_PREDICTION, every)
    place, same = _as_predicted(answers, rows.table, data.row_id)
    values = [
        value_of(metric, target[place], one, threshold, model.evaluation.quantile)
        for one, threshold in ((scored.score[place], scored.threshold), (theirs.score[same], theirs.threshold))
    ]
    gain = sign(metric) * (values[0] - values[1])
    return rounded(gain) if np.isfinite(gain) else None
