"""The rows that a fit learned from, as it saw them: for whoever asks what it made of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from include.config.model import ModelConfig
from include.data.frames import derive_columns, read_rows
from include.data.snapshots import Snapshot
from include.storage.store import ObjectStore
from include.training.origins import code_of, config_of
from include.training.recipe import Recipe, recipe_of
from include.training.record import FitRecord
from include.training.rows import Rows, training_rows


class LearnedRows:
    """A fit's training rows by the declaration and the code that it was made with; read and derived once, when first asked for.

    A context, at whose end the code that was restored for it is gone.

    Parameters
    ----------
    folder : Path
        The model's folder.

    Raises
    ------
    TrainingError, ObjectMissing, ObjectCorrupt
        When the rows are asked for, and the fit's record does not say what it came from, or that is damaged.
    """

    def __init__(self, store: ObjectStore, fit: FitRecord, folder: Path) -> None:
        self._store, self._folder, self._until_the_end = store, folder, ExitStack()
        self.fit = fit

    def __enter__(self) -> LearnedRows:
        return self

    def __exit__(self, *failed: Any) -> None:
        self._until_the_end.close()

    @cached_property
    def declared(self) -> ModelConfig:
        """The declaration that the fit was made under."""
        return config_of(self._store, self.fit)

    @cached_property
    def recipe(self) -> Recipe:
        """The fit's recipe; its members are those that the fit chose, which it has settings of."""
        recipe = recipe_of(self.declared, self.fit.candidate)
        return replace(recipe, members=tuple(one for one in recipe.members if one.name in self.fit.params))

    @cached_property
    def raw(self) -> pd.DataFrame:
        """The rows before ``features.derive``, in the order of time."""
        snapshot = Snapshot.load(self._store, self.fit.model, self.fit.snapshot)
        return read_rows(
            self._store, snapshot, self.declared, self._folder, window="train", columns=list(snapshot.schema)
        )

    @cached_property
    def whole(self) -> pd.DataFrame:
        """The same rows after it."""
        return self.derive(self.raw)

    @cached_property
    def rows(self) -> Rows:
        """The same rows as the fit was given them."""
        return training_rows(self.whole[list(self.recipe.columns)], self.recipe)

    def derive(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return raw rows with the columns that the fit's own code makes of them."""
        return derive_columns(frame, self.declared, self._code)

    @cached_property
    def _code(self) -> Path:
        return self._until_the_end.enter_context(
            code_of(self._store, self.fit, self.declared.features.derive, self._folder)
        )
