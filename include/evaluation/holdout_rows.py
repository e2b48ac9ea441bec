"""The holdout rows, read once with their target, slices and the inputs of each model."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.sections.slices import columns_of
from include.data.columns.pandas_frames import to_frame
from include.data.frames import read_table
from include.data.rare_levels import RareLevels, pooled_by
from include.data.snapshots import Snapshot
from include.data.stored_partitions import nothing_in
from include.errors import RatchetError, StoreUnavailable
from include.evaluation.data_coverage import unlabelled_by_slice, unlabelled_columns
from include.evaluation.evidence import UnlabelledRows
from include.evaluation.gains import Role
from include.evaluation.unknown_classes import find_unknown, name_unknown
from include.storage.store import ObjectStore
from include.training.preprocessing.target import as_numbers
from include.training.provenance import Provenance

log = logging.getLogger(__name__)

Array = NDArray[Any]


class Obstacle(NamedTuple):
    """What keeps the incumbent from being compared."""

    because: str
    remedy: str


class Sample(NamedTuple):
    """Some of the rows, by their places, with all that the challenger reads."""

    places: Array
    frame: pd.DataFrame

    def at(self, kept: Array) -> Sample:
        """Return those that are among some of the rows, by their places there."""
        own = kept[self.places]
        places = (np.cumsum(kept) - 1)[self.places[own]]
        return Sample(places, self.frame.loc[own].reset_index(drop=True))


class HoldoutRows(NamedTuple):
    """The holdout's rows.

    ``frame`` are the rows as the challenger reads them, with all that they are judged by: target, slices, what is resampled
    together, costs. ``inputs`` are the same rows as each model reads them; ``raw`` before features are derived, where a
    declared behaviour changes them; ``obstacle`` is what keeps the incumbent from reading them. ``classes`` are what scores
    are of, None where nothing is classified: the challenger's, and after them those that only these rows have, ``unknown`` with
    their number of rows. ``unlabelled`` counts the rows that are not among them for want of a label; None where nothing has one.
    ``answers`` are what models said where rows are in partitions, whose inputs then are not here, but for ``sample``.
    """

    frame: pd.DataFrame
    inputs: dict[Role, pd.DataFrame]
    raw: pd.DataFrame | None
    obstacle: Obstacle | None
    classes: tuple[Any, ...] | None
    unknown: dict[str, int]
    unlabelled: tuple[UnlabelledRows, ...] | None = None
    answers: dict[Role, Array] | None = None
    sample: Sample | None = None

    @property
    def looked_at(self) -> tuple[HoldoutRows, Any]:
        """The rows whose inputs are in memory, and their places: all of them, or a sample of rows in partitions."""
        if self.sample is None:
            return self, slice(None)
        places, frame = self.sample
        return HoldoutRows(frame, {}, None, self.obstacle, self.classes, self.unknown), places

    def at(self, kept: Array) -> HoldoutRows:
        """Return some of the rows.

        Parameters
        ----------
        kept : array of bool, of shape (n_rows,)
        """
        inputs = {role: frame.loc[kept].reset_index(drop=True) for role, frame in self.inputs.items()}
        raw = None if self.raw is None else self.raw.loc[kept].reset_index(drop=True)
        answers = None if self.answers is None else {of: said[kept] for of, said in self.answers.items()}
        frame = self.frame.loc[kept].reset_index(drop=True)
        sample = None if self.sample is None else self.sample.at(kept)
        return self._replace(frame=frame, inputs=inputs, raw=raw, answers=answers, sample=sample)


def holdout_columns(model: ModelConfig) -> tuple[str, ...]:
    """Return the columns that rows are judged by, for any model: ids, target, slices, what is resampled together, costs."""
    unit = (model.evaluation.cluster or model.data.event_time, *([model.data.entity] if model.data.entity else []))
    priced = model.evaluation.cost.columns if model.evaluation.cost else ()
    slices = columns_of(model.evaluation.slices)
    return tuple(dict.fromkeys([*model.data.row_id, *model.data.labels, *slices, *unit, *model.data.people, *priced]))


def read_holdout_rows(
    store: ObjectStore, model: ModelConfig, snapshot: Snapshot, origins: dict[Role, Provenance]
) -> HoldoutRows:
    """Read the holdout once, and give each model its inputs by the code that it was fitted with.

    Parameters
    ----------
    snapshot : Snapshot
        The data of the run that trained the challenger.
    origins : dict of Role to Provenance
        Where each model's fit came from: its record and its code.

    Raises
    ------
    NotEnoughRows
        When no row has a label.
    RatchetError
        When another model than the incumbent can't read the rows.
    """
    wanted = {role: list(origin.fit.columns) for role, origin in origins.items()}
    wanted["challenger"] = list(dict.fromkeys([*wanted["challenger"], *holdout_columns(model)]))
    columns = list(dict.fromkeys([*wanted["challenger"], *(name for own in wanted.values() for name in own)]))
    schema = list(snapshot.schema)
    if model.evaluation.behaviour or not set(columns) <= set(schema) or any(map(_derives, origins.values())):
        columns = schema
    table = read_table(store, snapshot, model, columns, window="holdout", labelled=False)
    unlabelled: tuple[UnlabelledRows, ...] | None = None
    if (target := model.data.target) is not None:
        unlabelled = (UnlabelledRows(None, len(table), table[target].null_count),)
        if unlabelled[0].unlabelled == len(table):
            raise nothing_in(snapshot, snapshot.split.holdout, "holdout", target)
        if unlabelled[0].unlabelled:
            labels, columns = to_frame(table), unlabelled_columns(model)
            sliced = origins["challenger"].make(labels, columns) if model.evaluation.slices else labels
            unlabelled += unlabelled_by_slice(model, sliced, labels[target].isna().to_numpy())
            del labels, sliced
            table = table.filter(pc.is_valid(table[target]))
    raw = to_frame(table)
    del table
    inputs, obstacle = make_inputs(raw, origins, wanted)
    classes = origins["challenger"].fit.classes
    judged = HoldoutRows(
        inputs["challenger"], inputs, raw if model.evaluation.behaviour else None, obstacle, classes, {}, unlabelled
    )
    return with_unknown_classes(judged, model)


def make_inputs(
    raw: pd.DataFrame, origins: dict[Role, Provenance], wanted: dict[Role, list[str]]
) -> tuple[dict[Role, pd.DataFrame], Obstacle | None]:
    """Return raw rows as each model reads them, and what keeps the incumbent from it.

    Parameters
    ----------
    raw : DataFrame
        Rows before features are derived.
    origins : dict of Role to Provenance
    wanted : dict of Role to list of str
        The columns for each.
    """
    made: list[tuple[Role, pd.DataFrame]] = []
    obstacle = None
    for role, origin in origins.items():
        try:
            # What one model's code has made, another of the same code takes.
            same = [
                frame for other, frame in made if _alike(origin, origins[other]) and set(wanted[role]) <= set(frame)
            ]
            made.append((role, same[0] if same else origin.make(raw, wanted[role])))
        except StoreUnavailable:
            raise
        except RatchetError as error:
            if role != "incumbent":
                raise
            log.warning("The incumbent can't be asked: %s", error.message)
            because = f"it can't be given its inputs by the code that it was fitted with: {error.message.rstrip('.')}"
            obstacle = Obstacle(because, "Restore what is missing, or train the incumbent's recipe again.")
    return dict(made), obstacle


def with_unknown_classes(judged: HoldoutRows, model: ModelConfig) -> HoldoutRows:
    """Make rows of classes that the challenger can't know count as errors, or leave them out and compare nothing.

    See `include.evaluation.unknown_classes`; with declared costs there is none of calling a row one of them.
    """
    if (classes := judged.classes) is None:
        return judged
    column = judged.frame[model.data.target]
    strange = find_unknown(column, classes)
    if not strange:
        return judged
    unknown = name_unknown(column, strange, RareLevels.of(model.data, judged.frame))
    log.warning("%s holdout rows are of classes that the challenger can't know", f"{sum(unknown.values()):,}")
    judged = judged._replace(unknown=unknown)
    if len(classes) > 2 and model.evaluation.cost is None:
        return judged._replace(classes=(*classes, *strange))
    named = ", ".join(f"`{name}` ({rows:,} rows)" for name, rows in list(unknown.items())[:5])
    obstacle = Obstacle(
        f"the holdout holds classes that the challenger never saw: {named}",
        "The next training whose window reaches these rows knows them. If they are no classes, correct the source.",
    )
    return judged.at(column.isin(classes).to_numpy())._replace(obstacle=obstacle)


def _derives(origin: Provenance) -> bool:
    try:
        return origin.derives
    except StoreUnavailable:
        raise
    except RatchetError:  # said when its inputs are made
        return False


def _alike(one: Provenance, other: Provenance) -> bool:
    """Whether the same code makes the inputs of two fits, from the same columns."""
    first, second = (
        (origin.fit.code, origin.declared.features.derive, origin.declared.data.target) if origin.derives else None
        for origin in (one, other)
    )
    return first == second


def holdout_declaration(model: ModelConfig) -> dict[str, Any]:
    """Return what a declaration says about the rows that models are judged on; part of what evidence is found by."""
    return model.data.model_dump(mode="json", include={"event_time", "row_id", "target", "entity"}) | pooled_by(
        model.data
    )


def target_of(frame: pd.DataFrame, model: ModelConfig, classes: tuple[Any, ...] | None) -> Array:
    """Return places in ``classes``, or values; zeros where there is no target. Raises `TrainingError` for another class."""
    if model.data.target is None:
        return np.zeros(len(frame))
    column = frame[model.data.target]
    return column.to_numpy(dtype=float) if classes is None else as_numbers(column, classes).astype(float)
