"""Fit one candidate on the training rows of a snapshot, or find the fit that is on record."""

from __future__ import annotations

import logging
import platform
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.config.names import METRICS
from include.config.spans import Span
from include.config.training import CrossValidation
from include.data.content import rows_digest
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import TrainingError
from include.storage.content import canonical_json, get_json, put_content, settle_json
from include.storage.store import ObjectStore
from include.training.domain import learn_domain
from include.training.fingerprint import fingerprint
from include.training.model_file import dump, predict_scores
from include.training.origins import keep_code, keep_config
from include.training.recipe import Recipe, recipe_of
from include.training.record import CrossValidated, FitRecord, FittedRows, Trial
from include.training.scoring import THRESHOLD, score_of
from include.training.search import best_of, search
from include.training.target import as_numbers, find_classes
from include.training.validation import Fold, folds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Rows:
    frame: pd.DataFrame
    inputs: pd.DataFrame
    target: np.ndarray[Any, Any]
    classes: tuple[Any, ...] | None


def fit_candidate(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, name: str, *, threads: int = 1
) -> FitRecord:
    """Return the record of one fit, found again by its key or made now.

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
        return FitRecord.from_json(get_json(store, place))
    started = time.perf_counter()
    code = recipe.code(folder)
    rows = _read(store, model, folder, snapshot, recipe)
    domain = learn_domain(recipe.features, rows.inputs)
    with threadpool_limits(limits={"openmp": threads, "blas": 1}):
        settings, cv, trials = recipe.settings, None, None
        if recipe.cv is not None:
            settings, cv, trials = _compared(recipe, recipe.cv, rows, threads)
        fitting = time.perf_counter()
        pipeline = _fit(recipe, settings, rows, None, threads, say=True)
        log.info("%s: fitted on all %s rows (%.1f s)", name, f"{len(rows.target):,}", time.perf_counter() - fitting)
        body = dump(pipeline)
    train = snapshot.split.train
    record = FitRecord(
        key=key,
        model=model.name,
        candidate=name,
        estimator=recipe.estimator,
        params=settings,
        task=recipe.task,
        snapshot=snapshot.digest,
        train=FittedRows(train.after, train.until, len(rows.target), rows_digest(rows.frame, model.data.row_id)),
        model_file=put_content(store, f"{model.name}/models", ".skops", body),
        model_bytes=len(body),
        threshold=None if rows.classes is None else THRESHOLD,
        classes=rows.classes,
        columns=recipe.features.columns,
        cv=cv,
        trials=trials,
        seed=recipe.seed,
        code=keep_code(store, model.name, code),
        libraries=recipe.libraries(),
        seconds=round(time.perf_counter() - started, 3),
        config=keep_config(store, model),
        domain=put_content(store, f"{model.name}/domains", ".json", canonical_json(domain.to_json())),
        platform=f"{platform.system()} {platform.machine()}",
        inputs=fingerprint(rows.inputs, recipe.features.columns),
    )
    settled = FitRecord.from_json(settle_json(store, place, record.to_json()))
    score = "" if cv is None else f"{cv.metric} {cv.mean:.4f} in cross-validation, "
    size = f"{len(body) / 1e6:.2f} MB"
    log.info("%s: %smodel file %s of %s (%.1f s in all)", name, score, record.model_file[:12], size, record.seconds)
    return settled


def _read(store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, recipe: Recipe) -> _Rows:
    frame = read_rows(store, snapshot, model, folder, window="train", columns=list(recipe.columns))
    inputs = frame[list(recipe.features.columns)]
    for name in recipe.features.numeric.columns if recipe.features.numeric else ():
        if not pd.api.types.is_numeric_dtype(inputs[name].dtype):
            raise TrainingError(
                f"the column `{name}` is no number",
                expected="integer, float or boolean",
                found=str(inputs[name].dtype),
                where="features.numeric",
                remedy="name it under `features.categorical`, or turn it into a number in `features.derive`",
            )
    if empty := [str(name) for name in inputs if inputs[name].isna().all()]:
        log.warning(
            "%s: no training row has a value of %s; nothing can be learned from it", recipe.name, ", ".join(empty)
        )
    classes = find_classes(frame[recipe.target]) if recipe.task == "classification" else None
    target = as_numbers(frame[recipe.target], classes)
    share = "" if classes is None else f", {target.mean():.1%} positive"
    log.info("%s: %s rows, %d columns%s", recipe.name, f"{len(target):,}", inputs.shape[1], share)
    return _Rows(frame, inputs, target, classes)


def _compared(
    recipe: Recipe, cv: CrossValidation, rows: _Rows, threads: int
) -> tuple[dict[str, Any], CrossValidated, tuple[Trial, ...] | None]:
    """Return the settings to fit, their score on the folds that all candidates share, and what a search tried."""
    divided = _divide(recipe, cv, rows)
    if recipe.search is None:
        return recipe.settings, _validate(recipe, recipe.settings, rows, divided, threads, say=True), None
    own = recipe.search.cv
    tuning = divided if own is None or own == cv else _divide(recipe, own, rows)
    tried = 0

    def evaluate(settings: dict[str, Any]) -> Trial:
        nonlocal tried
        tried += 1
        started = time.perf_counter()
        scored = _validate(recipe, settings, rows, tuning, threads, say=False)
        seconds = round(time.perf_counter() - started, 3)
        chosen = {name: settings[name] for name in recipe.space if name in settings}
        log.info(
            "%s: trial %d: %s %.4f with %s (%.1f s)", recipe.name, tried, scored.metric, scored.mean, chosen, seconds
        )
        return Trial(settings, scored, seconds)

    greater = METRICS[recipe.metric].greater_is_better
    trials = search(recipe.search, recipe.space, recipe.settings, evaluate, greater_is_better=greater, seed=recipe.seed)
    best = best_of(trials, greater_is_better=greater)
    log.info("%s: best of %d trials: %s %.4f", recipe.name, len(trials), best.cv.metric, best.cv.mean)
    if tuning is divided:
        return best.params, best.cv, trials
    return best.params, _validate(recipe, best.params, rows, divided, threads, say=True), trials


def _divide(recipe: Recipe, cv: CrossValidation, rows: _Rows) -> list[Fold]:
    return list(
        folds(
            cv,
            times=rows.frame[recipe.event_time],
            target=rows.target,
            groups=None if cv.group is None else rows.frame[cv.group],
            label_delay=Span.parse(recipe.label_delay),
            seed=recipe.seed,
        )
    )


def _validate(
    recipe: Recipe, settings: dict[str, Any], rows: _Rows, divided: list[Fold], threads: int, *, say: bool
) -> CrossValidated:
    scores: list[float | None] = []
    for number, (fitted, validating) in enumerate(divided, start=1):
        started = time.perf_counter()
        score = None
        # A fold's rows may all be of one class when the other is rare; the fold then says nothing.
        if recipe.task == "regression" or len(np.unique(rows.target[fitted])) == 2:
            pipeline = _fit(recipe, settings, rows, fitted, threads, say=False)
            predicted = predict_scores(pipeline, rows.inputs.iloc[validating])
            score = score_of(recipe.metric, rows.target[validating], predicted)
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


def _fit(recipe: Recipe, settings: dict[str, Any], rows: _Rows, fitted: Any, threads: int, *, say: bool) -> Pipeline:
    inputs = rows.inputs if fitted is None else rows.inputs.iloc[fitted]
    target = rows.target if fitted is None else rows.target[fitted]
    weights = {"estimator__sample_weight": compute_sample_weight("balanced", target)} if recipe.weights else {}
    pipeline = recipe.pipeline(settings, threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            pipeline.fit(inputs, target, **weights)
        except ValueError as error:
            raise TrainingError(
                f"`{recipe.estimator}` can't be fitted",
                found=str(error).partition("\n")[0],
                where=f"{recipe.model}: candidate {recipe.name}, {len(target):,} rows",
                remedy="correct its `params` or `search.space`, or what `features` gives it",
            ) from error
    if say and any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log.warning("%s: stopped before it converged; `scale: standard` or a larger `max_iter` helps", recipe.name)
    # How many threads fitted it is no property of a model, and must not be in its bytes.
    estimator = pipeline[-1]
    if "n_jobs" in estimator.get_params(deep=False):
        estimator.set_params(n_jobs=None)
    if hasattr(estimator, "_bin_mapper"):
        estimator._bin_mapper.n_threads = None
    return pipeline
