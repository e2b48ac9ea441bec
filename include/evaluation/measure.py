"""Measure a challenger: every model predicts the same holdout rows once, and everything else follows from the scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.config.sections.slices import columns_of
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.errors import EvaluationError
from include.evaluation.answered_requests import answered_files, compare_answers
from include.evaluation.challenger_measures import CHALLENGER_VERSION as ALONE
from include.evaluation.challenger_measures import measure_challenger
from include.evaluation.compared_models import (
    CannotPredict,
    ComparedModel,
    latency,
    of_classes,
    open_model,
    overlap,
    score_incumbent,
    score_rows,
    score_unmitigated,
    subject_of,
)
from include.evaluation.comparison import compare
from include.evaluation.data_coverage import counts_asked, train_coverage
from include.evaluation.evidence import EQUAL_ROWS, SAY_SEPARATE, CostFunction, Evidence, Holdout, Units
from include.evaluation.gains import Gain, Role
from include.evaluation.holdout_rows import (
    HoldoutRows,
    Obstacle,
    counts_equal_rows_once,
    holdout_declaration,
    read_holdout_rows,
    target_of,
    units_of,
)
from include.evaluation.metrics.clustering import describe_clusters, with_clusters
from include.evaluation.metrics.curves import curves_of
from include.evaluation.metrics.declared_metrics import code_of_costs, keep_code_of_costs, with_declared_terms
from include.evaluation.metrics.fairness import fairness_of
from include.evaluation.metrics.slices import slice_levels, slice_rows
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import draw
from include.evaluation.unknown_classes import say_unknown
from include.leakage.checks import CHECKS_VERSION as TRIPWIRES
from include.leakage.checks import of_entities, run_checks
from include.storage.answers import find_answer, keep_answer
from include.storage.content import canonical_json, digest_json, get_content, put_content, to_iso
from include.storage.store import ObjectStore
from include.training.estimators.predictions import prepared_inputs
from include.training.fit_inputs import FitInputs
from include.training.fit_record import FitRecord
from include.training.metrics.multiclass import of_averages
from include.training.provenance import Provenance

log = logging.getLogger(__name__)

EVIDENCE_VERSION = 4
"""Part of what evidence is found by: raise it when the same inputs are to be measured differently."""

BOUNDS = 2
"""The edition of the bounds alone: another one reads the same draws otherwise. Evidence of the first has no such word in its question."""

DISAGREEMENT = 0.2
"""Share by which the widths of two intervals may differ before a person is told; 200 resamples leave 5 % open."""
NEGLIGIBLE = 0.0005
"""A difference in AUC between widths that nobody need be told of."""


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

    Each is asked with the code that it was fitted with, whatever the folder says by now; what rows are judged by, such as
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
    baselines : dict of {"trivial", "simple"} to FitRecord
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
    question = {
        "edition": [EVIDENCE_VERSION, TRIPWIRES, ALONE],
        "challenger": [challenger.id, challenger.fit.key],
        "incumbent": [incumbent.id, incumbent.fit.key] if incumbent else None,
        "baselines": {role: fit.key for role, fit in baselines.items()},
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "entity": model.data.entity,
        "cost": costs,
        "fairness": [list(model.fairness_groups), list(_of_worst_group(model))],
    }
    place = f"{model.name}/evidence/index"
    files = {role: fit.model_file for role, fit in baselines.items()} | {"challenger": challenger.fit.model_file}
    files |= {"incumbent": incumbent.fit.model_file} if incumbent else {}
    answered = answered_files(store, model, snapshot) if incumbent else ()
    mended = _mended(model, snapshot, challenger.fit, incumbent.fit if incumbent else None)
    if model.gate.canary is not None and incumbent is not None:
        mended |= {"canary": [model.gate.canary.metric, list(answered)]}
    asked = {**question, **mended, "rows": holdout_declaration(model), "model_files": files}
    if (known := find_answer(store, place, asked)) is not None:
        log.info("Evidence for %s was measured before: %s", challenger.id, known[:12])
        return load_evidence(store, model.name, known), known
    seed = int(digest_json(question)[:12], 16)
    fits: dict[Role, FitRecord] = {"challenger": challenger.fit, **cast("dict[Role, FitRecord]", baselines)}
    with ExitStack() as until_the_end:
        # As in training: the last digits of BLAS's sums depend on its number of threads.
        until_the_end.enter_context(threadpool_limits(limits={"openmp": threads, "blas": 1}))
        priced = until_the_end.enter_context(code_of_costs(store, model, folder, costs))
        fits_asked = {**fits, "incumbent": incumbent.fit} if incumbent else fits
        origins = {
            role: until_the_end.enter_context(Provenance(store, fit, folder)) for role, fit in fits_asked.items()
        }
        evidence = _measured(
            store, model, challenger, incumbent, fits, origins, snapshot, clock, seed, threads, priced, costs, answered
        )
    digest = put_content(store, f"{model.name}/evidence", ".json", canonical_json(evidence.to_json()))
    settled = keep_answer(store, place, asked, digest)
    return load_evidence(store, model.name, settled), settled


def _mended(model: ModelConfig, snapshot: Snapshot, fit: FitRecord, incumbent: FitRecord | None) -> dict[str, Any]:
    """Return the editions of what earlier releases measured wrongly for such a model: it is measured again, by the same draws."""
    levels, averages = slice_rows(model.evaluation.slices, snapshot.schema), of_averages(model.metrics, fit.classes)
    equal = {"equal_rows": 1} if counts_equal_rows_once(model) else {}
    other = incumbent is not None and incumbent.classes != fit.classes
    return (
        of_entities(model)
        | levels
        | averages
        | ({"classes": 2} if other else {})
        | {"bounds": BOUNDS}
        | counts_asked(model)
        | equal
    )


def load_evidence(store: ObjectStore, model: str, digest: str) -> Evidence:
    """Return the evidence named ``digest``; raises `ObjectMissing`, `ObjectCorrupt`."""
    return Evidence.from_bytes(get_content(store, f"{model}/evidence", ".json", digest))


def _measured(
    store: ObjectStore,
    model: ModelConfig,
    challenger: ComparedModel,
    incumbent: ComparedModel | None,
    fits: dict[Role, FitRecord],
    origins: dict[Role, Provenance],
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
    judged = read_holdout_rows(store, model, snapshot, origins)
    frame, inputs, obstacle = judged.frame, judged.inputs, judged.obstacle
    target, classes = target_of(frame, model, judged.classes), judged.classes
    log.info("Scoring %s holdout rows", f"{len(frame):,}")
    if judged.unlabelled and (left_out := judged.unlabelled[0]).unlabelled:
        told = (f"{left_out.unlabelled:,}", f"{left_out.rows:,}", left_out.share)
        log.warning("%s of %s holdout rows (%.1f %%) have no label and are left out", *told[:2], 100 * told[2])
    pipeline = open_model(store, challenger.fit)
    own = score_rows(pipeline, challenger.fit, frame)
    models: dict[Role, Scored] = {"challenger": of_classes(own, challenger.fit.classes, classes)}
    for role in [role for role in fits if role != "challenger"]:
        scored = score_rows(open_model(store, fits[role]), fits[role], inputs[role])
        models[role] = of_classes(scored, fits[role].classes, classes)
    if (unmitigated := score_unmitigated(store, challenger.fit, frame)) is not None:
        models["unmitigated"] = unmitigated
    if incumbent is not None:
        obstacle = _overlaps(incumbent, snapshot) or obstacle
    if incumbent is not None and obstacle is None:
        try:
            models["incumbent"] = score_incumbent(store, incumbent.fit, model.task, classes, inputs["incumbent"])
            fits = {**fits, "incumbent": incumbent.fit}
        except CannotPredict as error:
            obstacle = Obstacle(error.message, error.remedy or "Train the incumbent's recipe again on today's schema.")

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
    slices = slice_levels(frame, model.evaluation.slices)
    found = compare(target, models, model.metrics, slices, resampling, positives=binary)
    primary = model.metrics[0]
    described = tuple(dict.fromkeys([*challenger.fit.columns, *columns_of(model.evaluation.slices)]))
    learned = FitInputs(store, origins["challenger"])
    tripwires = run_checks(store, model, learned, pipeline, snapshot, frame, threads=threads)
    known = np.ones(len(target), bool) if classes is None else target < len(challenger.fit.classes or ())
    alone = measure_challenger(
        store,
        model,
        priced,
        learned,
        pipeline,
        snapshot,
        judged if known.all() else judged.at(known),
        target[known],
        models["challenger"] if known.all() else replace(own, score=own.score[known]),
        costs=costs,
        threads=threads,
    )
    log.info("Measured %s: %s is %s", challenger.id, primary, found.scores["challenger"][primary].value)
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
        notes=(
            *_of_unknown(judged, len(frame), challenger.fit.classes),
            *_of_equal_rows(of, resampling.units, len(frame)),
            *_notes(found.gains, "incumbent" if "incumbent" in models else "simple", of),
        ),
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
            if role not in ("trivial", "unmitigated")
        },
        cost=CostFunction(latency(pipeline, challenger.fit, frame, clock), challenger.fit.model_bytes),
        resamples=model.evaluation.resamples,
        units=Units(of, resampling.units, len(resampling.weights)),
        seed=seed,
        families=found.families,
        churn=found.churn,
        fairness=tuple(
            one
            for groups in model.fairness_groups
            for one in fairness_of(
                target, models, groups, slices[groups], _of_worst_group(model), resampling, binary=binary
            )
        ),
        classes=tuple(str(value) for value in classes or ()),
        clusters=describe_clusters(frame, described, models["challenger"]) if clustering else (),
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


def _of_worst_group(model: ModelConfig) -> tuple[str, ...]:
    """Return the metrics whose worst group is looked for: the primary, and what rules name."""
    named = [rule.metric for rule in model.gate.fairness if rule.metric is not None]
    return tuple(dict.fromkeys([model.gate.primary.metric, *named]))


def _overlaps(incumbent: ComparedModel, snapshot: Snapshot) -> Obstacle | None:
    seen = overlap(incumbent.fit, snapshot)
    return Obstacle(seen, "Judge at a later as-of, whose holdout the incumbent has not seen.") if seen else None


def _of_unknown(judged: HoldoutRows, rows: int, own: tuple[Any, ...] | None) -> Iterator[str]:
    if judged.unknown:
        counted = judged.classes != own
        yield say_unknown(
            judged.unknown, "challenger", f"{rows:,} holdout rows" if counted else "holdout", counted=counted
        )


def _of_equal_rows(of: str, different: int, rows: int) -> Iterator[str]:
    if of == EQUAL_ROWS:
        yield (
            f"Of {rows:,} holdout rows {different:,} are different. Rows without an id that are equal in all columns count as one "
            f"thing that stands several times, on one side and in every interval. {SAY_SEPARATE}."
        )


def _notes(gains: tuple[Gain, ...], against: Role, of: str) -> Iterator[str]:
    """Say so where the bootstrap and DeLong's closed form disagree by more than the resamples leave open."""
    for gain in gains:
        low, high = gain.bound(0.975), gain.upper(0.975)
        if gain.against != against or gain.delong is None or low is None or high is None:
            continue
        width, closed = high - low, gain.delong[1] - gain.delong[0]
        if abs(width - closed) <= DISAGREEMENT * max(width, closed, NEGLIGIBLE / DISAGREEMENT):
            continue
        facts = f"{low:+.4f} to {high:+.4f}, and by DeLong's closed form {gain.delong[0]:+.4f} to {gain.delong[1]:+.4f}"
        why = (
            "they should agree: there may be too few rows of one class to judge by"
            if of == "row"
            else f"the closed form takes every row for independent, the bootstrap only each {of}"
        )
        yield f"The two-sided 95 % interval of the gain in ROC AUC over the {gain.against} is {facts}; {why}."
