"""Measure a challenger: every model predicts the same holdout rows once, and all evidence is computed from these scores."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.compared_models import (
    ComparedModel,
    files_of_fit,
)
from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.evidence_question import question_of
from include.evaluation.gains import Role
from include.evaluation.measurement import Measurement
from include.evaluation.metrics.canary import answered_files
from include.evaluation.metrics.declared_metrics import code_of_costs, keep_code_of_costs
from include.storage.answers import find_answer, keep_answer
from include.storage.content import canonical_json, put_content
from include.storage.remembering import read_ahead
from include.storage.store import ObjectStore
from include.training.fit_inputs import fit_inputs
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
        makes the evidence incomparable; the challenger and the baselines are still measured.
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
        provenances = {of: until_the_end.enter_context(Provenance(store, fit, folder)) for of, fit in asked_of.items()}
        learned = until_the_end.enter_context(fit_inputs(store, provenances["challenger"]))
        evidence = Measurement(
            store=store,
            model=model,
            challenger=challenger,
            incumbent=incumbent,
            fits=fits,
            provenances=provenances,
            learned=learned,
            snapshot=snapshot,
            clock=clock,
            seed=seed,
            threads=threads,
            priced=priced,
            costs=costs,
            answered=answered,
        ).evidence()
    digest = put_content(store, f"{model.name}/evidence", ".json", canonical_json(evidence.to_json()))
    settled = keep_answer(store, place, asked, digest)
    return load_evidence(store, model.name, settled), settled
