"""Observe one interval: sketch its rows, estimate the performance without labels, and write both to the watch log."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.sections.slices import columns_of
from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored
from include.monitoring.alarms import Observed
from include.monitoring.drift.champion_reference import ChampionReference, SliceSketches
from include.monitoring.drift.data_faults import faults_in
from include.monitoring.drift.periods import period_of
from include.monitoring.drift.references import measurable, sketch_slices, watched_slices, without
from include.monitoring.drift.watched_version import WatchedRows, WatchedVersion, number_columns
from include.monitoring.performance.confidence_estimation import estimate_classification
from include.monitoring.performance.error_model import estimate_regression
from include.monitoring.predicted_rows import PredictedRows
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.sketches import Sketch, merge
from include.monitoring.watch_log import WatchLog
from include.storage.content import canonical_json, put_content, read_json
from include.training.preprocessing.float_converter import FloatConverter

Array = NDArray[Any]


def observe_interval(
    watching: WatchedVersion,
    kept: ChampionReference,
    predicted: PredictedRows,
    watched: WatchLog,
    version: str,
    *,
    at: datetime,
    backfilled: bool,
) -> None:
    """Write what was observed of an interval's rows to the watch log.

    Parameters
    ----------
    watching : WatchedVersion
        The version that predicted the rows.
    kept : ChampionReference
        What the champion is compared with.
    predicted : PredictedRows
        The batch scores and requests of the interval.
    watched : WatchLog
    version : str
        The id under which it is observed: that of the original, if the version is a rebuilt one.
    at : datetime
        The instant that goes on record.
    backfilled : bool
        Whether the interval is observed as history.
    """
    name, interval = watching.model.name, predicted.interval
    layout = kept.reference.layout
    sketches: list[Sketch] = []
    slices: SliceSketches = {}
    foreseen: list[tuple[Scored, Array | None]] = []
    for part in predicted.parts(watching):  # so that memory holds one of them
        one = without(sketch([part.rows.table], layout), set(part.absent))
        sketches = [merge([*sketches, one])]
        there = tuple(one for one in watching.slices if set(columns_of((one,))) <= set(part.rows.frame.columns))
        for key, more in sketch_slices(
            part.rows, watched_slices(part.rows.frame, there, watching.model, kept), layout
        ).items():
            slices[key] = slices[key] + more if key in slices else more
        foreseen += _foreseen(watching, kept, part.rows)
    (found,) = sketches
    estimated = {key: asdict(one) for key, one in _estimated(watching, kept, foreseen).items()}
    details = {
        "sketch": read_json(found.to_bytes()),
        "slices": [{"slice": key[0], "level": key[1], **one.to_json()} for key, one in slices.items()],
        "estimated": estimated,
    }
    observed = Observed(
        version,
        period_of(found, kept.reference.bins, interval.after, interval.until),
        faults_in(kept.reference, found),
        backfilled,
    )
    digest = put_content(watching.store, f"{name}/watch/details", ".json", canonical_json(details))
    sources = {
        "details": digest,
        "reference": kept.digest,
        "scores": [manifest.scores for _, manifest in predicted.published],
        "requests": len(predicted.requests),
        "outside": predicted.outside,
        "estimated": estimated,
    }
    watched.observe(observed, sources=sources, at=at)


def _foreseen(
    watching: WatchedVersion, kept: ChampionReference, rows: WatchedRows
) -> list[tuple[Scored, Array | None]]:
    """Return what an estimate takes of rows: predictions, and numbers for a model of errors; nothing of rows whose columns were not kept."""
    if kept.errors is None:
        return [(rows.scored, None)]
    numbers = number_columns(watching)
    known = set(numbers) <= set(rows.frame.columns)
    return [(rows.scored, FloatConverter().transform(rows.frame[numbers]))] if known else []


def _estimated(
    watching: WatchedVersion, kept: ChampionReference, parts: list[tuple[Scored, Array | None]]
) -> dict[str, Measured]:
    if not parts:
        return {}
    score, threshold = np.concatenate([one.score for one, _ in parts]), parts[0][0].threshold
    metrics = measurable(watching.model)
    if threshold is not None and score.ndim == 1:
        return estimate_classification(score, threshold, metrics, calibration=kept.calibration)
    if kept.errors is not None:
        inputs = np.concatenate([numbers for _, numbers in parts if numbers is not None])
        return estimate_regression(kept.errors, score, inputs, metrics)
    return {}
