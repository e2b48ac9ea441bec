"""What a champion is compared with: its training rows and its holdout, sketched period by period, and what it promised.

Made once for each version, from what its snapshot pins, and kept; nobody has to be asked again, and no row is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.schedule_ticks import interval_until
from include.config.sections.features import Categorical, Dates, Text
from include.config.sections.rows.sources import Slot
from include.config.sections.slices import Slice, columns_of
from include.data.frames import read_rows
from include.data.rare_levels import RareLevels, pooled_by
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import in_parts
from include.data.windows import Window, WindowName
from include.evaluation.compared_models import open_model, score_rows
from include.evaluation.metrics.slices import pooled, slice_levels
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.intervals import rounded
from include.evaluation.unknown_classes import judged_rows
from include.monitoring.drift.periods import Period, Reference, reference_of
from include.monitoring.performance.estimated import Calibration, ErrorModel, learn_calibration, learn_error_model
from include.monitoring.performance.measured import LEAST_ROWS
from include.monitoring.sketches.arrow_values import Kind
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout
from include.monitoring.sketches.sketches import ColumnSketch, Sketch
from include.registry.versions import load_version
from include.scoring.attributions import NotAttributable, contributions_of, require_attributable
from include.storage.content import (
    canonical_json,
    digest_json,
    get_content,
    get_json,
    put_content,
    put_json_once,
    read_json,
)
from include.storage.store import ObjectStore
from include.training.declared_recipes import recipe_of
from include.training.fit_record import FitRecord, load_fit
from include.training.metrics.multiclass import value_of
from include.training.preprocessing.float_converter import FloatConverter
from include.training.provenance import code_of, config_of

Array = NDArray[Any]

PREDICTION, SAID, TARGET = "(prediction)", "(label)", "(target)"
"""What the model says is watched beside its columns; no column of a source is called so."""
CONTRIBUTION = "(contribution of {})"
"""What a column of the fit contributed to each prediction, where the scores say so."""
PARTITION_TICKS = {Slot.HOUR: "@hourly", Slot.DAY: "@daily", Slot.MONTH: "@monthly"}
PART = 500_000
"""Rows that are watched together, where partitions allow."""
REFERENCE_VERSION = 1
"""Part of what a reference is found by: raise it when the same rows are to be sketched differently."""

SliceSketches = dict[tuple[str, str], ColumnSketch]


@dataclass(frozen=True, eq=False)
class WatchedRows:
    """Rows of one window with what a version says of them.

    ``table`` has the watched columns, row ids and event time; ``frame`` is the same as it was read.
    """

    frame: pd.DataFrame
    table: pa.Table
    scored: Scored


@dataclass(frozen=True)
class WatchedVersion:
    """A version, opened to be watched: what it reads, as which kinds, and how it predicts."""

    version: str
    model: ModelConfig
    fit: FitRecord
    columns: tuple[WatchedColumn, ...]
    slices: tuple[Slice, ...]
    store: ObjectStore
    code: Path

    def rows(self, snapshot: Snapshot, window: WindowName, *, labelled: bool) -> WatchedRows:
        """Read and predict the rows of a snapshot's window; raises as `read_rows` and `score_rows`."""
        return self._predicted(self._read(snapshot, window, labelled=labelled))

    def parts(self, snapshot: Snapshot, rows: int = PART) -> Iterator[WatchedRows]:
        """Read and predict the rows of a snapshot's holdout as `rows` does, some whole partitions at a time.

        So that an interval of any size is held by so many rows, or by those of its largest partition.

        Parameters
        ----------
        snapshot : Snapshot
        rows : int
            From how many rows on a part is large enough.
        """
        empty = True
        for among in filter(None, in_parts(snapshot, rows)):
            frame = self._read(snapshot, "holdout", labelled=False, among=among)
            if len(frame):
                empty = False
                yield self._predicted(frame)
        if empty:
            self._read(snapshot, "holdout", labelled=False)  # says what is missing

    def _read(
        self, snapshot: Snapshot, window: WindowName, *, labelled: bool, among: Sequence[Pinned] | None = None
    ) -> pd.DataFrame:
        data = self.model.data
        target = [data.target] if labelled and data.target is not None else []
        wanted = [*data.row_id, data.event_time, *self.fit.columns, *columns_of(self.slices), *data.people, *target]
        return read_rows(
            self.store,
            snapshot,
            self.model,
            self.code,
            window=window,
            columns=list(dict.fromkeys(wanted)),
            labelled=labelled,
            among=among,
        )

    def _predicted(self, frame: pd.DataFrame) -> WatchedRows:
        pipeline = open_model(self.store, self.fit)
        scored = score_rows(pipeline, self.fit, frame)
        table = with_predictions(frame, scored, self.fit)
        if any(one.role == "contribution" for one in self.columns):
            reasons = contributions_of(pipeline, self.fit.columns, frame)
            for place, name in enumerate(reasons.columns):
                table = table.append_column(CONTRIBUTION.format(name), pa.array(reasons.contributions[:, place]))
        return WatchedRows(frame, table, scored)

    def unpredicted(self, snapshot: Snapshot, window: WindowName) -> pa.Table:
        """Read rows that the version was fitted on: what it says of those is no measure of what it says of others."""
        data = self.model.data
        wanted = list(dict.fromkeys([*data.row_id, data.event_time, *self.fit.columns, *data.people]))
        frame = read_rows(self.store, snapshot, self.model, self.code, window=window, columns=wanted)
        return pa.Table.from_pandas(frame, preserve_index=False)


@contextmanager
def open_watched_version(
    store: ObjectStore, model: ModelConfig, folder: Path, version: str
) -> Iterator[WatchedVersion]:
    """Open a version, its code being a copy where the model's own has changed; raises as `load_version`, `config_of` and `code_of`.

    Parameters
    ----------
    folder : Path
        The model's folder.
    version : str
        Id of the version.
    """
    record = load_version(store, model.name, version)
    fit = load_fit(store, model.name, record.fit)
    declared = config_of(store, fit)
    features, functions = declared.features, recipe_of(declared, fit.candidate).functions
    schema = Snapshot.load(store, model.name, fit.snapshot).schema
    kinds: dict[str, Kind] = {}
    for group in features.groups:
        kind: Kind = "number"
        if isinstance(group, Categorical):
            kind = "level"
        elif isinstance(group, Dates | Text):
            kind = "time" if isinstance(group, Dates) else "text"
        kinds |= {name: kind for name in group.columns if name not in kinds}
    columns = [
        WatchedColumn(name, "input" if name in schema else "derived", kinds[name])
        for name in fit.columns
        if name in kinds
    ]
    columns.append(WatchedColumn(PREDICTION, "prediction", "level" if fit.task == "clustering" else "number"))
    if fit.classes is not None and fit.threshold is None:
        columns.append(WatchedColumn(SAID, "prediction", "level"))
    if model.score.contributions:
        columns += _contributions(store, fit)
    readable = {*schema, *fit.columns}
    slices = tuple(one for one in model.evaluation.slices if set(columns_of((one,))) <= readable)
    with code_of(store, fit, functions, folder) as code:
        then = model.model_copy(update={"features": features})
        yield WatchedVersion(version, then, fit, tuple(columns), slices, store, code)


def _contributions(store: ObjectStore, fit: FitRecord) -> list[WatchedColumn]:
    try:
        require_attributable(open_model(store, fit), fit.columns)
    except NotAttributable:
        return []  # its scores have none either
    return [WatchedColumn(CONTRIBUTION.format(name), "contribution", "number") for name in fit.columns]


def with_predictions(frame: pd.DataFrame, scored: Scored, fit: FitRecord) -> pa.Table:
    """Return rows with what a version says of them as further columns."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    score = scored.score
    if fit.task == "clustering":
        return table.append_column(PREDICTION, pa.array(score.astype(np.int64)))
    if score.ndim == 2:
        assert fit.classes is not None  # noqa: S101 (only classes have several scores)
        names = pa.array([str(one) for one in fit.classes])
        table = table.append_column(SAID, names.take(pa.array(score.argmax(axis=1))))
        score = score.max(axis=1)
    return table.append_column(PREDICTION, pa.array(score))


@dataclass(frozen=True, eq=False)
class ChampionReference:
    """What is kept of a version for watching it.

    Parameters
    ----------
    reference : Reference
        Inputs and derived columns of training rows and holdout; predictions of the holdout.
    labels : Reference or None
        Targets of training rows and holdout; None of clusterings.
    slices : dict of (slice, level) to ColumnSketch
        Predictions of the holdout.
    promised : dict of metric to tuple of float
        Each metric in each interval of the holdout.
    calibration : Calibration or None
        Of two classes.
    errors : ErrorModel or None
        Of a regression.
    digest : str or None
        Of its stored form; None of one that is not stored.
    """

    reference: Reference
    labels: Reference | None
    slices: SliceSketches
    promised: dict[str, tuple[float, ...]]
    calibration: Calibration | None
    errors: ErrorModel | None
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        slices = [{"slice": name, "level": level, **one.to_json()} for (name, level), one in self.slices.items()]
        return {
            "reference": _reference_to_json(self.reference),
            "labels": None if self.labels is None else _reference_to_json(self.labels),
            "slices": slices,
            "promised": {name: list(values) for name, values in self.promised.items()},
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "errors": None if self.errors is None else asdict(self.errors),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ChampionReference:
        """Read what `to_json` wrote."""
        reference = _reference_from_json(value["reference"])
        prediction = reference.layout[PREDICTION]
        tuples = [
            None if value[name] is None else {key: tuple(one) for key, one in value[name].items()}
            for name in ("calibration", "errors")
        ]
        return cls(
            reference,
            None if value["labels"] is None else _reference_from_json(value["labels"]),
            {(one["slice"], one["level"]): ColumnSketch.from_json(one, prediction) for one in value["slices"]},
            {name: tuple(values) for name, values in value["promised"].items()},
            None if tuples[0] is None else Calibration(**tuples[0]),
            None if tuples[1] is None else ErrorModel(**tuples[1]),
        )


def ticks_of(model: ModelConfig) -> str:
    """Return the schedule whose ticks cut time into the intervals that are watched."""
    return model.schedule.monitor or model.schedule.score or PARTITION_TICKS[model.data.partition]


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
        Id of the version that has its place now, if it was rebuilt: that one is opened.

    Raises
    ------
    NotEnoughRows
        When no whole interval lies in the version's training window and holdout.
    EvaluationError, DataError, ModelFileRefused, ObjectMissing, ObjectCorrupt
        When the version's rows can't be read or predicted any more.
    """
    found = find_reference(store, model, version)
    if found is None:
        body = canonical_json(_made(store, model, folder, made_by or version).to_json())
        digest = put_content(store, f"{model.name}/watch/kept", ".json", body)
        put_json_once(store, _index(model, version), {"kept": digest})
        found = find_reference(store, model, version)
        assert found is not None  # noqa: S101 (just put there)
    return found


def find_reference(store: ObjectStore, model: ModelConfig, version: str) -> ChampionReference | None:
    """Return what a version is compared with, if it was made already."""
    index = _index(model, version)
    if not store.exists(index):
        return None
    return kept_reference(store, model.name, get_json(store, index)["kept"])


def kept_reference(store: ObjectStore, model: str, digest: str) -> ChampionReference:
    """Return what a model's version is compared with, by the digest of its stored form; raises as `get_content`."""
    body = get_content(store, f"{model}/watch/kept", ".json", digest)
    return replace(ChampionReference.from_json(read_json(body)), digest=digest)


def _index(model: ModelConfig, version: str) -> str:
    question: dict[str, Any] = {
        "edition": REFERENCE_VERSION,
        "version": version,
        "ticks": ticks_of(model),
        "metrics": list(model.metrics),
    }
    if model.score.contributions:  # a reference from before them is found as it was
        question["contributions"] = True
    question |= pooled_by(model.data)
    question["slices"] = model.evaluation.model_dump(mode="json", include={"slices"})
    return f"{model.name}/watch/references/{digest_json(question)}.json"


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


def number_columns(watching: WatchedVersion) -> list[str]:
    """Return the columns that an error model looks at."""
    return [one.name for one in watching.columns if one.kind == "number" and one.role in ("input", "derived")]


def measurable(model: ModelConfig) -> tuple[str, ...]:
    """Return the metrics that can be measured of the rows of an interval; costs and quantiles need more than target and score."""
    return tuple(one for one in model.metrics if one not in ("cost", "interval_coverage", "pinball"))


def intervals_in(window: Window, model: ModelConfig) -> list[Window]:
    """Return the whole intervals that lie in a window, ascending."""
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


def _reference_to_json(reference: Reference) -> dict[str, Any]:
    return {
        "layout": reference.layout.to_json(),
        "sketch": read_json(reference.sketch.to_bytes()),
        "periods": [one.to_json() for one in reference.periods],
    }


def _reference_from_json(value: Mapping[str, Any]) -> Reference:
    layout = Layout.from_json(value["layout"])
    whole = Sketch.from_bytes(canonical_json(value["sketch"]), layout)
    return Reference(layout, whole, tuple(Period.from_json(one) for one in value["periods"]))
