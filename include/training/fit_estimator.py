"""Fit one estimator: prepare and select columns, then drop, weigh and resample rows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from include.errors import RatchetError, TrainingError
from include.training.estimators.clusterers import drop_training_rows
from include.training.estimators.construction import find_estimator
from include.training.estimators.exposure import exposures
from include.training.estimators.meta_estimator import estimators_in
from include.training.estimators.predictions import Array
from include.training.estimators.registry import CONSTANT
from include.training.estimators.target_transform import fit_transformed
from include.training.fairness.group_thresholds import group_names
from include.training.fairness.randomized_classifier import fit_exponentiated_gradient
from include.training.out_of_core.fits import fit_in_parts
from include.training.out_of_core.parted_rows import PartedRows
from include.training.out_of_core.preparation import learn_preparation_in_parts
from include.training.preprocessing.column_transformer import native_positions, numeric_position
from include.training.preprocessing.feature_selection import select_features
from include.training.preprocessing.row_filter import rows_to_learn_from
from include.training.recipe import Recipe
from include.training.sample_weight import balancing_weights, declared_weights, resample, reweighing
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)

_MOST_GROUPS = 50


@contextmanager
def fault_of(recipe: Recipe, rows: TrainingRows) -> Iterator[None]:
    """Raise `TrainingError` for any error that an estimator raises about these rows; the machine's faults pass."""
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


def fit_estimator(recipe: Recipe, settings: dict[str, Any], threads: int, say: bool, rows: TrainingRows) -> Pipeline:
    """Fit a recipe's own estimator behind the preparation of its columns.

    Parameters
    ----------
    recipe : Recipe
    settings : dict
        The estimator's.
    threads : int
        Threads of the fit; the pipeline does not tell how many there were.
    say : bool
        Log what a person should know of the fit.
    rows : TrainingRows

    Raises
    ------
    TrainingError
        When the rows can't be learned from, or the estimator gives no probabilities of classes.
    """
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
        # The number of threads is not a property of a model, and must not be in its bytes.
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
    if isinstance(rows, PartedRows):
        return [("prepare", learn_preparation_in_parts(recipe, rows))], None, rows
    rows = learned_from(recipe, rows, say=say)
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


def learned_from(recipe: Recipe, rows: TrainingRows, *, say: bool = False) -> TrainingRows:
    """Return the rows that a recipe learns from: some may be dropped, and with an exposure their target is per unit.

    Parameters
    ----------
    rows : TrainingRows
        In memory.
    say : bool
        Whether to log how many are kept.
    """
    if recipe.exposure is not None:
        rows = replace(rows, target=rows.target / exposures(rows.frame[recipe.exposure]))
    if recipe.estimator == CONSTANT:
        return rows
    learned = rows_to_learn_from(recipe.features, rows.frame)
    if say and not learned.all():
        log.info("%s: learns from %s of %s rows", recipe.name, f"{learned.sum():,}", f"{len(rows):,}")
    return rows if learned.all() else rows.at(np.flatnonzero(learned))


def _prepared_and_fitted(
    recipe: Recipe, settings: dict[str, Any], threads: int, say: bool, rows: TrainingRows
) -> Pipeline:
    if isinstance(rows, PartedRows):
        return fit_in_parts(recipe, settings, threads, rows, _weights(recipe, rows))
    steps, matrix, rows = learn_preparation(recipe, rows, threads=threads, say=say)
    native = native_positions(steps[0][1]) if recipe.native else []
    if settings.get("monotone_constraints"):
        signs = settings["monotone_constraints"].items()
        settings = settings | {
            "monotone_constraints": {numeric_position(steps[0][1], column): int(sign) for column, sign in signs}
        }
    estimator = recipe.build(settings, threads, native)
    if recipe.fairness is not None and recipe.fairness.method == "exponentiated_gradient":
        require_two_classes(rows, "exponentiated_gradient")
        fitted: Any = fit_exponentiated_gradient(
            estimator, matrix, rows.target, groups_of(recipe, rows), recipe.fairness
        )
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
        factors.append(reweighing(rows.target, groups_of(recipe, rows)))
    return np.asarray(np.prod(factors, axis=0)) if factors else None


def groups_of(recipe: Recipe, rows: TrainingRows) -> Array:
    """Return the group of each row, by the column that a mitigation names; raises `TrainingError` if there are too many."""
    if recipe.fairness is None:
        raise ValueError("no fairness is declared")
    groups = group_names(rows.frame[recipe.fairness.column])
    if (count := len(np.unique(groups))) > _MOST_GROUPS:
        raise TrainingError(
            f"`{recipe.fairness.column}` has too many groups for a fairness method",
            expected=f"at most {_MOST_GROUPS}",
            found=count,
            where="fairness.column",
            remedy="make a column of fewer groups in `features.derive`, such as ranges of age",
        )
    return groups


def require_two_classes(rows: TrainingRows, method: str) -> None:
    """Raise `TrainingError` unless there are two classes, which a method of mitigation is for."""
    if len(rows.classes or ()) != 2:
        raise TrainingError(
            f"`{method}` is for two classes",
            found=f"{len(rows.classes or ())} classes",
            where="fairness.method",
            remedy="`reweighing` does for more",
        )
