"""Rows predicted in an interval, from batch scores and from the server's request log.

An interval of `schedule.monitor` may be part of one interval of `schedule.score`, or contain several. A request belongs to the
interval in which it arrived, a scored row to the interval of its event time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.config.code import load_function
from include.config.model import ModelConfig
from include.config.schedule_ticks import intervals_over
from include.config.sections.rows.segments import owner_of
from include.config.sections.slices import columns_of
from include.data.columns.pandas_frames import to_frame
from include.data.derived_columns import derived
from include.data.frames import select
from include.data.request_files import AT, PLACE, REQUEST, read_requests, requests_in, written_out
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.scored_rows import Scored
from include.monitoring.drift.champion_reference import PARTITION_TICKS
from include.monitoring.drift.watched_version import PREDICTION, SAID, WatchedRows, WatchedVersion
from include.scoring.publication import Manifest, Publication
from include.scoring.scores import LABEL, OUTSIDE, VERSION
from include.scoring.scores import PREDICTION as PUBLISHED
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class PredictedPart:
    """Some of the rows; ``absent`` are the watched columns that were not kept of them, in which they count for nothing."""

    rows: WatchedRows
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PredictedRows:
    """What one version predicted in an interval.

    Parameters
    ----------
    published : tuple of (Publication, Manifest)
        The batch scores that have rows of the interval.
    requests : tuple of str
        The keys of the server's files that have some.
    """

    store: ObjectStore
    model: ModelConfig
    interval: Window
    version: str
    published: tuple[tuple[Publication, Manifest], ...]
    requests: tuple[str, ...]

    def parts(self, watching: WatchedVersion) -> Iterator[PredictedPart]:
        """Yield the rows with their predictions, part by part."""
        for publication, manifest in self.published:
            snapshot = Snapshot.load(self.store, self.model.name, manifest.snapshot)
            for rows in watching.parts(snapshot):
                yield PredictedPart(rows if publication.interval == self.interval else _within(rows, self))
        for table in self._asked:
            yield _answered(table, watching)

    @cached_property
    def outside(self) -> int:
        """How many of the rows lie outside the domain that the version was fitted on."""
        return sum(int(pc.sum(table[OUTSIDE]).as_py() or 0) for table in (*self._scores, *self._asked))

    def said(self) -> pa.Table | None:
        """Return ids and predictions, or None if no ids were kept: of a row with a batch score and an answer the score, of one with two answers the first."""
        keys, log = list(self.model.data.row_id), self.model.serving.request_log
        hidden = {*log.leave_out, *log.hash} if log is not None else set()
        asked = () if hidden & set(keys) else self._asked
        tables = [
            written_out(one.select([*keys, PUBLISHED]))
            for one in (*self._scores, *asked)
            if set(keys) <= set(one.column_names)
        ]
        if not tables:
            return None
        names = [tables[0].schema.field(name) for name in keys]
        whole = pa.concat_tables([one.cast(pa.schema([*names, pa.field(PUBLISHED, pa.float64())])) for one in tables])
        place = pa.array(np.arange(whole.num_rows))
        first = whole.append_column("place", place).group_by(keys).aggregate([("place", "min")])["place_min"]
        return whole.take(first.take(pc.sort_indices(first))) if len(tables) > 1 or asked else whole

    @cached_property
    def _scores(self) -> tuple[pa.Table, ...]:
        found = []
        for publication, manifest in self.published:
            table = publication.read(manifest)
            if manifest.segments:  # what segments' own versions said is none of this one's
                table = table.filter(pc.equal(table[VERSION], self.version))
            if publication.interval != self.interval:
                times = table[self.model.data.event_time]
                inside = pc.and_(pc.greater(times, self.interval.after), pc.less_equal(times, self.interval.until))
                table = table.filter(inside)
            found.append(table)
        return tuple(found)

    @cached_property
    def _asked(self) -> tuple[pa.Table, ...]:
        return tuple(
            part
            for table in read_requests(self.store, self.requests, self.interval)
            if (part := table.filter(pc.equal(table[VERSION], self.version))).num_rows
        )


def predicted_in(
    store: ObjectStore,
    model: ModelConfig,
    interval: Window,
    champion: str | None,
    version: str | None = None,
    *,
    among: Container[str] | None = None,
) -> PredictedRows | None:
    """Find what was predicted in an interval, by the version that it is watched under.

    Parameters
    ----------
    champion : str or None
        The champion as of the interval's start: it is watched if it predicted anything; else the version that predicted most is.
    version : str, optional
        Look at what this version predicted, also if another was the champion.
    among : container of str, optional
        The versions of the model of all rows: those of its segments predict as well, and are watched by themselves.

    Returns
    -------
    PredictedRows or None
        None if nothing was predicted.
    """
    published = _published(store, model, interval)
    keys = requests_in(store, owner_of(model.name), interval) if model.serving.request_log is not None else []
    rows: Counter[str] = Counter()
    for _, manifest in published:
        rows.update({manifest.version: manifest.rows} | dict.fromkeys(manifest.segments.values(), 0))
    for table in read_requests(store, keys, interval, columns=[VERSION]):
        for one in table[VERSION].value_counts().to_pylist():
            rows[one["values"]] += one["counts"]
    if among is not None:
        rows = Counter({one: count for one, count in rows.items() if one in among})
    if not rows:
        return None
    if version is None:
        version = champion if champion is not None and champion in rows else max(sorted(rows), key=rows.__getitem__)
    if version not in rows:
        return None
    used = tuple(one for one in published if version in (one[1].version, *one[1].segments.values()))
    return PredictedRows(store, model, interval, version, used, tuple(keys))


def versions_in(store: ObjectStore, model: ModelConfig, interval: Window) -> frozenset[str]:
    """Return every version that predicted in an interval, those of segments among them."""
    found = {one for _, said in _published(store, model, interval) for one in (said.version, *said.segments.values())}
    keys = requests_in(store, model.name, interval) if model.serving.request_log is not None else []
    for table in read_requests(store, keys, interval, columns=[VERSION]):
        found |= set(table[VERSION].to_pylist())
    return frozenset(found)


def _published(store: ObjectStore, model: ModelConfig, interval: Window) -> list[tuple[Publication, Manifest]]:
    """Return the scores of an interval; those of a segment are among those of its model."""
    each = [Publication(store, owner_of(model.name), over) for over in _score_intervals(model, interval)]
    return [(one, manifest) for one in each if (manifest := one.newest()) is not None]


def _score_intervals(model: ModelConfig, interval: Window) -> list[Window]:
    schedule = model.schedule
    if schedule.score == schedule.monitor and schedule.score is not None:
        return [interval]
    cron, zone = (
        (schedule.score, schedule.timezone) if schedule.score else (PARTITION_TICKS[model.data.partition], "UTC")
    )
    return [Window(*one) for one in intervals_over(cron, interval.after, interval.until, zone)]


def _within(rows: WatchedRows, of: PredictedRows) -> WatchedRows:
    times = rows.table[of.model.data.event_time].to_numpy()
    inside = np.flatnonzero((times > _instant(of.interval.after)) & (times <= _instant(of.interval.until)))
    return WatchedRows(
        rows.frame.iloc[inside].reset_index(drop=True),
        rows.table.take(pa.array(inside)),
        replace(rows.scored, score=rows.scored.score[inside]),
    )


def _answered(table: pa.Table, watching: WatchedVersion) -> PredictedPart:
    """Return rows of the request log as they are watched: derived again, with the predictions that were answered."""
    data, fit = watching.model.data, watching.fit
    schema = {*Snapshot.load(watching.store, fit.model, fit.snapshot).schema} - {data.target}
    log = watching.model.serving.request_log
    hidden = {*log.leave_out, *log.hash} if log is not None else set()
    own = [name for name in table.column_names if name in schema and name not in hidden]
    raw = table.select(own)
    asked = table[AT]
    happened = pc.coalesce(raw[data.event_time].cast(asked.type), asked) if data.event_time in own else asked
    raw = raw.set_column(own.index(data.event_time), data.event_time, happened) if data.event_time in own else raw
    frame = to_frame(raw)
    derive = watching.model.features.derive
    if derive is not None and schema <= set(own):
        frame = derived(frame, load_function(watching.code, derive), derive, target=None, check=False)
    wanted = [*data.row_id, data.event_time, *fit.columns, *columns_of(watching.slices)]
    names = [name for name in dict.fromkeys(wanted) if name in frame.columns]
    frame = select(frame, names, watching.model.name)
    found = pa.Table.from_pandas(frame, preserve_index=False)
    if data.event_time not in names:
        found = found.append_column(data.event_time, happened)
    score = table[PUBLISHED].cast(pa.float64()).to_numpy()
    answer = pa.array(score.astype(np.int64) if fit.task == "clustering" else score)
    found = found.append_column(PREDICTION, answer)
    if any(one.name == SAID for one in watching.columns):
        found = found.append_column(SAID, table[LABEL].cast(pa.string()))
    absent = frozenset(one.name for one in watching.columns if one.name not in found.column_names)
    for name in [*sorted(absent), *(one for one in data.row_id if one not in found.column_names)]:
        # An id that was not kept is made up, each its own, so that no row looks like a copy of another.
        kept = name in absent
        values: Any = pa.nulls(len(frame), pa.float64()) if kept else _names(table)
        found = found.append_column(name, values)
    return PredictedPart(WatchedRows(frame, found, Scored(score, fit.threshold)), absent)


def _names(table: pa.Table) -> pa.Array:
    return pc.binary_join_element_wise(table[REQUEST], table[PLACE].cast(pa.string()), "/")


def _instant(instant: datetime) -> Any:
    return np.datetime64(instant.replace(tzinfo=None), "us")
