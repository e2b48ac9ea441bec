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
from include.data.snapshots import Snapshot
from include.data.stored_partitions import touching
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.out_of_core.parted_rows import open_parted_rows
from include.training.provenance import Provenance
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows, training_rows


class FitInputs:
    """A fit's training rows by the declaration and the code that it was made with; read and derived once, when first asked for.

    Parameters
    ----------
    origin : Provenance
        Raises what it raises when the rows are asked for.
    """

    def __init__(self, store: ObjectStore, origin: Provenance) -> None:
        self._store, self.origin = store, origin

    @property
    def fit(self) -> FitRecord:
        """Whose rows they are."""
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
    def raw(self) -> pd.DataFrame:
        """The rows before ``features.derive``, in the order of time."""
        snapshot = Snapshot.load(self._store, self.fit.model, self.fit.snapshot)
        nowhere = Path()  # columns of the source alone: nothing is derived
        return read_rows(self._store, snapshot, self.declared, nowhere, window="train", columns=list(snapshot.schema))

    @cached_property
    def derived(self) -> pd.DataFrame:
        """The same rows after it."""
        return self.origin.derive(self.raw) if self.declared.features.derive else self.raw

    @property
    def whole(self) -> pd.DataFrame:
        """The same rows as the fit read them."""
        return self.derived if self.origin.derives else self.raw

    @cached_property
    def rows(self) -> TrainingRows:
        """The same rows as the fit was given them."""
        code = self.origin.code if self.recipe.cost_function else Path()
        return training_rows(self.whole[list(self.recipe.columns)], self.recipe, code)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Return columns of the same rows, also of those that the fit did not read."""
        return self.whole[list(names)] if set(names) <= set(self.whole) else self.origin.make(self.raw, names)

    def some(self, places: np.ndarray[Any, Any], names: Sequence[str]) -> pd.DataFrame:
        """Return columns of some of the rows, by their places."""
        return self.columns(names).iloc[places]

    def parts(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield the rows before and after ``features.derive``: all at once, or of one partition after the other."""
        yield self.raw, self.derived


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
    def snapshot(self) -> Snapshot:
        """The fit's own."""
        return Snapshot.load(self._store, self.fit.model, self.fit.snapshot)

    @cached_property
    def rows(self) -> TrainingRows:
        """The rows as the fit was given them: in partitions, which workers read."""
        code = self.origin.code
        opened = open_parted_rows(self._store, self.declared, code, self.snapshot, self.recipe)
        return self._until_the_end.enter_context(opened)

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Return columns of the source of all rows."""
        return read_rows(self._store, self.snapshot, self.declared, Path(), window="train", columns=list(names))

    def some(self, places: np.ndarray[Any, Any], names: Sequence[str]) -> pd.DataFrame:
        """Return columns of some of the rows, by their places."""
        return self.rows.at(places).fetched().frame[list(names)]

    def parts(self) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield the rows of each partition, one after the other in this process."""
        for pinned in touching(self.snapshot, "train"):
            columns, among = list(self.snapshot.schema), [pinned]
            raw = read_rows(
                self._store, self.snapshot, self.declared, Path(), window="train", columns=columns, among=among
            )
            if len(raw):
                yield raw, self.origin.derive(raw)


@contextmanager
def fit_inputs(store: ObjectStore, origin: Provenance) -> Iterator[FitInputs]:
    """Yield the training rows of a fit where its engine holds them."""
    with ExitStack() as until_the_end:
        yield FitInputs(store, origin) if origin.fit.engine is None else PartedInputs(store, origin, until_the_end)
