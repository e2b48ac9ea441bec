"""Inputs of the leakage checks: one training, and the rows that its model is evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from include.config.model import ModelConfig
from include.training.fit_inputs import FitInputs
from include.training.fit_pipeline import fit_model
from include.training.training_rows import TrainingRows


@dataclass(frozen=True)
class LeakageInputs:
    """One training.

    Attributes
    ----------
    model : ModelConfig
        The declaration of now: which entities must not be shared, which columns are trusted.
    learned : FitInputs
        What the fit learned from, with its own recipe and code.
    pipeline : Pipeline
        The fit's model, as loaded from its file.
    holdout : DataFrame
        The rows that it is judged on, with the columns of ``data.row_id`` and ``data.entity``.
    threads : int
    """

    model: ModelConfig
    learned: FitInputs
    pipeline: Pipeline
    holdout: pd.DataFrame
    threads: int

    @property
    def seed(self) -> int:
        """A seed that is the fit's own."""
        return int(self.learned.fit.key[:8], 16)

    @property
    def refit(self) -> Callable[[TrainingRows], Any]:
        """Fits the same recipe, with the same settings, to other rows."""
        return partial(fit_model, self.learned.recipe, self.learned.fit.params, threads=self.threads)
