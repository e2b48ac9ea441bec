"""The training rows of a fit, prepared as it saw them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
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
