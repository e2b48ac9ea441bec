"""Fit a recipe: an estimator or an ensemble, with calibration and thresholds from out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sklearn.pipeline import Pipeline

from include.errors import TrainingError
from include.training.estimators.calibration import (
    CalibratedClassifier,
    calibrated_probabilities,
    fit_calibrators,
)
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
from include.training.fairness.group_thresholds import GroupThresholdClassifier, cut_by_group, fit_group_thresholds
from include.training.fit_estimator import fit_estimator, groups_of, require_two_classes
from include.training.fit_record import PredictionInterval
from include.training.metrics.scoring import DEFAULT_THRESHOLD
from include.training.model_selection.conformal import conformal_offsets
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.model_selection.out_of_fold import Fit, out_of_fold
from include.training.recipe import Recipe
from include.training.sample_weight import declared_weights
from include.training.training_rows import TrainingRows


def fit_model(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, *, threads: int = 1, say: bool = False
) -> Pipeline:
    """Fit a recipe, and the calibration and thresholds of its scores.

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
    return _fit(recipe, settings, rows, threads, say, threshold=False)[0]


def fit_with_threshold(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, *, threads: int = 1, say: bool = False
) -> tuple[Pipeline, float | None]:
    """Fit a recipe and choose its threshold: one round of cross-fitting serves calibration, group thresholds and threshold.

    Parameters
    ----------
    settings : dict
        As for `fit_model`.
    rows : TrainingRows
        Each is scored by a model that was fitted without it.
    threads : int
        Threads of one fit.
    say : bool
        Log what a person should know of the fit.

    Returns
    -------
    (pipeline, threshold)
        The threshold is None for regression, and for more than two classes, of which the likeliest is predicted.

    Raises
    ------
    TrainingError
        As `fit_model`, and when a threshold is declared for more than two classes.
    """
    if recipe.threshold is not None and len(rows.classes or ()) != 2:
        raise TrainingError(
            "a threshold divides two classes",
            found=f"{len(rows.classes or ())} classes",
            where="training.threshold",
            remedy="remove it: of more classes the likeliest is predicted",
        )
    pipeline, threshold = _fit(recipe, settings, rows, threads, say, threshold=recipe.threshold is not None)
    default = DEFAULT_THRESHOLD if len(rows.classes or ()) == 2 else None
    return pipeline, default if threshold is None else threshold


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
    fit = _estimator(recipe, settings, threads, say=False)
    at, values = out_of_fold(
        recipe, rows, fit, lambda model, part: part.answers(partial(predicted_values, model)), least=0
    )
    lower, upper = conformal_offsets(rows.target[at] - values, recipe.coverage)
    return PredictionInterval(recipe.coverage, lower, upper, len(at))


def _estimator(recipe: Recipe, settings: dict[str, Any], threads: int, say: bool) -> Fit:
    """Return the part of the recipe that fits the estimator, without calibration and thresholds."""
    if recipe.members:
        return partial(_joined, recipe, settings, threads)
    fit: Fit = partial(fit_estimator, recipe, settings, threads, say)
    return fit if recipe.exposure is None else partial(_per_unit, recipe, fit)


def _fit(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, threads: int, say: bool, *, threshold: bool
) -> tuple[Pipeline, float | None]:
    """Fit to all rows, then fit calibration, group thresholds and threshold to one set of out-of-fold scores.

    Each of the three reads the scores that the one before it returns.
    """
    if recipe.reads_groups:
        require_two_classes(rows, "group_thresholds")
    whole = _estimator(recipe, settings, threads, say)
    if not (recipe.learns_from_scores or threshold):
        return whole(rows), None
    classes, calibrated = len(rows.classes or ()), recipe.calibration != "none"

    def answer(model: Any, part: TrainingRows) -> Array:
        if calibrated:
            return part.answers(partial(decision_scores, model))
        return positive_probability(part.answers(partial(class_probabilities, model, classes=classes)))

    fit = _estimator(recipe, settings, threads, say=False)
    at, scores = out_of_fold(recipe, rows, fit, answer, least=recipe.least_rows - recipe.learns_from_scores)
    target, weights = rows.target[at], _declared(recipe, rows, at)
    layers: list[Callable[[Pipeline], Any]] = []
    if calibrated:
        curves = fit_calibrators(recipe.calibration, scores, target, classes, weights)
        layers.append(lambda model: CalibratedClassifier(model, curves, classes))
        scores = positive_probability(calibrated_probabilities(curves, scores, classes))
    if recipe.reads_groups and recipe.fairness is not None:
        column, groups = recipe.fairness.column, groups_of(recipe, rows)[at]
        names, rules = _group_rules(recipe, scores, target, groups)
        layers.append(lambda model: GroupThresholdClassifier(model, column, names, rules))
        scores = cut_by_group(scores, groups, names, rules)
    costs = None if rows.costs is None else rows.costs.at(at).table
    chosen = (
        choose_threshold(recipe.threshold, target, scores, weights, costs) if threshold and recipe.threshold else None
    )
    pipeline = whole(rows)
    for layer in layers:
        pipeline = as_pipeline(layer(pipeline), recipe.inputs)
    return pipeline, chosen


def _declared(recipe: Recipe, rows: TrainingRows, at: Array) -> Array | None:
    """Return the declared weights of some of the rows, for what is learned from their scores.

    Neither weights that balance classes nor those that mitigate unfairness: what they bend in the scores is mended here.
    """
    return None if recipe.weights is None else declared_weights(recipe.weights, rows.frame, recipe.event_time)[at]


def _joined(recipe: Recipe, settings: dict[str, Any], threads: int, rows: TrainingRows) -> Pipeline:
    fits: list[Fit] = [partial(_member, member, settings[member.name], threads) for member in recipe.members]
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
        held = [out_of_fold(recipe, rows, fit, answer, least=least) for fit in fits]
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


def _member(recipe: Recipe, settings: dict[str, Any], threads: int, rows: TrainingRows) -> Pipeline:
    return fit_model(recipe, settings, rows, threads=threads)


def _group_rules(recipe: Recipe, scores: Array, target: Array, groups: Array) -> tuple[list[str], Array]:
    if recipe.fairness is None:
        raise ValueError("no fairness is declared")
    try:
        return fit_group_thresholds(scores, target, groups, recipe.fairness)
    except ValueError as error:
        raise TrainingError(
            "no thresholds can be found for the groups",
            found=str(error).partition("\n")[0],
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="a group that has rows of one class only can't be compared: join groups in `features.derive`",
        ) from error
