"""Fit a recipe to rows: an estimator, or several joined, with calibration and thresholds on scores of rows not learned from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from include.config.durations import Duration
from include.config.sections.data import LOT
from include.config.sections.training import CrossValidation
from include.errors import TrainingError
from include.training.estimators.calibration import CalibratedClassifier, fit_calibrators
from include.training.estimators.ensembles import EnsembleClassifier, EnsembleRegressor, fit_final_estimator
from include.training.estimators.exposure import ExposureRegressor
from include.training.estimators.meta_estimator import as_pipeline
from include.training.estimators.predictions import (
    Array,
    class_probabilities,
    decision_scores,
    positive_probability,
    predicted_values,
)
from include.training.fairness.group_thresholds import GroupThresholdClassifier, fit_group_thresholds
from include.training.fit_estimator import fault_of, fit_estimator, groups_of, require_two_classes
from include.training.fit_record import PredictionInterval
from include.training.model_selection.conformal import conformal_offsets
from include.training.model_selection.cross_validation import Fold, folds
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.recipe import Recipe
from include.training.sample_weight import declared_weights
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)

Fit = Callable[[TrainingRows], Pipeline]


def fit_model(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, *, threads: int = 1, say: bool = False
) -> Pipeline:
    """Fit a recipe, and what stands on its scores.

    Rows are dropped and resampled, columns chosen, curves and thresholds learned among ``rows``. None of the parts that do
    so, other than what they learned for scoring, is in the pipeline.

    Parameters
    ----------
    settings : dict
        Of the estimator; of each member by its name for what joins others.
    say : bool
        Log what a person should know of the fit.

    Raises
    ------
    TrainingError
        When the rows can't be learned from with these settings.
    """
    return _layers(recipe, settings, threads, say)(rows)


def find_threshold(recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, *, threads: int = 1) -> float:
    """Choose the threshold on scores of rows that their model did not learn from.

    Parameters
    ----------
    settings : dict
        The estimator's settings.
    rows : TrainingRows
        Rows with two classes; each is scored by a model that was fitted without it.
    threads : int
        Threads of one fit.
    """
    if recipe.threshold is None:
        raise ValueError("no threshold is declared")
    if len(rows.classes or ()) != 2:
        raise TrainingError(
            "a threshold divides two classes",
            found=f"{len(rows.classes or ())} classes",
            where="training.threshold",
            remedy="remove it: of more classes the likeliest is predicted",
        )
    fit = _layers(recipe, settings, threads, say=False)
    at, scores = _held_out(
        recipe,
        rows,
        fit,
        lambda model, part: positive_probability(class_probabilities(model, part.frame, 2)),
        least=recipe.least_rows,
    )
    return choose_threshold(recipe.threshold, rows.target[at], scores, _declared(recipe, rows, at))


def fit_intervals(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, *, threads: int = 1
) -> PredictionInterval:
    """Learn how far a prediction may be off, from the errors on rows that their model did not learn from.

    Split conformal prediction (Lei et al., 2018) on out-of-fold residuals.

    Parameters
    ----------
    recipe : Recipe
        Declares the coverage.
    settings : dict
        The estimator's settings, after the search.
    rows : TrainingRows
    threads : int
        How many threads a fit may use.

    Returns
    -------
    PredictionInterval

    Raises
    ------
    TrainingError
        When there are too few rows for the declared coverage.
    """
    if recipe.coverage is None:
        raise ValueError("no prediction intervals are declared")
    fit = _layers(recipe, settings, threads, say=False)
    at, values = _held_out(recipe, rows, fit, lambda model, part: predicted_values(model, part.frame), least=0)
    lower, upper = conformal_offsets(rows.target[at] - values, recipe.coverage)
    return PredictionInterval(recipe.coverage, lower, upper, len(at))


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


def _layers(recipe: Recipe, settings: dict[str, Any], threads: int, say: bool) -> Fit:
    fit: Fit
    if recipe.members:
        fit = partial(_joined, recipe, settings, threads)
    else:
        fit = partial(fit_estimator, recipe, settings, threads, say)
        if recipe.exposure is not None:
            fit = partial(_per_unit, recipe, fit)
    if recipe.calibration != "none":
        fit = partial(_calibrated, recipe, fit)
    if recipe.reads_groups:
        fit = partial(_cut_by_group, recipe, fit)
    return fit


def _declared(recipe: Recipe, rows: TrainingRows, at: Array) -> Array | None:
    """Return the declared weights of some of the rows, for what is learned from their scores.

    Neither weights that balance classes nor those that mitigate unfairness: what they bend in the scores is mended here.
    """
    return None if recipe.weights is None else declared_weights(recipe.weights, rows.frame, recipe.event_time)[at]


def _joined(recipe: Recipe, settings: dict[str, Any], threads: int, rows: TrainingRows) -> Pipeline:
    fits = [_layers(member, settings[member.name], threads, say=False) for member in recipe.members]
    classes = None if rows.classes is None else len(rows.classes)
    final = None
    if recipe.estimator == "stacking":

        def answer(model: Any, part: TrainingRows) -> Array:
            return (
                predicted_values(model, part.frame)
                if classes is None
                else class_probabilities(model, part.frame, classes)
            )

        least = max(member.least_rows for member in recipe.members)  # for all: what they say is of the same rows
        held = [_held_out(recipe, rows, fit, answer, least=least) for fit in fits]
        at = held[0][0]
        final = fit_final_estimator(
            [known for _, known in held], rows.target[at], classes=classes, weights=_declared(recipe, rows, at)
        )
    members = [fit(rows) for fit in fits]
    if classes is None:
        return as_pipeline(EnsembleRegressor(members, final), recipe.inputs)
    return as_pipeline(EnsembleClassifier(members, final, classes), recipe.inputs)


def _per_unit(recipe: Recipe, fit: Fit, rows: TrainingRows) -> Pipeline:
    return as_pipeline(ExposureRegressor(fit(rows), str(recipe.exposure)), recipe.inputs)


def _calibrated(recipe: Recipe, fit: Fit, rows: TrainingRows) -> Pipeline:
    classes = len(rows.classes or ())
    at, scores = _held_out(
        recipe,
        rows,
        fit,
        lambda model, part: decision_scores(model, part.frame),
        least=recipe.least_rows - 1 - recipe.reads_groups,
    )
    curves = fit_calibrators(recipe.calibration, scores, rows.target[at], classes, _declared(recipe, rows, at))
    return as_pipeline(CalibratedClassifier(fit(rows), curves, classes), recipe.inputs)


def _cut_by_group(recipe: Recipe, fit: Fit, rows: TrainingRows) -> Pipeline:
    if recipe.fairness is None:
        raise ValueError("no fairness is declared")
    require_two_classes(rows, "group_thresholds")
    at, scores = _held_out(
        recipe,
        rows,
        fit,
        lambda model, part: class_probabilities(model, part.frame, 2)[:, 1],
        least=recipe.least_rows - 1,
    )
    try:
        groups, rules = fit_group_thresholds(scores, rows.target[at], groups_of(recipe, rows)[at], recipe.fairness)
    except ValueError as error:
        raise TrainingError(
            "no thresholds can be found for the groups",
            found=str(error).partition("\n")[0],
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="a group that has rows of one class only can't be compared: join groups in `features.derive`",
        ) from error
    return as_pipeline(GroupThresholdClassifier(fit(rows), recipe.fairness.column, groups, rules), recipe.inputs)


def _held_out(
    recipe: Recipe, rows: TrainingRows, fit: Fit, answer: Callable[[Any, TrainingRows], Array], *, least: int
) -> tuple[Array, Array]:
    """Return the positions of rows that a fold held out, and what the fold's model says of them.

    ``least`` is how many rows of each class a fold must have to be fitted.
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
        part = rows.at(fitted)
        # A fold that lacks a class can't say anything of it.
        if can_be_fitted(part, least):
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
    order = np.argsort(at, kind="stable")
    return at[order], said[order]


def _cross_fitting(recipe: Recipe, rows: TrainingRows, least: int) -> list[Fold]:
    """Return the declared folds; where a rare class is in none of them, such that divide it evenly instead."""
    declared = recipe.cross_fitting
    divided = divide(recipe, declared, rows)
    if declared.kind == "group" or any(can_be_fitted(rows.at(fitted), least) for fitted, _ in divided):
        return divided
    log.warning(
        "%s: no fold of kind `%s` holds %d rows of each class; folds are drawn by class instead",
        *(recipe.name, declared.kind, least),
    )
    return divide(recipe, CrossValidation(kind="stratified", folds=max(declared.folds, 3)), rows)


def can_be_fitted(rows: TrainingRows, least: int) -> bool:
    """Tell whether there are so many rows of each class that the model is to know.

    Parameters
    ----------
    rows : TrainingRows
    least : int
        Rows of each class.
    """
    return rows.classes is None or int(_counts(rows).min()) >= least


def _counts(rows: TrainingRows) -> Array:
    return np.bincount(rows.target, minlength=len(rows.classes or ()))
