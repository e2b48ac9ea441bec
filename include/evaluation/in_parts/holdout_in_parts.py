"""The holdout of `training.engine: dask`: workers predict its partitions, and return only what the evaluation needs."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.data.columns.pandas_frames import to_frame
from include.data.frames import read_table
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import nothing_in, touching
from include.errors import ModelFileRefused, ObjectCorrupt, ObjectMissing
from include.evaluation.compared_models import CannotPredict, open_model, score_rows
from include.evaluation.data_coverage import unlabelled_by_slice
from include.evaluation.evidence import UnlabelledRows
from include.evaluation.gains import Role
from include.evaluation.holdout_rows import (
    HoldoutRows,
    Obstacle,
    Sample,
    holdout_columns,
    make_inputs,
    with_unknown_classes,
)
from include.storage.opening import open_store
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.out_of_core.workers import RowSource, open_workers, together
from include.training.provenance import Provenance

log = logging.getLogger(__name__)

LOOKED_AT = 50_000
"""Rows that come back with all that the challenger reads, spread evenly: importance, dependence, coefficients and latency
are of them, and look at fewer anyway."""


class AnsweredPart(NamedTuple):
    """The result of one partition: its target and slices, the predictions of each model, and the reason why the incumbent can't predict."""

    frame: pd.DataFrame
    answers: dict[Role, NDArray[np.float64]]
    obstacle: Obstacle | None


def read_holdout_in_parts(
    store: ObjectStore, model: ModelConfig, snapshot: Snapshot, origins: dict[Role, Provenance]
) -> HoldoutRows:
    """Return the holdout with the models' answers, but for a sample without their inputs.

    Parameters
    ----------
    snapshot : Snapshot
    origins : dict of Role to Provenance
        Each model's; workers read their code and files from the store.

    Raises
    ------
    RatchetError
        As `include.evaluation.holdout_rows.read_holdout_rows`, and when another model than the incumbent can't predict.
    """
    target, challenger = str(model.data.target), origins["challenger"].fit
    labels = read_table(store, snapshot, model, [target], window="holdout", labelled=False)
    known = np.asarray(labels[target].is_valid().to_numpy())
    if not known.any():
        raise nothing_in(snapshot, snapshot.split.holdout, "holdout", target)
    fits = {role: origin.fit for role, origin in origins.items()}
    source = RowSource(store.url, snapshot, model, challenger.code, Path(), window="holdout")
    parts = [(pinned,) for pinned in touching(snapshot, "holdout")]
    with open_workers(source) as workers:
        sizes = list(workers.map(_rows, parts))
        parts, sizes = [one for one, size in zip(parts, sizes, strict=True) if size], [size for size in sizes if size]
        answered: list[AnsweredPart] = list(workers.map(_answer, parts, fits))
        frame = together([part.frame for part in answered])
        frame[target] = to_frame(labels)[target]
        missing = UnlabelledRows(None, len(frame), int((~known).sum()))
        unlabelled = (missing, *(unlabelled_by_slice(model, frame, ~known) if missing.unlabelled else ()))
        places = np.flatnonzero(known)
        spread = np.unique(np.linspace(0, len(places) - 1, min(LOOKED_AT, len(places))).astype(np.int64))
        cuts = np.searchsorted(places[spread], np.concatenate([[0], np.cumsum(sizes)]))
        starts = np.concatenate([[0], np.cumsum(sizes)])
        asked = [
            (pinned, places[spread[cuts[number] : cuts[number + 1]]] - starts[number])
            for number, (pinned,) in enumerate(parts)
        ]
        sample = together(list(workers.map(_inputs, [one for one in asked if len(one[1])], challenger)))
    log.info("%s holdout rows in %d partitions were predicted by workers", f"{len(places):,}", len(parts))
    obstacle = next((part.obstacle for part in answered if part.obstacle is not None), None)
    roles = [role for role in fits if all(role in part.answers for part in answered)]
    answers = {role: np.concatenate([part.answers[role] for part in answered])[known] for role in roles}
    labelled = to_frame(labels.filter(labels[target].is_valid()))
    frame = frame.loc[known].reset_index(drop=True).assign(**{target: labelled[target]})
    sample[target] = labelled[target].iloc[spread].reset_index(drop=True)
    judged = HoldoutRows(frame, {}, None, obstacle, challenger.classes, {}, unlabelled, answers, Sample(spread, sample))
    return with_unknown_classes(judged, model)


def _rows(source: RowSource, pinned: Pinned) -> int:
    """Return how many rows of the holdout a partition has, on a worker."""
    time = source.model.data.event_time
    table = read_table(
        *(open_store(source.store), source.snapshot, source.model, [time]),
        window="holdout",
        labelled=False,
        among=[pinned],
    )
    return int(table.num_rows)


def _raw(source: RowSource, store: ObjectStore, pinned: Pinned) -> pd.DataFrame:
    columns = list(source.snapshot.schema)
    return to_frame(
        read_table(store, source.snapshot, source.model, columns, window="holdout", labelled=False, among=[pinned])
    )


def _answer(source: RowSource, pinned: Pinned, fits: dict[Role, FitRecord]) -> AnsweredPart:
    """Ask every model of one partition's rows, on a worker, by the code that it was fitted with."""
    store, judged_by = open_store(source.store), list(holdout_columns(source.model))
    judged_by.remove(str(source.model.data.target))
    with ExitStack() as until_the_end, threadpool_limits(limits={"openmp": 1, "blas": 1}):
        origins = {
            role: until_the_end.enter_context(Provenance(store, fit, source.folder)) for role, fit in fits.items()
        }
        wanted = {role: list(fit.columns) for role, fit in fits.items()}
        wanted["challenger"] = list(dict.fromkeys([*wanted["challenger"], *judged_by]))
        inputs, obstacle = make_inputs(_raw(source, store, pinned), origins, wanted)
        answers: dict[Role, NDArray[np.float64]] = {}
        for role, frame in inputs.items():
            try:
                answers[role] = score_rows(open_model(store, fits[role]), fits[role], frame).score
            except CannotPredict as error:
                if role != "incumbent":
                    raise
                remedy = error.remedy or "Train the incumbent's recipe again on today's schema."
                obstacle = Obstacle(error.message, remedy)
            except (ModelFileRefused, ObjectMissing, ObjectCorrupt):
                if role != "incumbent":
                    raise  # the driver finds the same error in the incumbent's file, and reports it
        return AnsweredPart(inputs["challenger"][judged_by].reset_index(drop=True), answers, obstacle)


def _inputs(source: RowSource, pinned: Pinned, places: NDArray[np.int64], challenger: FitRecord) -> pd.DataFrame:
    """Return some rows of a partition with all that the challenger reads and is judged by, on a worker."""
    store = open_store(source.store)
    columns = [name for name in holdout_columns(source.model) if name != source.model.data.target]
    with Provenance(store, challenger, source.folder) as origin:
        made = origin.make(_raw(source, store, pinned), list(dict.fromkeys([*challenger.columns, *columns])))
    return made.iloc[places].reset_index(drop=True)
