"""A version that is loaded for monitoring: its columns, and rows with their predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from include.config.model import ModelConfig
from include.config.sections.features import Categorical, Dates, Text
from include.config.sections.slices import Slice, columns_of
from include.data.frames import read_rows
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import in_parts
from include.data.windows import WindowName
from include.evaluation.compared_models import open_model, score_rows
from include.evaluation.scored_rows import Scored
from include.monitoring.sketches.arrow_values import Kind
from include.monitoring.sketches.layouts import WatchedColumn
from include.registry.versions import load_version
from include.scoring.attributions import NotAttributable, contributions_of, require_attributable
from include.storage.store import ObjectStore
from include.training.declared_recipes import recipe_of
from include.training.fit_record import FitRecord, load_fit
from include.training.provenance import code_of, config_of

PREDICTION, SAID, TARGET = "(prediction)", "(label)", "(target)"
"""The names of the columns for a model's predictions, which no column of a source has."""
CONTRIBUTION = "(contribution of {})"
"""The contribution of a column to each prediction, where the scores contain it."""
PART = 500_000
"""Rows that are watched together, where partitions allow."""


@dataclass(frozen=True, eq=False)
class WatchedRows:
    """Rows of one window with the predictions of a version.

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
        """Read rows that the version was fitted on; its predictions for them do not represent those for other rows."""
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
    """Return rows with the predictions of a version as additional columns."""
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


def number_columns(watching: WatchedVersion) -> list[str]:
    """Return the columns that an error model looks at."""
    return [one.name for one in watching.columns if one.kind == "number" and one.role in ("input", "derived")]
