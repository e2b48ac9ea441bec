"""Measure a challenger: every model predicts the same holdout rows once, and everything else follows from the scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.config.sections.slices import columns_of
from include.data.rare_levels import RareLevels
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.errors import EvaluationError
from include.evaluation.answered_requests import answered_files, compare_answers
from include.evaluation.challenger_measures import latency, measure_challenger
from include.evaluation.compared_models import (
    ComparedModel,
    files_of_fit,
    open_model,
    overlap,
    score_models,
    subject_of,
)
from include.evaluation.comparison import compare
from include.evaluation.data_coverage import train_coverage
from include.evaluation.evidence import CostFunction, Evidence, Holdout, Units, load_evidence
from include.evaluation.evidence_notes import notes_of
from include.evaluation.evidence_question import metrics_of_worst_group, question_of
from include.evaluation.gains import Role, opponent_among
from include.evaluation.holdout_rows import read_holdout_rows, target_of, units_of
from include.evaluation.in_parts.holdout_in_parts import read_holdout_in_parts
from include.evaluation.metrics.clustering import describe_clusters, with_clusters
from include.evaluation.metrics.curves import curves_of
from include.evaluation.metrics.declared_metrics import code_of_costs, keep_code_of_costs, with_declared_terms
from include.evaluation.metrics.fairness import fairness_of
from include.evaluation.metrics.slices import slice_levels
from include.evaluation.uncertainty.bootstrap import draw
from include.evaluation.unknown_classes import name_classes
from include.leakage.checks import run_checks
from include.storage.answers import find_answer, keep_answer
from include.storage.content import canonical_json, put_content, to_iso
from include.storage.remembering import read_ahead
from include.storage.store import ObjectStore
from include.training.estimators.predictions import prepared_inputs
from include.training.fit_inputs import FitInputs, fit_inputs
from include.training.fit_record import FitRecord
from include.training.provenance import Provenance

log = logging.getLogger(__name__)


def measure(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    *,
    challenger: ComparedModel,
    incumbent: ComparedModel | None,
    baselines: dict[str, FitRecord],
    snapshot: Snapshot,
    clock: Callable[[], float],
    threads: int = 1,
    again: Evidence | None = None,
) -> tuple[Evidence, str]:
    """Measure the challenger against the incumbent and the baselines on the snapshot's holdout.

    Each is asked with the code that it was fitted with, not with what the folder holds by now; what rows are judged by, such as
    slices, is what the challenger's code makes of them. Measured once: a repeated call finds the evidence, and of racing
    calls the first one's stands.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    folder : Path
        The model's folder.
    challenger : ComparedModel
    incumbent : ComparedModel or None
        None for a first version. One that was fitted on holdout rows, or can't be given its inputs or predict these rows,
        makes the evidence incomparable; the challenger and the baselines are measured all the same.
    baselines : dict of {"trivial", "simple", "pooled"} to FitRecord
    snapshot : Snapshot
    clock : callable
        Seconds of a steady clock, for the predict latency.
    threads : int
    again : Evidence, optional
        What a decision on record was made on that is made again: predictions cost what they cost there, by the code of the
        cost function then.

    Returns
    -------
    (Evidence, str)
        The evidence and its digest.

    Raises
    ------
    EvaluationError, DataError, TrainingError, ObjectMissing, ObjectCorrupt, ModelFileRefused
        When the challenger or a baseline can't be measured.
    """
    costs = again.costs if again is not None and again.costs else keep_code_of_costs(store, model, folder)
    place = f"{model.name}/evidence/index"
    answered = answered_files(store, model, snapshot) if incumbent else ()
    asked, seed = question_of(model, snapshot, challenger, incumbent, baselines, costs, answered)
    if (known := find_answer(store, place, asked)) is not None:
        log.info("Evidence for %s was measured before: %s", challenger.id, known[:12])
        return load_evidence(store, model.name, known), known
    fits: dict[Role, FitRecord] = {"challenger": challenger.fit, **cast("dict[Role, FitRecord]", baselines)}
    asked_of = {**fits, "incumbent": incumbent.fit} if incumbent else fits
    read_ahead(store, [key for fit in asked_of.values() for key in files_of_fit(fit)])
    with ExitStack() as until_the_end:
        # As in training: the last digits of BLAS's sums depend on its number of threads.
        until_the_end.enter_context(threadpool_limits(limits={"openmp": threads, "blas": 1}))
        priced = until_the_end.enter_context(code_of_costs(store, model, folder, costs))
        origins = {of: until_the_end.enter_context(Provenance(store, fit, folder)) for of, fit in asked_of.items()}
        learned = until_the_end.enter_context(fit_inputs(store, origins["challenger"]))
        evidence = _measured(
            *(store, model, challenger, incumbent, fits, origins, learned, snapshot, clock, seed),
            *(threads, priced, costs, answered),
        )
    digest = put_content(store, f"{model.name}/evidence", ".json", canonical_json(evidence.to_json()))
    settled = keep_answer(store, place, asked, digest)
    return load_evidence(store, model.name, settled), settled


def _measured(
    store: ObjectStore,
    model: ModelConfig,
    challenger: ComparedModel,
    incumbent: ComparedModel | None,
    fits: dict[Role, FitRecord],
    origins: dict[Role, Provenance],
    learned: FitInputs,
    snapshot: Snapshot,
    clock: Callable[[], float],
    seed: int,
    threads: int,
    priced: Path,
    costs: str | None,
    answered: tuple[str, ...],
) -> Evidence:
    for role, fit in fits.items():
        if seen := overlap(fit, snapshot):
            raise EvaluationError(f"The {role} can't be measured: {seen}.", where=f"fit {fit.key[:12]}")
    read = read_holdout_rows if model.training.engine is None else read_holdout_in_parts
    judged = read(store, model, snapshot, origins)
    frame, inputs = judged.frame, judged.inputs
    target, classes = target_of(frame, model, judged.classes), judged.classes
    log.info("Scoring %s holdout rows", f"{len(frame):,}")
    if judged.unlabelled and (left := judged.unlabelled[0]).unlabelled:
        log.warning("%s of %s holdout rows have no label and are left out", f"{left.unlabelled:,}", f"{left.rows:,}")
    pipeline = open_model(store, challenger.fit)
    own, models, obstacle = score_models(store, model.task, pipeline, judged, fits, incumbent, snapshot)
    if "incumbent" in models and incumbent is not None:
        fits = {**fits, "incumbent": incumbent.fit}
    units, of = units_of(model, frame, snapshot)
    resampling = draw(units, resamples=model.evaluation.resamples, seed=seed)
    log.info("Resampling %s units of one %s %d times", f"{resampling.units:,}", of, model.evaluation.resamples)
    binary, clustering = classes is not None and len(classes) == 2, model.task == "clustering"
    models = {
        role: with_declared_terms(model, priced, frame, target, scored, classes) for role, scored in models.items()
    }
    if clustering:
        models = with_clusters(
            store,
            inputs,
            prepared_inputs(open_model(store, fits["simple"]), inputs["simple"]),
            models,
            fits,
            metrics=model.metrics,
            resamples=model.evaluation.resamples,
            seed=seed,
        )
    units_found = Units(of, resampling.units, len(resampling.weights))
    rare = RareLevels.of(model.data, frame)
    slices = slice_levels(frame, model.evaluation.slices, rare)
    found = compare(target, models, model.metrics, slices, resampling, positives=binary)
    described = tuple(dict.fromkeys([*challenger.fit.columns, *columns_of(model.evaluation.slices)]))
    looked, places = judged.looked_at
    tripwires = run_checks(store, model, learned, pipeline, snapshot, frame, threads=threads)
    known = np.ones(len(target), bool) if classes is None else target < len(challenger.fit.classes or ())
    alone = measure_challenger(
        store,
        model,
        priced,
        learned,
        pipeline,
        snapshot,
        looked if known.all() else looked.at(known[places]),
        target[places][known[places]],
        models["challenger"] if known.all() else replace(own, score=own.score[known]),
        costs=costs,
        threads=threads,
    )
    value = found.scores["challenger"][model.metrics[0]].value
    log.info("Measured %s: %s is %s", challenger.id, model.metrics[0], value)
    return Evidence(
        model=model.name,
        task=model.task,
        version=challenger.id,
        as_of=to_iso(snapshot.as_of),
        incumbent=incumbent.id if incumbent else None,
        snapshot=snapshot.digest,
        holdout=Holdout(
            **snapshot.split.holdout.to_json(),
            rows=len(frame),
            rows_digest=rows_digest(frame, model.data.row_id),
            positives=int(target.sum()) if binary else None,
        ),
        comparable=obstacle is None,
        incomparable_because=obstacle.because if obstacle else None,
        remedy=obstacle.remedy if obstacle else None,
        notes=notes_of(judged, challenger.fit.classes, units_found, found.gains, opponent_among(models) or "simple"),
        metrics=model.metrics,
        scores=found.scores,
        gains=found.gains,
        slice_scores=found.slice_scores,
        subjects={role: subject_of(fit) for role, fit in fits.items()},
        curves={}
        if model.task == "clustering"
        else {
            role: curves_of(model.task, target, scored)
            for role, scored in models.items()
            if role not in ("trivial", "pooled", "unmitigated")
        },
        cost=CostFunction(latency(pipeline, challenger.fit, looked.frame, clock), challenger.fit.model_bytes),
        resamples=model.evaluation.resamples,
        units=units_found,
        seed=seed,
        families=found.families,
        churn=found.churn,
        fairness=tuple(
            one
            for groups in model.fairness_groups
            for one in fairness_of(
                target, models, groups, slices[groups], metrics_of_worst_group(model), resampling, binary=binary
            )
        ),
        classes=name_classes(classes or (), challenger.fit.classes or (), judged.unknown),
        clusters=describe_clusters(frame, described, models["challenger"], rare) if clustering else (),
        tripwires=tripwires,
        costs=costs,
        coverage=train_coverage(store, model, challenger.fit, snapshot),
        unlabelled=judged.unlabelled,
        canary=None
        if model.gate.canary is None or incumbent is None or "incumbent" not in models
        else compare_answers(
            store,
            model,
            snapshot,
            answered,
            {"challenger": challenger, "incumbent": incumbent},
            frame,
            target,
            classes,
            seed=seed,
        ),
        **vars(alone),
    )
