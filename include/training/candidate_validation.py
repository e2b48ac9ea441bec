"""Cross-validate a candidate, and search for its settings."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from include.config.names import METRICS
from include.config.sections.training import CrossValidation
from include.errors import ClusterUnavailable, TrainingError
from include.training.bootstrap_refits import refit
from include.training.estimators.predictions import (
    class_probabilities,
    positive_probability,
    predicted_clusters,
    predicted_values,
    prepared_inputs,
)
from include.training.fit_estimator import fault_of
from include.training.fit_pipeline import fit_model, fit_with_threshold
from include.training.fit_record import CrossValidated, Trial
from include.training.metrics.clustering import agreement, clustering_value
from include.training.metrics.scoring import DEFAULT_THRESHOLD, LABEL_METRICS, score_of
from include.training.model_selection.cross_validation import Fold
from include.training.model_selection.dask_cluster import open_cluster
from include.training.model_selection.out_of_fold import can_be_fitted, divide
from include.training.model_selection.search import best_of, search
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)


def validated(
    recipe: Recipe, settings: dict[str, Any], cv: CrossValidation, rows: TrainingRows, threads: int, cluster: str | None
) -> tuple[dict[str, Any], CrossValidated, tuple[Trial, ...] | None]:
    """Return the settings to fit, their score on the folds that all candidates share, and what a search tried.

    Parameters
    ----------
    recipe : Recipe
    settings : dict
        The estimator's, before any search.
    cv : CrossValidation
        How the folds are made.
    rows : TrainingRows
    threads : int
        Threads of one fit.
    cluster : str or None
        Address of a Dask scheduler for the trials of a search.

    Raises
    ------
    TrainingError
        When the metric is undefined on every fold, or no trial could be fitted.
    """
    divided = divide(recipe, cv, rows)
    if recipe.search is None:
        return settings, _validate(recipe, settings, rows, divided, threads, say=True), None
    own = recipe.search.cv
    tuning = divided if own is None or own == cv else divide(recipe, own, rows)
    tried = 0

    def evaluate(each: list[dict[str, Any]], share: float) -> list[Trial]:
        nonlocal tried
        thinned = _thinned(tuning, rows, share, recipe.seed)
        if there is None or len(each) == 1:
            timed = [_trial(settings, recipe, rows, thinned, threads, share) for settings in each]
        else:
            timed = there.map(_trial, each, recipe, rows, thinned, threads, share)
        for trial, seconds in timed:
            tried += 1
            chosen = {name: trial.params[name] for name in recipe.space if name in trial.params}
            part = "" if share == 1 else f" on {share:.1%} of the rows"
            score = trial.failed if trial.cv is None else f"{trial.cv.metric} {trial.cv.mean:.4f}"
            log.info("%s: trial %d%s: %s with %s (%.1f s)", recipe.name, tried, part, score, chosen, seconds)
        return [trial for trial, _ in timed]

    greater = METRICS[recipe.metric].greater_is_better
    # With rows on the cluster each trial is fitted by all of its workers. A function of values lives in this process; costs of
    # classes travel as a table.
    stays = recipe.engine is not None or (recipe.cost_function is not None and rows.classes is None)
    spread = cluster is not None and recipe.search.method != "bayesian" and not stays
    with open_cluster(cluster) if cluster and spread else nullcontext() as there:
        trials = search(
            recipe.search,
            recipe.space,
            settings,
            evaluate,
            greater_is_better=greater,
            seed=recipe.seed,
            at_once=there.size if there else 1,
        )
    best = best_of(trials, greater_is_better=greater)
    assert best.cv is not None  # noqa: S101 (`best_of` returns none without a score)
    log.info("%s: best of %d trials: %s %.4f", recipe.name, len(trials), best.cv.metric, best.cv.mean)
    if tuning is divided:
        return best.params, best.cv, trials
    return best.params, _validate(recipe, best.params, rows, divided, threads, say=True), trials


def _trial(
    settings: dict[str, Any], recipe: Recipe, rows: TrainingRows, divided: list[Fold], threads: int, share: float
) -> tuple[Trial, float]:
    """Score settings, and return the seconds that it took; it uses the threads of a task wherever it runs."""
    started = time.perf_counter()
    scored, failed = None, None
    with threadpool_limits(limits={"openmp": threads, "blas": 1}):
        try:
            scored = _validate(recipe, settings, rows, divided, threads, say=False)
        except ClusterUnavailable:
            raise  # it says nothing about these settings
        except TrainingError as error:
            failed = error.message
    return Trial(settings, scored, share, failed), time.perf_counter() - started


def _thinned(divided: list[Fold], rows: TrainingRows, share: float, seed: int) -> list[Fold]:
    """Return folds with a share of their fitted rows, drawn at random from each class; they validate on the same rows."""
    if share == 1:
        return divided
    rng = np.random.default_rng(seed)
    thinned = []
    for fitted, validating in divided:
        labels = rows.target[fitted] if rows.classes is not None else np.zeros(len(fitted))
        parts = [fitted[labels == label] for label in np.unique(labels)]
        drawn = [rng.choice(part, max(2, round(share * len(part))), replace=False) for part in parts if len(part) > 1]
        thinned.append((np.sort(np.concatenate(drawn or [fitted])), validating))
    return thinned


def _validate(
    recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, divided: list[Fold], threads: int, *, say: bool
) -> CrossValidated:
    scores: list[float | None] = []
    for number, (fitted, validating) in enumerate(divided, start=1):
        started = time.perf_counter()
        score = None
        # A fold may have too few rows of a rare class to be fitted; it then says nothing.
        part = rows.at(fitted)
        if _says_something(recipe, part):
            with fault_of(recipe, part):
                score = _score(recipe, settings, part, rows.at(validating), threads)
        del part  # not held while the next is made
        scores.append(score)
        if say:
            said = "undefined" if score is None else f"{score:.4f}"
            sizes = f"{len(fitted):,} rows fitted, {len(validating):,} validating"
            seconds = time.perf_counter() - started
            log.info(
                "%s: fold %d of %d: %s, %s %s (%.1f s)",
                recipe.name,
                number,
                len(divided),
                sizes,
                recipe.metric,
                said,
                seconds,
            )
    known = [score for score in scores if score is not None]
    if not known:
        raise TrainingError(
            f"`{recipe.metric}` is undefined on every fold",
            found=f"{len(divided)} folds",
            where=f"{recipe.model}: candidate {recipe.name}",
            remedy="fewer `folds`, a longer `data.windows.train`, or `kind: stratified`",
        )
    return CrossValidated(recipe.metric, float(np.mean(known)), float(np.std(known)), tuple(scores))


def _says_something(recipe: Recipe, fitted: TrainingRows) -> bool:
    learns_threshold = recipe.threshold is not None and recipe.metric in LABEL_METRICS
    if recipe.cross_fits or learns_threshold:
        return can_be_fitted(fitted, recipe.least_rows + (learns_threshold and not recipe.learns_from_scores))
    counts = np.unique(fitted.target, return_counts=True)[1]
    return fitted.classes is None or (len(counts) > 1 and counts.min() >= recipe.least_rows)


def _score(
    recipe: Recipe, settings: dict[str, Any], fitted: TrainingRows, validating: TrainingRows, threads: int
) -> float | None:
    # Only metrics of labels need a threshold, which costs as many fits as there are folds unless something else does, too.
    threshold = None
    if recipe.metric in LABEL_METRICS:
        model, threshold = fit_with_threshold(recipe, settings, fitted, threads=threads)
    else:
        model = fit_model(recipe, settings, fitted, threads=threads)
    if recipe.task == "clustering":
        labels = predicted_clusters(model, validating.frame)
        if recipe.metric == "stability":
            (again,) = refit(recipe, settings, fitted, 1, threads=threads)
            return agreement(labels, predicted_clusters(again, validating.frame))
        return clustering_value(recipe.metric, prepared_inputs(model, validating.frame), labels, seed=recipe.seed)
    if fitted.classes is None:
        return score_of(
            recipe.metric,
            validating.target,
            validating.answers(partial(predicted_values, model)),
            quantile=recipe.quantile,
            costs=validating.costs,
        )
    known = validating.answers(partial(class_probabilities, model, classes=len(fitted.classes)))
    scores = positive_probability(known)
    return score_of(
        recipe.metric,
        validating.target,
        scores,
        DEFAULT_THRESHOLD if threshold is None else threshold,
        costs=validating.costs,
    )
