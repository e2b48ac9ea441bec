"""Out-of-fold predictions: each row's by a model that was fitted without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from include.config.durations import Duration
from include.config.sections.data import LOT
from include.config.sections.training import CrossValidation
from include.errors import TrainingError
from include.training.estimators.predictions import Array
from include.training.fit_estimator import fault_of
from include.training.model_selection.cross_validation import Fold, folds
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)

Fit = Callable[[TrainingRows], Pipeline]


def divide(recipe: Recipe, cv: CrossValidation, rows: TrainingRows) -> list[Fold]:
    """Return the folds that a recipe's declaration makes of rows."""
    return list(
        folds(
            cv,
            times=rows.frame[recipe.event_time],
            target=rows.target,
            groups=None if cv.group is None else rows.frame[cv.group],
            label_delay=Duration.parse(recipe.label_delay),
            seed=recipe.seed,
            # In a table without time equal rows, and those of one entity, have the same lot.
            units=rows.frame[LOT] if recipe.event_time == LOT else None,
        )
    )


def out_of_fold(
    recipe: Recipe, rows: TrainingRows, fit: Fit, answer: Callable[[Any, TrainingRows], Array], *, least: int
) -> tuple[Array, Array]:
    """Return the positions of rows that a fold held out, and the predictions of the fold's model.

    Parameters
    ----------
    recipe : Recipe
        Declares the folds.
    rows : TrainingRows
    fit : callable
        Fits a model to the rows of a fold.
    answer : callable
        What a fitted model says of rows: an array of one item a row.
    least : int
        How many rows of each class a fold must have to be fitted.

    Raises
    ------
    TrainingError
        When a class has too few rows, or no fold holds every class.
    """
    if not can_be_fitted(rows, least + 1):
        raise TrainingError(
            "a class has too few rows to learn from scores of rows held out",
            expected=f"at least {least + 1} training rows of each class",
            found=f"{_counts(rows).min()} of {len(rows):,}",
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="a longer `data.windows.train`, or a candidate without `stacking`, `calibration`, `threshold` and `fairness`",
        )
    found = []
    for fitted, held in _cross_fitting(recipe, rows, least):
        # A model that is fitted without a class can't predict it.
        if can_be_fitted(rows, least, fitted):
            part = rows.at(fitted)
            model = fit(part)
            with fault_of(recipe, part):
                found.append((held, answer(model, rows.at(held))))
    if not found:
        raise TrainingError(
            "no fold holds every class",
            found=f"{len(rows):,} rows",
            where=f"{recipe.model}: candidate {recipe.name}, training.cross_fitting",
            remedy="`cross_fitting: {kind: stratified, folds: 3}`, fewer `folds` or a longer `data.windows.train`",
        )
    at, said = np.concatenate([held for held, _ in found]), np.concatenate([said for _, said in found])
    if rows.classes is not None and len(np.unique(rows.target[at])) < 2:
        raise TrainingError(
            "the rows held out are all of one class",
            found=f"{len(at):,} of {len(rows):,} rows",
            where=f"{recipe.model}: candidate {recipe.name}, training.cross_fitting",
            remedy="a longer `data.windows.train`, or groups of `cross_fitting` that have rows of both classes",
        )
    order = np.argsort(at, kind="stable")
    return at[order], said[order]


def _cross_fitting(recipe: Recipe, rows: TrainingRows, least: int) -> list[Fold]:
    """Return the declared folds; where a rare class is in none of them, or held out by none, such that divide it evenly instead."""
    declared = recipe.cross_fitting
    divided = divide(recipe, declared, rows)
    held = [held for fitted, held in divided if can_be_fitted(rows, least, fitted)]
    if declared.kind == "group" or (held and can_be_fitted(rows, 1, np.concatenate(held))):
        return divided
    log.warning(
        "%s: no fold of kind `%s` holds %d rows of each class and others of it out; folds are drawn by class instead",
        *(recipe.name, declared.kind, least),
    )
    return divide(recipe, CrossValidation(kind="stratified", folds=max(declared.folds, 3)), rows)


def can_be_fitted(rows: TrainingRows, least: int, at: Array | None = None) -> bool:
    """Tell whether there are enough rows of each class of the model.

    Parameters
    ----------
    rows : TrainingRows
    least : int
        Rows of each class.
    at : array of int, optional
        Positions of the rows that are looked at; all if left out.
    """
    return rows.classes is None or int(_counts(rows, at).min()) >= least


def _counts(rows: TrainingRows, at: Array | None = None) -> Array:
    return np.bincount(rows.target if at is None else rows.target[at], minlength=len(rows.classes or ()))
