"""Build the reference of a champion: sketches of its training rows and holdout by period, and its expected performance.

It is built once for each version, from the partitions that its snapshot pins, and is stored without any row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.schedule_ticks import interval_until
from include.config.sections.slices import Slice
from include.data.frames import read_rows
from include.data.rare_levels import RareLevels
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.metrics.slices import pooled, slice_levels
from include.evaluation.scored_rows import SliceLevels
from include.evaluation.uncertainty.intervals import rounded
from include.evaluation.unknown_classes import judged_rows
from include.monitoring.drift.champion_reference import (
    ChampionReference,
    SliceSketches,
    find_reference,
    keep_reference,
    ticks_of,
)
from include.monitoring.drift.periods import Reference, reference_of
from include.monitoring.drift.watched_version import (
    PREDICTION,
    TARGET,
    WatchedRows,
    WatchedVersion,
    number_columns,
    open_watched_version,
)
from include.monitoring.performance.confidence_estimation import Calibration, learn_calibration
from include.monitoring.performance.error_model import ErrorModel, learn_error_model
from include.monitoring.performance.measured import LEAST_ROWS
from include.monitoring.sketches.arrow_values import Kind
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch
from include.storage.store import ObjectStore
from include.training.metrics.multiclass import value_of
from include.training.preprocessing.float_converter import FloatConverter

Array = NDArray[Any]


def reference_for(
    store: ObjectStore, model: ModelConfig, folder: Path, version: str, *, made_by: str | None = None
) -> ChampionReference:
    """Return what a version is compared with, made at the first call and found afterwards.

    Parameters
    ----------
    folder : Path
        The model's folder.
    version : str
        Id of the version.
    made_by : str, optional
        Id of the version that replaced it, if it was rebuilt: that one is opened.

    Raises
    ------
    NotEnoughRows
        When no whole interval lies in the version's training window and holdout.
    EvaluationError, DataError, ModelFileRefused, ObjectMissing, ObjectCorrupt
        When the version's rows can't be read or predicted any more.
    """
    found = find_reference(store, model, version)
    if found is None:
        found = keep_reference(store, model, version, _made(store, model, folder, made_by or version))
    return found


def sketch_slices(rows: WatchedRows, levels_of: Mapping[str, SliceLevels], layout: Layout) -> SliceSketches:
    """Return the sketch of the predictions in each level of each slice."""
    column = Layout((layout[PREDICTION],))
    found: SliceSketches = {}
    for name, levels in levels_of.items():
        for code, level in enumerate(levels.names):
            part = rows.table.select([PREDICTION]).filter(pa.array(levels.codes == code))
            found[name, level] = sketch([part], column).columns[PREDICTION]
    return found


def watched_slices(
    frame: pd.DataFrame, slices: tuple[Slice, ...], model: ModelConfig, kept: ChampionReference
) -> dict[str, SliceLevels]:
    """Return the levels of slices in an interval; where rare ones are pooled, all that the reference does not name are.

    Parameters
    ----------
    frame : DataFrame
        The interval's rows.
    slices : tuple of Slice
    model : ModelConfig
    kept : ChampionReference
    """
    found = slice_levels(frame, slices)
    if model.data.pool_levels is None:
        return found
    return {
        name: pooled(levels, np.array([(name, level) not in kept.slices for level in levels.names], dtype=bool))
        for name, levels in found.items()
    }


def label_table(target: pd.Series[Any], times: pd.Series[Any], event_time: str) -> pa.Table:
    """Return targets as a table to be sketched."""
    return pa.table({TARGET: pa.array(target, from_pandas=True), event_time: pa.array(times, from_pandas=True)})


def _made(store: ObjectStore, model: ModelConfig, folder: Path, version: str) -> ChampionReference:
    with open_watched_version(store, model, folder, version) as watching:
        data, fit = watching.model.data, watching.fit
        snapshot = Snapshot.load(store, model.name, fit.snapshot)
        train = watching.unpredicted(snapshot, "train")
        holdout = watching.rows(snapshot, "holdout", labelled=True)
        nothing = pa.nulls(train.num_rows, pa.float64())
        said = {column.name for column in watching.columns if column.role in ("prediction", "contribution")}
        for name in holdout.table.column_names:
            if name in said:
                kind = holdout.table.schema.field(name).type
                train = train.append_column(name, nothing.cast(kind))
        train = train.select([name for name in holdout.table.column_names if name in train.column_names])
        windows = snapshot.split
        event_time = data.event_time
        layout = learn_layout(
            [train, holdout.table.select(train.column_names)],
            watching.columns,
            event_time=event_time,
            row_id=data.row_id,
            data=data,
        )
        parts = [
            *((one, sketch([table], layout), said) for one, table in _cut(train, event_time, windows.train, model)),
            *(
                (one, sketch([table], layout), set())
                for one, table in _cut(holdout.table, event_time, windows.holdout, model)
            ),
        ]
        reference = reference_of(
            layout, [(one.after, one.until, without(each, names)) for one, each, names in parts], model.name
        )
        return ChampionReference(
            reference,
            _labels(store, watching, snapshot, model),
            sketch_slices(
                holdout, slice_levels(holdout.frame, watching.slices, RareLevels.of(data, holdout.frame)), layout
            ),
            *_promises(watching, holdout, windows.holdout, model),
        )


def _labels(store: ObjectStore, watching: WatchedVersion, snapshot: Snapshot, model: ModelConfig) -> Reference | None:
    data = watching.model.data
    if data.target is None:
        return None
    frame = read_rows(
        store,
        snapshot,
        watching.model,
        watching.code,
        window="both",
        columns=[data.event_time, data.target, *data.people],
    )
    table = label_table(frame[data.target], frame[data.event_time], data.event_time)
    for name in data.people:
        table = table.append_column(name, pa.array(frame[name], from_pandas=True))
    kind: Kind = "number" if watching.fit.classes is None else "level"
    layout = learn_layout([table], (WatchedColumn(TARGET, "label", kind),), event_time=data.event_time, data=data)
    windows = (snapshot.split.train, snapshot.split.holdout)
    cut = [each for window in windows for each in _cut(table, data.event_time, window, model)]
    return reference_of(layout, [(one.after, one.until, sketch([part], layout)) for one, part in cut], model.name)


def _promises(
    watching: WatchedVersion, holdout: WatchedRows, window: Window, model: ModelConfig
) -> tuple[dict[str, tuple[float, ...]], Calibration | None, ErrorModel | None]:
    fit, data = watching.fit, watching.model.data
    if data.target is None:
        return {}, None, None
    judged = judged_rows(holdout.frame[data.target], holdout.scored, fit.classes)
    target, score, threshold = judged.target, judged.scored.score, judged.scored.threshold
    metrics = measurable(model)
    promised: dict[str, list[float]] = {metric: [] for metric in metrics}
    times = holdout.table[data.event_time].to_numpy()[judged.kept]  # in UTC, without a zone
    for one in intervals_in(window, model):
        inside = np.flatnonzero((times > _instant(one.after)) & (times <= _instant(one.until)))
        if len(inside) < LEAST_ROWS:
            continue
        for metric in metrics:
            value = value_of(metric, target[inside], score[inside], threshold, model.evaluation.quantile)
            if np.isfinite(value):
                promised[metric].append(rounded(value))
    calibration = learn_calibration(score, target) if fit.threshold is not None and score.ndim == 1 else None
    errors = None
    if fit.task == "regression":
        numbers = number_columns(watching)
        errors = learn_error_model(target - score, score, FloatConverter().transform(holdout.frame[numbers]), numbers)
    return {name: tuple(values) for name, values in promised.items()}, calibration, errors


def measurable(model: ModelConfig) -> tuple[str, ...]:
    """Return the metrics that can be measured of the rows of an interval; costs and quantiles need more than target and score."""
    return tuple(one for one in model.metrics if one not in ("cost", "interval_coverage", "pinball"))


def intervals_in(window: Window, model: ModelConfig) -> list[Window]:
    """Return the whole intervals in a window, ascending."""
    found: list[Window] = []
    after, until = interval_until(ticks_of(model), window.until, model.schedule.timezone)
    while after >= window.after:
        found.append(Window(after, until))
        until = after
        after, _ = interval_until(ticks_of(model), until, model.schedule.timezone)
    return found[::-1]


def _cut(table: pa.Table, event_time: str, window: Window, model: ModelConfig) -> Iterator[tuple[Window, pa.Table]]:
    """Yield the whole intervals of a window with their rows; rows are sorted by event time."""
    times = table[event_time].to_numpy()
    for one in intervals_in(window, model):
        first, last = np.searchsorted(times, [_instant(one.after), _instant(one.until)], side="right")
        if first < last:
            yield one, table.slice(int(first), int(last - first))


def without(one: Sketch, names: set[str]) -> Sketch:
    """Return a sketch in which some columns have no row, not even one without a value."""
    empty = {name: ColumnSketch(0, 0, None, None, np.zeros_like(one.columns[name].counts)) for name in names}
    return replace(one, columns={**one.columns, **empty})


def _instant(instant: datetime) -> Any:
    return np.datetime64(instant.replace(tzinfo=None), "us")
