"""Fit one candidate on the training rows of a snapshot, or find the fit that is on record."""

from __future__ import annotations

import logging
import platform
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from include.config.model import BASELINES, ModelConfig
from include.config.names import METRICS
from include.config.sections.training import CrossValidation
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.errors import TrainingError
from include.storage.content import canonical_json, put_content, put_json_once
from include.storage.store import ObjectStore
from include.training.bootstrap_refits import refit
from include.training.estimators.predictions import (
    class_probabilities,
    positive_probability,
    predicted_clusters,
    predicted_values,
    prepared_inputs,
)
from include.training.fairness.mitigation_effect import measure_mitigation
from include.training.fit_pipeline import can_be_fitted, divide, fault_of, find_threshold, fit_intervals, fit_model
from include.training.fit_record import CrossValidated, FitRecord, FittedRows, Trial, Unmitigated, load_fit
from include.training.input_domain import fit_input_domain
from include.training.metrics.clustering import agreement, clustering_value
from include.training.metrics.scoring import DEFAULT_THRESHOLD, LABEL_METRICS, score_of
from include.training.model_selection.candidate_selection import select_best
from include.training.model_selection.cross_validation import Fold
from include.training.model_selection.dask_cluster import open_cluster
from include.training.model_selection.search import best_of, search
from include.training.persistence.model_file import dump
from include.training.provenance import keep_code, keep_config, verify_fit_key
from include.training.recipe import Recipe, equivalent_candidates, recipe_of
from include.training.training_rows import TrainingRows, read_training_rows

log = logging.getLogger(__name__)


def fit_candidate(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    name: str,
    *,
    threads: int = 1,
    cluster: str | None = None,
) -> FitRecord:
    """Return the record of one fit, found again by its key or made now.

    What joins other candidates needs their records, and finds or makes them in the same way.

    The model file is put first and the record last, so that a fit that is killed leaves nothing that anyone finds; of two
    that run at once the first record stands.

    Parameters
    ----------
    folder : Path
        The model's folder, for ``features.derive``.
    name : str
        A candidate, or ``trivial`` or ``simple``.
    threads : int
        OpenMP and forest threads; BLAS gets one. The model file has the same bytes for any number, so that it is no
        part of the key.
    cluster : str, optional
        Address of a Dask scheduler, to whose workers the trials of a search go; what they find is the same.

    Raises
    ------
    TrainingError
        When the rows can't be learned from.
    """
    recipe = recipe_of(model, name)
    key = recipe.key(folder, snapshot)
    place = f"{model.name}/fits/{key}.json"
    if store.exists(place):
        log.info("%s: fitted before, found by its key %s", name, key[:12])
        return verify_fit_key(store, load_fit(store, model.name, key))
    started = time.perf_counter()
    if name in BASELINES and (twin := _twin(store, model, folder, snapshot, name)):
        log.info("%s: declared just as %s, whose fit it takes", name, twin.candidate)
        own = {"cv": twin.cv, "trials": twin.trials} if recipe.cv else {"cv": None, "trials": None}
        record = replace(twin, key=key, candidate=name, **own)
        return FitRecord.from_json(put_json_once(store, place, record.to_json()))
    code = recipe.code(folder)
    joined: list[FitRecord] = []
    if recipe.members:
        fits = [
            fit_candidate(store, model, folder, snapshot, one.name, threads=threads, cluster=cluster)
            for one in recipe.members
        ]
        joined = select_best(fits, recipe.best)
        chosen = [one.candidate for one in joined]
        recipe = replace(recipe, members=tuple(one for one in recipe.members if one.name in chosen))
        log.info("%s: joins %s", name, ", ".join(chosen))
    rows = read_training_rows(store, model, folder, snapshot, recipe)
    domain = fit_input_domain(recipe.features, rows.frame)
    with threadpool_limits(limits={"openmp": threads, "blas": 1}):
        settings, cv, trials, mitigated = recipe.settings, None, None, None
        if recipe.members:
            settings = {one.candidate: one.params for one in joined}
        if recipe.cv is not None:
            settings, cv, trials = _compared(recipe, settings, recipe.cv, rows, threads, cluster)
            if recipe.fairness is not None:
                mitigated = measure_mitigation(
                    recipe, settings, rows, divide(recipe, recipe.cv, rows), _threshold, threads
                )
                log.info("%s: before and after `%s`: %s", name, recipe.fairness.method, mitigated)
        fitting = time.perf_counter()
        pipeline = fit_model(recipe, settings, rows, threads=threads, say=True)
        threshold = _threshold(recipe, settings, rows, threads)
        log.info("%s: fitted on all %s rows (%.1f s)", name, f"{len(rows):,}", time.perf_counter() - fitting)
        interval = None
        if recipe.coverage is not None:
            interval = fit_intervals(recipe, settings, rows, threads=threads)
            log.info(
                "%s: bounds %+.4g and %+.4g from a prediction, by %s held-out rows",
                name,
                *interval.offsets,
                f"{interval.rows:,}",
            )
        unmitigated = _unmitigated(store, recipe, settings, rows, threads)
        body = dump(pipeline)
        refits = [
            put_content(store, f"{model.name}/models", ".skops", dump(one))
            for one in refit(recipe, settings, rows, recipe.refits, threads=threads)
        ]
    train = snapshot.split.train
    record = FitRecord(
        key=key,
        model=model.name,
        candidate=name,
        estimator=recipe.estimator,
        params=settings,
        task=recipe.task,
        snapshot=snapshot.digest,
        train=FittedRows(train.after, train.until, len(rows), rows_digest(rows.frame, model.data.row_id)),
        model_file=put_content(store, f"{model.name}/models", ".skops", body),
        model_bytes=len(body),
        threshold=threshold,
        classes=rows.classes,
        columns=recipe.inputs,
        cv=cv,
        trials=trials,
        seed=recipe.seed,
        code=keep_code(store, model.name, code),
        libraries=recipe.libraries(),
        config=keep_config(store, model),
        domain=put_content(store, f"{model.name}/domains", ".json", canonical_json(domain.to_json())),
        platform=f"{platform.system()} {platform.machine()}",
        members=tuple(one.key for one in joined) or None,
        refits=tuple(refits) or None,
        mitigated=mitigated,
        unmitigated=unmitigated,
        interval=interval,
    )
    settled = FitRecord.from_json(put_json_once(store, place, record.to_json()))
    score = "" if cv is None else f"{cv.metric} {cv.mean:.4f} in cross-validation, "
    size = f"{len(body) / 1e6:.2f} MB"
    seconds = time.perf_counter() - started
    log.info("%s: %smodel file %s of %s (%.1f s in all)", name, score, record.model_file[:12], size, seconds)
    return settled


def _twin(store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, baseline: str) -> FitRecord | None:
    candidate = equivalent_candidates(model).get(baseline)
    if candidate is None:
        return None
    key = recipe_of(model, candidate).key(folder, snapshot)
    known = store.exists(f"{model.name}/fits/{key}.json")
    return verify_fit_key(store, load_fit(store, model.name, key)) if known else None


def _unmitigated(
    store: ObjectStore, recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, threads: int
) -> Unmitigated | None:
    """Fit and keep the same recipe without its mitigation; None where there is none, or groups can't be compared."""
    if recipe.fairness is None or len(rows.classes or ()) != 2:
        return None
    bare = replace(recipe, fairness=None)
    body = dump(fit_model(bare, settings, rows, threads=threads))
    file = put_content(store, f"{recipe.model}/models", ".skops", body)
    return Unmitigated(file, _threshold(bare, settings, rows, threads))


def _compared(
    recipe: Recipe, settings: dict[str, Any], cv: CrossValidation, rows: TrainingRows, threads: int, cluster: str | None
) -> tuple[dict[str, Any], CrossValidated, tuple[Trial, ...] | None]:
    """Return the settings to fit, their score on the folds that all candidates share, and what a search tried."""
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
    spread = cluster is not None and recipe.search.method != "bayesian"
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
    """Score settings, and tell in how many seconds; wherever this runs, it has the threads that a task has."""
    started = time.perf_counter()
    scored, failed = None, None
    with threadpool_limits(limits={"openmp": threads, "blas": 1}):
        try:
            scored = _validate(recipe, settings, rows, divided, threads, say=False)
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
        if _says_something(recipe, rows.at(fitted)):
            with fault_of(recipe, rows.at(fitted)):
                score = _score(recipe, settings, rows.at(fitted), rows.at(validating), threads)
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
        return can_be_fitted(fitted, recipe.least_rows + learns_threshold)
    counts = np.unique(fitted.target, return_counts=True)[1]
    return fitted.classes is None or (len(counts) > 1 and counts.min() >= recipe.least_rows)


def _score(
    recipe: Recipe, settings: dict[str, Any], fitted: TrainingRows, validating: TrainingRows, threads: int
) -> float | None:
    model = fit_model(recipe, settings, fitted, threads=threads)
    if recipe.task == "clustering":
        labels = predicted_clusters(model, validating.frame)
        if recipe.metric == "stability":
            (again,) = refit(recipe, settings, fitted, 1, threads=threads)
            return agreement(labels, predicted_clusters(again, validating.frame))
        return clustering_value(recipe.metric, prepared_inputs(model, validating.frame), labels, seed=recipe.seed)
    if fitted.classes is None:
        return score_of(
            recipe.metric, validating.target, predicted_values(model, validating.frame), quantile=recipe.quantile
        )
    scores = positive_probability(class_probabilities(model, validating.frame, len(fitted.classes)))
    # Only metrics of labels need a threshold, which costs as many fits as there are folds.
    threshold = _threshold(recipe, settings, fitted, threads) if recipe.metric in LABEL_METRICS else None
    return score_of(recipe.metric, validating.target, scores, DEFAULT_THRESHOLD if threshold is None else threshold)


def _threshold(recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, threads: int) -> float | None:
    """Return the threshold; None for regression, and for more than two classes, of which the likeliest is predicted."""
    if recipe.threshold is not None:
        return find_threshold(recipe, settings, rows, threads=threads)
    return DEFAULT_THRESHOLD if len(rows.classes or ()) == 2 else None
