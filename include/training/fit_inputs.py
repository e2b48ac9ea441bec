"""The training rows of a fit, prepared as it saw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import in_parts, touching
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.out_of_core.parted_rows import open_parted_rows
from include.training.out_of_core.workers import together
from include.training.provenance import Provenance
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows, training_rows

PART = 1_000_000
"""The largest number of rows that are held with all columns; for more rows, only the needed columns are held."""


class FitInputs:
    """A fit's training rows by the declaration and the code that it was made with; read and derived once, when first asked for.

    Parameters
    ----------
    origin : Provenance
        Raises what it raises when the rows are asked for.
    """

    def __init__(self, store: ObjectStore, origin: Provenance) -> None:
        self._store, self.origin = store, origin
        self._frame: pd.DataFrame | None = None

    @property
    def fit(self) -> FitRecord:
        """The record of the fit whose rows these are."""
        return self.origin.fit

    @property
    def declared(self) -> ModelConfig:
        """The declaration that the fit was made under."""
        return self.origin.declared

    @property
    def recipe(self) -> Recipe:
        """The fit's recipe."""
        return self.origin.recipe

    @cached_property
    def snapshot(self) -> Snapshot:
        """The fit's own."""
        return Snapshot.load(self._store, self.fit.model, self.fit.snapshot)

    @property
    def frame(self) -> pd.DataFrame:
        """The columns that the fit read, and others that are looked at, of the same rows in the order of time."""
        if self._frame is None and not self.origin.derives:
            self._frame = self._read([name for name in self._kept if name in self.snapshot.schema])
        if self._frame is None:
            for _ in self.parts():
                pass
        assert self._frame is not None  # noqa: S101 (a fit has rows)
        return self._frame

    @cached_property
    def rows(self) -> TrainingRows:
        """The same rows as the fit was given them."""
        code = self.origin.code if self.recipe.cost_function else Path()
        return training_rows(self.frame[list(self.recipe.columns)], self.recipe, code)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Return columns of the same rows, also of those that the fit did not read."""
        if set(names) <= set(self.frame):
            return self.frame[list(names)]
        if not self.origin.derives and set(names) <= set(self.snapshot.schema):
            return self._read(names)
        return together([self.origin.make(raw, names) for raw in self._raw()])

    def some(self, places: np.ndarray[Any, Any], names: Sequence[str]) -> pd.DataFrame:
        """Return columns of some of the rows, by their places."""
        return self.columns(names).iloc[places]

    def parts(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield the rows before and after ``features.derive``, some partitions after the others.

        What is derived by it is kept as `frame`: who asks for both lets this be the first.
        """
        kept: list[pd.DataFrame] = []
        for raw in self._raw():
            whole = self.origin.derive(raw) if self.declared.features.derive else raw
            if self._frame is None and self.origin.derives:
                kept.append(whole[[name for name in self._kept if name in whole]])
            yield raw, whole
            del raw, whole
        if kept:
            self._frame = together(kept) if len(kept) > 1 else kept[0]

    @property
    def _kept(self) -> list[str]:
        data, cost = self.declared.data, self.declared.evaluation.cost
        beside = [*([data.entity] if data.entity else []), *(cost.columns if cost else ())]
        return list(dict.fromkeys([*self.recipe.columns, *beside]))

    def _raw(self) -> Iterator[pd.DataFrame]:
        parts = in_parts(self.snapshot, PART, "train")
        for part in parts:
            raw = self._read(list(self.snapshot.schema), None if len(parts) == 1 else part)
            if len(raw):
                yield raw
            del raw

    def _read(self, names: Sequence[str], among: Sequence[Pinned] | None = None) -> pd.DataFrame:
        nowhere = Path()  # columns of the source alone: nothing is derived
        return read_rows(
            self._store, self.snapshot, self.declared, nowhere, window="train", columns=list(names), among=among
        )


class PartedInputs(FitInputs):
    """The same of a fit whose rows stay in partitions: whole columns are those of the source alone.

    Parameters
    ----------
    store : ObjectStore
    origin : Provenance
    until_the_end : ExitStack
        Keeps the connection to the cluster, which is made when rows are first asked for.
    """

    def __init__(self, store: ObjectStore, origin: Provenance, until_the_end: ExitStack) -> None:
        super().__init__(store, origin)
        self._until_the_end = until_the_end

    @cached_property
    def rows(self) -> TrainingRows:
        """The rows as the fit was given them: in partitions, which workers read."""
        code = self.origin.code
        opened = open_parted_rows(self._store, self.declared, code, self.snapshot, self.recipe)
        return self._until_the_end.enter_context(opened)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Return columns of the source of all rows."""
        return self._read(names)

    def some(self, places: np.ndarray[Any, Any], names: Sequence[str]) -> pd.DataFrame:
        """Return columns of some of the rows, by their places."""
        return self.rows.at(places).fetched().frame[list(names)]

    def parts(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield the rows of each partition, one after the other in this process."""
        for pinned in touching(self.snapshot, "train"):
            raw = self._read(list(self.snapshot.schema), [pinned])
            if len(raw):
                yield raw, self.origin.derive(raw)


@contextmanager
def fit_inputs(store: ObjectStore, origin: Provenance) -> Iterator[FitInputs]:
    """Yield the training rows of a fit where its engine holds them."""
    with ExitStack() as until_the_end:
        yield FitInputs(store, origin) if origin.fit.engine is None else PartedInputs(store, origin, until_the_end)
