"""Fit a recipe to rows. Everything that is learned is learned here, from the rows given and no others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from include.config.durations import Duration
from include.config.sections.data import LOT
from include.config.sections.training import CrossValidation
from include.errors import RatchetError, TrainingError
from include.training.estimators.calibration import CalibratedClassifier, fit_calibrators
from include.training.estimators.clusterers import drop_training_rows
from include.training.estimators.ensembles import EnsembleClassifier, EnsembleRegressor, fit_final_estimator
from include.training.estimators.exposure import ExposureRegressor, exposures
from include.training.estimators.meta_estimator import as_pipeline, estimators_in
from include.training.estimators.predictions import (
    Array,
    class_probabilities,
    decision_scores,
    positive_probability,
    predicted_values,
)
from include.training.estimators.registry import CONSTANT, find_estimator
from include.training.estimators.target_transform import fit_transformed
from include.training.fairness.group_thresholds import GroupThresholdClassifier, fit_group_thresholds, group_names
from include.training.fairness.randomized_classifier import fit_exponentiated_gradient
from include.training.fit_record import PredictionInterval
from include.training.model_selection.conformal import conformal_offsets
from include.training.model_selection.cross_validation import Fold, folds
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.preprocessing.column_transformer import native_positions, numeric_position
from include.training.preprocessing.feature_selection import select_features
from include.training.preprocessing.row_filter import rows_to_learn_from
from include.training.recipe import Recipe
from include.training.sample_weight import balancing_weights, declared_weights, resample, reweighing
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)

Fit = Callable[[TrainingRows], Pipeline]
_MOST_GROUPS = 50


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


@contextmanager
def fault_of(recipe: Recipe, rows: TrainingRows) -> Iterator[None]:
    """Raise `TrainingError` for whatever an estimator, ours or anybody's, raises about these rows; the machine's faults pass."""
    try:
        yield
    except (RatchetError, MemoryError, OSError):
        raise
    except Exception as error:
        raise TrainingError(
            f"`{recipe.estimator}` can't be fitted, or can't predict what it is validated on",
            found=str(error).partition("\n")[0] or type(error).__name__,
            where=f"{recipe.model}: candidate {recipe.name}, {len(rows):,} rows",
            remedy="correct its `params` or `search.space`, or what `features` gives it",
        ) from error


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
        fit = partial(_single, recipe, settings, threads, say)
        if recipe.exposure is not None:
            fit = partial(_per_unit, recipe, fit)
    if recipe.calibration != "none":
        fit = partial(_calibrated, recipe, fit)
    if recipe.reads_groups:
        fit = partial(_cut_by_group, recipe, fit)
    return fit


def _single(recipe: Recipe, settings: dict[str, Any], threads: int, say: bool, rows: TrainingRows) -> Pipeline:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with fault_of(recipe, rows):
            pipeline = _prepared_and_fitted(recipe, settings, threads, say, rows)
    if say and any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log.warning("%s: stopped before it converged; `scale: standard` or a larger `max_iter` helps", recipe.name)
    if recipe.task == "classification" and not hasattr(pipeline, "predict_proba"):
        raise TrainingError(
            f"`{recipe.estimator}` gives no probabilities with these settings",
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="another `loss` in its `params`",
        )
    for estimator in estimators_in(pipeline):
        # How many threads fitted it is no property of a model, and must not be in its bytes.
        if "n_jobs" in estimator.get_params(deep=False):
            estimator.set_params(n_jobs=None)
        if hasattr(estimator, "_bin_mapper"):
            estimator._bin_mapper.n_threads = None
    return pipeline


def learn_preparation(
    recipe: Recipe, rows: TrainingRows, *, threads: int = 1, say: bool = False
) -> tuple[list[tuple[str, Any]], Any, TrainingRows]:
    """Learn the first half of a recipe's pipeline: how columns are prepared, and which of them are kept.

    Parameters
    ----------
    rows : TrainingRows
        Rows of shape (n_rows, n_columns) with their target.
    threads : int
        Threads of a model that selects columns.
    say : bool
        Whether to log how many rows and columns are kept.

    Returns
    -------
    (steps, matrix, rows)
        The fitted steps by name, what they make of the rows, and the rows that were learned from: some may be dropped, and
        with an exposure their target is per unit.
    """
    if recipe.exposure is not None:
        rows = replace(rows, target=rows.target / exposures(rows.frame[recipe.exposure]))
    if recipe.estimator != CONSTANT:
        learned = rows_to_learn_from(recipe.features, rows.frame)
        if say and not learned.all():
            log.info("%s: learns from %s of %s rows", recipe.name, f"{learned.sum():,}", f"{len(rows):,}")
        rows = rows if learned.all() else rows.at(np.flatnonzero(learned))
    prepare = recipe.preparation(2 if rows.classes is None else len(rows.classes))
    matrix = prepare.fit_transform(rows.frame[list(recipe.features.columns)], rows.target)
    steps: list[tuple[str, Any]] = [("prepare", prepare)]
    for number, step in enumerate(recipe.features.select, start=1):
        kept = select_features(step, matrix, rows.target, recipe.task, seed=recipe.seed, threads=threads)
        if say:
            log.info("%s: %s keeps %d of %d columns", recipe.name, step.method, kept.mask.sum(), len(kept.mask))
        matrix = kept.transform(matrix)
        steps.append((f"select_{number}", kept))
    return steps, matrix, rows


def _prepared_and_fitted(
    recipe: Recipe, settings: dict[str, Any], threads: int, say: bool, rows: TrainingRows
) -> Pipeline:
    steps, matrix, rows = learn_preparation(recipe, rows, threads=threads, say=say)
    native = native_positions(steps[0][1]) if recipe.native else []
    if settings.get("monotone_constraints"):
        signs = settings["monotone_constraints"].items()
        settings = settings | {
            "monotone_constraints": {numeric_position(steps[0][1], column): int(sign) for column, sign in signs}
        }
    estimator = recipe.build(settings, threads, native)
    if recipe.fairness is not None and recipe.fairness.method == "exponentiated_gradient":
        _needs_two_classes(rows, "exponentiated_gradient")
        fitted: Any = fit_exponentiated_gradient(estimator, matrix, rows.target, _groups(recipe, rows), recipe.fairness)
        return Pipeline([*steps, ("estimator", fitted)])
    weights = _weights(recipe, rows)
    matrix, target, origin = resample(recipe.imbalance, matrix, rows.target, seed=recipe.seed)
    given = {}
    if weights is not None and origin is not None:
        if not find_estimator(recipe.estimator, recipe.task).weights:
            raise TrainingError(f"`{recipe.estimator}` can't weigh rows", remedy="remove it, or what weighs rows")
        given["sample_weight"] = weights[origin]
    if recipe.task == "clustering":
        # k-means sums its centres thread by thread: their last bits would tell how many there were.
        with threadpool_limits(1):
            estimator.fit(matrix, **given)
        drop_training_rows(estimator)
    elif recipe.transform is not None:
        estimator = fit_transformed(estimator, recipe.transform, matrix, target, seed=recipe.seed, **given)
    else:
        estimator.fit(matrix, target, **given)
    return Pipeline([*steps, ("estimator", estimator)])


def _weights(recipe: Recipe, rows: TrainingRows) -> Array | None:
    factors = []
    if recipe.imbalance.method == "class_weight":
        factors.append(balancing_weights(rows.target))
    if recipe.weights is not None:
        factors.append(declared_weights(recipe.weights, rows.frame, recipe.event_time))
    if recipe.exposure is not None and recipe.exposure_weighs:
        factors.append(exposures(rows.frame[recipe.exposure]))
    if recipe.fairness is not None and recipe.fairness.method == "reweighing":
        factors.append(reweighing(rows.target, _groups(recipe, rows)))
    return np.asarray(np.prod(factors, axis=0)) if factors else None


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
    _needs_two_classes(rows, "group_thresholds")
    at, scores = _held_out(
        recipe,
        rows,
        fit,
        lambda model, part: class_probabilities(model, part.frame, 2)[:, 1],
        least=recipe.least_rows - 1,
    )
    try:
        groups, rules = fit_group_thresholds(scores, rows.target[at], _groups(recipe, rows)[at], recipe.fairness)
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


def _groups(recipe: Recipe, rows: TrainingRows) -> Array:
    if recipe.fairness is None:
        raise ValueError("no fairness is declared")
    groups = group_names(rows.frame[recipe.fairness.column])
    if (count := len(np.unique(groups))) > _MOST_GROUPS:
        raise TrainingError(
            f"`{recipe.fairness.column}` has too many groups to treat alike",
            expected=f"at most {_MOST_GROUPS}",
            found=count,
            where="fairness.column",
            remedy="make a column of fewer groups in `features.derive`, such as ranges of age",
        )
    return groups


def _needs_two_classes(rows: TrainingRows, method: str) -> None:
    if len(rows.classes or ()) != 2:
        raise TrainingError(
            f"`{method}` is for two classes",
            found=f"{len(rows.classes or ())} classes",
            where="fairness.method",
            remedy="`reweighing` does for more",
        )
