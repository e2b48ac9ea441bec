"""Measure a challenger: every model predicts the same holdout rows once, and everything else follows from the scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.config.slices import columns_of
from include.data.content import rows_digest
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import EvaluationError, RatchetError
from include.evaluation.alone import EDITION as ALONE
from include.evaluation.alone import measure_alone
from include.evaluation.bootstrap import draw
from include.evaluation.clustering import describe_clusters, with_clusters
from include.evaluation.comparison import Scored, compare
from include.evaluation.contenders import (
    CannotPredict,
    Contender,
    latency,
    open_model,
    overlap,
    score_incumbent,
    score_rows,
    score_unmitigated,
    subject_of,
)
from include.evaluation.curves import curves_of
from include.evaluation.declared_terms import code_of_costs, with_declared_terms
from include.evaluation.evidence import Cost, Evidence, Gain, Holdout, Role, Units
from include.evaluation.fairness import fairness_of
from include.evaluation.judged_rows import Obstacle, read_judged_rows, target_of, units_of
from include.evaluation.slicing import levels_of, of_levels
from include.leaks.watch import EDITION as TRIPWIRES
from include.leaks.watch import of_entities, watch
from include.storage.content import canonical_json, digest_json, get_content, get_json, put_content, settle_json, to_iso
from include.storage.store import ObjectStore
from include.training.fingerprint import fingerprint
from include.training.learned_rows import LearnedRows
from include.training.many_classes import of_averages
from include.training.record import FitRecord
from include.training.responses import prepared

log = logging.getLogger(__name__)

EDITION = 4
"""Part of what evidence is found by: raise it when the same inputs are to be measured differently."""

DISAGREEMENT = 0.2
"""Share by which the widths of two intervals may differ before a person is told; 200 resamples leave 5 % open."""
NEGLIGIBLE = 0.0005
"""A difference in AUC between widths that nobody need be told of."""


def measure(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    *,
    challenger: Contender,
    incumbent: Contender | None,
    baselines: dict[str, FitRecord],
    snapshot: Snapshot,
    clock: Callable[[], float],
    threads: int = 1,
) -> tuple[Evidence, str]:
    """Measure the challenger against the incumbent and the baselines on the snapshot's holdout.

    Measured once: a repeated call finds the evidence, and of racing calls the first one's stands.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    folder : Path
        The model's folder, for the function that derives features.
    challenger : Contender
    incumbent : Contender or None
        None for a first version. One that was fitted on holdout rows, or can't predict these, makes the evidence
        incomparable; the challenger and the baselines are measured all the same.
    baselines : dict of {"trivial", "simple"} to FitRecord
    snapshot : Snapshot
    clock : callable
        Seconds of a steady clock, for the predict latency.
    threads : int

    Returns
    -------
    (Evidence, str)
        The evidence and its digest.

    Raises
    ------
    EvaluationError
        When the challenger or a baseline can't be measured.
    """
    question = {
        "edition": [EDITION, TRIPWIRES, ALONE],
        "challenger": [challenger.id, challenger.fit.key],
        "incumbent": [incumbent.id, incumbent.fit.key] if incumbent else None,
        "baselines": {role: fit.key for role, fit in baselines.items()},
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "entity": model.data.entity,
        "cost": code_of_costs(model, folder),
        "fairness": [list(model.fairness_groups), list(_of_worst_group(model))],
    }
    index = f"{model.name}/evidence/index/{digest_json(question | _mended(model, snapshot, challenger.fit))}.json"
    if store.exists(index):
        digest = get_json(store, index)["evidence"]
        log.info("Evidence for %s was measured before: %s", challenger.id, digest[:12])
        return load_evidence(store, model.name, digest), digest
    with threadpool_limits(limits=threads):
        seed = int(digest_json(question)[:12], 16)
        evidence = _measured(store, model, folder, challenger, incumbent, baselines, snapshot, clock, seed, threads)
    digest = put_content(store, f"{model.name}/evidence", ".json", canonical_json(evidence.to_json()))
    settled = settle_json(store, index, {"evidence": digest})["evidence"]
    return load_evidence(store, model.name, settled), settled


def _mended(model: ModelConfig, snapshot: Snapshot, fit: FitRecord) -> dict[str, int]:
    """Return the editions of what earlier releases measured wrongly for such a model: it is measured again, by the same draws."""
    levels, averages = of_levels(model.evaluation.slices, snapshot.schema), of_averages(model.metrics, fit.classes)
    return of_entities(model) | levels | averages


def load_evidence(store: ObjectStore, model: str, digest: str) -> Evidence:
    """Return the evidence named ``digest``; raises `ObjectMissing`, `ObjectCorrupt`."""
    return Evidence.from_bytes(get_content(store, f"{model}/evidence", ".json", digest))


def _measured(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    challenger: Contender,
    incumbent: Contender | None,
    baselines: dict[str, FitRecord],
    snapshot: Snapshot,
    clock: Callable[[], float],
    seed: int,
    threads: int,
) -> Evidence:
    fits: dict[Role, FitRecord] = {"challenger": challenger.fit, **cast("dict[Role, FitRecord]", baselines)}
    for role, fit in fits.items():
        if seen := overlap(fit, snapshot):
            raise EvaluationError(f"The {role} can't be measured: {seen}.", where=f"fit {fit.key[:12]}")
    judged = read_judged_rows(store, model, folder, snapshot, fits, incumbent)
    frame, obstacle = judged.frame, judged.obstacle
    target = target_of(frame, model, challenger.fit)
    log.info("Scoring %s holdout rows", f"{len(frame):,}")
    pipeline = open_model(store, challenger.fit)
    models: dict[Role, Scored] = {"challenger": score_rows(pipeline, challenger.fit, frame)}
    for role in [role for role in fits if role != "challenger"]:
        models[role] = score_rows(open_model(store, fits[role]), fits[role], frame)
    if (unmitigated := score_unmitigated(store, challenger.fit, frame)) is not None:
        models["unmitigated"] = unmitigated
    if incumbent is not None and obstacle is None:
        obstacle = _overlaps(incumbent, snapshot) or _derived_otherwise(store, model, folder, challenger, incumbent)
    if incumbent is not None and obstacle is None:
        try:
            models["incumbent"] = score_incumbent(store, incumbent.fit, challenger.fit, frame)
            fits["incumbent"] = incumbent.fit
        except CannotPredict as error:
            obstacle = Obstacle(error.message, "Train the incumbent's recipe again on today's schema.")

    units, of = units_of(model, frame, snapshot)
    resampling = draw(units, resamples=model.evaluation.resamples, seed=seed)
    log.info("Resampling %s units of one %s %d times", f"{resampling.units:,}", of, model.evaluation.resamples)
    classes = challenger.fit.classes
    binary, clustering = classes is not None and len(classes) == 2, model.task == "clustering"
    models = {
        role: with_declared_terms(model, folder, frame, target, scored, classes) for role, scored in models.items()
    }
    if clustering:
        models = with_clusters(
            store,
            frame,
            prepared(open_model(store, fits["simple"]), frame),
            models,
            fits,
            metrics=model.metrics,
            resamples=model.evaluation.resamples,
            seed=seed,
        )
    slices = levels_of(frame, model.evaluation.slices)
    found = compare(target, models, model.metrics, slices, resampling, positives=binary)
    primary = model.metrics[0]
    described = tuple(dict.fromkeys([*challenger.fit.columns, *columns_of(model.evaluation.slices)]))
    with LearnedRows(store, challenger.fit, folder) as learned:
        tripwires = watch(store, model, learned, pipeline, snapshot, frame, threads=threads)
        alone = measure_alone(
            store, model, folder, learned, pipeline, snapshot, judged, target, models["challenger"], threads=threads
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
        notes=tuple(_notes(found.gains, "incumbent" if "incumbent" in models else "simple", of)),
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
        cost=Cost(latency(pipeline, challenger.fit, frame, clock), challenger.fit.model_bytes),
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
        **vars(alone),
    )


def _of_worst_group(model: ModelConfig) -> tuple[str, ...]:
    """Return the metrics whose worst group is looked for: the primary, and what rules name."""
    named = [rule.metric for rule in model.gate.fairness if rule.metric is not None]
    return tuple(dict.fromkeys([model.gate.primary.metric, *named]))


def _overlaps(incumbent: Contender, snapshot: Snapshot) -> Obstacle | None:
    seen = overlap(incumbent.fit, snapshot)
    return Obstacle(seen, "Judge at a later as-of, whose holdout the incumbent has not seen.") if seen else None


def _derived_otherwise(
    store: ObjectStore, model: ModelConfig, folder: Path, challenger: Contender, incumbent: Contender
) -> Obstacle | None:
    """Say so if today's code gives the incumbent other inputs than it learned from.

    Asked only when the code changed; a record without a fingerprint is then no proof that the inputs are the same.
    """
    fit = incumbent.fit
    if fit.code == challenger.fit.code:
        return None
    remedy = (
        "Give changed columns new names beside the old ones, or train the incumbent's recipe again with today's code."
    )
    changed = "the Python files behind `features.derive` changed since it was fitted, and"
    if fit.inputs is None:
        return Obstacle(f"{changed} its record does not say what they gave it", remedy)
    try:
        learned = Snapshot.load(store, model.name, fit.snapshot)
        frame = read_rows(store, learned, model, folder, window="train", columns=list(fit.inputs))
    except RatchetError as error:
        return Obstacle(f"{changed} its training rows can't be derived again: {error.message}", remedy)
    now = fingerprint(frame, list(fit.inputs))
    if different := [column for column, digest in fit.inputs.items() if now[column] != digest]:
        return Obstacle(f"{changed} they now give it other values of {', '.join(different)}", remedy)
    log.info("The Python files changed since %s was fitted, and derive the same inputs", incumbent.id)
    return None


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
