"""Fit one candidate on the training rows of a snapshot, or load its recorded fit."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from include.config.model import BASELINES, ModelConfig
from include.data.rare_levels import RareLevels
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.errors import ObjectMissing, TrainingError
from include.storage.concurrency import written_together
from include.storage.content import canonical_json, put_content, put_json_once
from include.storage.store import ObjectStore
from include.training.bootstrap_refits import refit
from include.training.candidate_validation import validated
from include.training.declared_recipes import equivalent_candidates, recipe_of
from include.training.fairness.mitigation_effect import measure_mitigation
from include.training.fit_pipeline import fit_intervals, fit_with_threshold
from include.training.fit_record import FitRecord, FittedRows, Unmitigated, load_fit
from include.training.input_domain import fit_input_domain
from include.training.model_selection.candidate_selection import select_best
from include.training.model_selection.out_of_fold import divide
from include.training.out_of_core.parted_rows import PartedRows, open_parted_rows
from include.training.out_of_core.preparation import fit_domain_in_parts
from include.training.persistence.model_file import dump
from include.training.provenance import keep_code, keep_config, verify_fit_key
from include.training.recipe import Recipe
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
    if name in BASELINES and (equivalent := _equivalent_fit(store, model, folder, snapshot, name)):
        log.info("%s: declared just as %s, whose fit it takes", name, equivalent.candidate)
        own = {"cv": equivalent.cv, "trials": equivalent.trials} if recipe.cv else {"cv": None, "trials": None}
        record = replace(equivalent, key=key, candidate=name, **own)
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
    with _rows_of(store, model, folder, snapshot, recipe, cluster) as rows, written_together(store) as new:
        record = _fitted(new, model, snapshot, recipe, key, joined, rows, threads, cluster)
        record = replace(record, code=keep_code(new, model.name, code), config=keep_config(new, model))
    settled = FitRecord.from_json(put_json_once(store, place, record.to_json()))
    score = "" if record.cv is None else f"{record.cv.metric} {record.cv.mean:.4f} in cross-validation, "
    size = f"{record.model_bytes / 1e6:.2f} MB"
    seconds = time.perf_counter() - started
    log.info("%s: %smodel file %s of %s (%.1f s in all)", name, score, record.model_file[:12], size, seconds)
    return settled


@contextmanager
def _rows_of(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, recipe: Recipe, cluster: str | None
) -> Iterator[TrainingRows]:
    """Yield the training rows where the recipe's engine holds them."""
    if recipe.engine is None:
        yield read_training_rows(store, model, folder, snapshot, recipe)
        return
    with open_parted_rows(store, model, folder, snapshot, recipe, cluster) as rows:
        yield rows


def _fitted(
    store: ObjectStore,
    model: ModelConfig,
    snapshot: Snapshot,
    recipe: Recipe,
    key: str,
    joined: list[FitRecord],
    rows: TrainingRows,
    threads: int,
    cluster: str | None,
) -> FitRecord:
    """Fit a recipe and keep its files; return the record without the digests of code and declaration."""
    name, rare = recipe.name, RareLevels.of(model.data, rows.frame)
    if isinstance(rows, PartedRows):
        domain = fit_domain_in_parts(recipe, rows, rare)
    else:
        domain = fit_input_domain(recipe.features, rows.frame, rare)
    with threadpool_limits(limits={"openmp": threads, "blas": 1}):
        settings, cv, trials, mitigated = recipe.settings, None, None, None
        if recipe.members:
            settings = {one.candidate: one.params for one in joined}
        if recipe.cv is not None:
            settings, cv, trials = validated(recipe, settings, recipe.cv, rows, threads, cluster)
            if recipe.fairness is not None:
                mitigated = measure_mitigation(recipe, settings, rows, divide(recipe, recipe.cv, rows), threads)
                log.info("%s: before and after `%s`: %s", name, recipe.fairness.method, mitigated)
        fitting = time.perf_counter()
        pipeline, threshold = fit_with_threshold(recipe, settings, rows, threads=threads, say=True)
        if rows.classes is not None and len(pipeline.classes_) != len(rows.classes):
            raise TrainingError(
                "no row of a class is left to learn from",
                expected=f"rows of {len(rows.classes)} classes",
                found=f"{len(pipeline.classes_)} classes in the rows that `drop_row` leaves",
                where=f"{model.name}: candidate {name}",
                remedy="impute instead: that a value is missing tells the class",
            )
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
    return FitRecord(
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
        code="",
        libraries=recipe.libraries(),
        domain=put_content(store, f"{model.name}/domains", ".json", canonical_json(domain.to_json())),
        platform=f"{platform.system()} {platform.machine()}",
        members=tuple(one.key for one in joined) or None,
        refits=tuple(refits) or None,
        mitigated=mitigated,
        unmitigated=unmitigated,
        interval=interval,
        engine=recipe.engine,
    )


def _equivalent_fit(
    store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot, baseline: str
) -> FitRecord | None:
    candidate = equivalent_candidates(model).get(baseline)
    if candidate is None:
        return None
    key = recipe_of(model, candidate).key(folder, snapshot)
    try:
        known = load_fit(store, model.name, key)
    except ObjectMissing:
        return None
    return verify_fit_key(store, known)


def _unmitigated(
    store: ObjectStore, recipe: Recipe, settings: dict[str, Any], rows: TrainingRows, threads: int
) -> Unmitigated | None:
    """Fit and keep the same recipe without its mitigation; None where there is none, or groups can't be compared."""
    if recipe.fairness is None or len(rows.classes or ()) != 2:
        return None
    bare = replace(recipe, fairness=None)
    pipeline, threshold = fit_with_threshold(bare, settings, rows, threads=threads)
    return Unmitigated(put_content(store, f"{recipe.model}/models", ".skops", dump(pipeline)), threshold)
