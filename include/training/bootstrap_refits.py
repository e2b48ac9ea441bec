"""Bootstrap refits: one recipe fitted to resamples of its rows, to measure how much a result varies with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from include.training.fit_pipeline import fit_model
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows


def refit(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, count: int, *, threads: int = 1
) -> Iterator[Pipeline]:
    """Yield models fitted to as many rows drawn with replacement, each from a seed of its own.

    Parameters
    ----------
    recipe : Recipe
        Its seed, plus 1, 2, ..., seeds the refits.
    settings : dict
        The estimator's settings.
    rows : TrainingRows
        The rows to resample.
    count : int
        Number of models.
    threads : int
        Threads of one fit.
    """
    for number in range(1, count + 1):
        seed = (recipe.seed + number) % 2**32
        drawn = np.sort(np.random.default_rng(seed).integers(len(rows), size=len(rows)))
        yield fit_model(replace(recipe, seed=seed), settings, rows.at(drawn), threads=threads)
