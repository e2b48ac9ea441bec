"""One measurement: all models predict the holdout rows, and the evidence is filled in field by field."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.config.sections.slices import columns_of
from include.data.rare_levels import RareLevels
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.errors import EvaluationError
from include.evaluation.challenger_measures import latency, measure_challenger
from include.evaluation.compared_models import (
    ComparedModel,
    open_model,
    overlap,
    score_models,
    subject_of,
)
from include.evaluation.comparison import compare
from include.evaluation.data_coverage import train_coverage
from include.evaluation.evidence import CostFunction, Evidence, Holdout, Units
from include.evaluation.evidence_notes import notes_of
from include.evaluation.evidence_question import metrics_of_worst_group
from include.evaluation.explanation.results import Curves
from include.evaluation.gains import CanaryAnswers, Fairness, Role, opponent_among
from include.evaluation.holdout_rows import read_holdout_rows, target_of
from include.evaluation.in_parts.holdout_in_parts import read_holdout_in_parts
from include.evaluation.metrics.canary import compare_answers
from include.evaluation.metrics.clustering import describe_clusters, with_clusters
from include.evaluation.metrics.curves import curves_of
from include.evaluation.metrics.declared_metrics import with_declared_terms
from include.evaluation.metrics.fairness import fairness_of
from include.evaluation.metrics.slices import slice_levels
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import Resampling, draw
from include.evaluation.uncertainty.resampling_units import units_of
from include.evaluation.unknown_classes import name_classes
from include.leakage.checks import run_checks
from include.storage.content import to_iso
from include.storage.store import ObjectStore
from include.training.estimators.predictions import prepared_inputs
from include.training.fit_inputs import FitInputs
from include.training.fit_record import FitRecord
from include.training.provenance import Provenance

log = logging.getLogger(__name__)

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Measurement:
    """One measurement of a challenger: what is measured, on which rows, with which code.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
    challenger : ComparedModel
    incumbent : ComparedModel or None
    fits : dict of role to FitRecord
        Those of the challenger and of the baselines.
    provenances : dict of role to Provenance
        The code that each was fitted with, the incumbent's as well.
    learned : FitInputs
        What the challenger's fit was given.
    snapshot : Snapshot
    clock : callable
        Seconds of a steady clock.
    seed : int
    threads : int
    priced : Path
        The folder with the code of the cost function.
    costs : str or None
        The digest of that code.
    answered : tuple of str
        Keys of the files of requests that both models answered.
    """

    store: ObjectStore
    model: ModelConfig
    challenger: ComparedModel
    incumbent: ComparedModel | None
    fits: dict[Role, FitRecord]
    provenances: dict[Role, Provenance]
    learned: FitInputs
    snapshot: Snapshot
    clock: Callable[[], float]
    seed: int
    threads: int
    priced: Path
    costs: str | None
    answered: tuple[str, ...]

    def evidence(self) -> Evidence:
        """Score all models on the holdout rows, and return the evidence; raises as `measure` does."""
        store, model, snapshot, challenger = self.store, self.model, self.snapshot, self.challenger
        incumbent, fits, seed = self.incumbent, self.fits, self.seed
        for role, fit in fits.items():
            if seen := overlap(fit, snapshot):
                raise EvaluationError(f"The {role} can't be measured: {seen}.", where=f"fit {fit.key[:12]}")
        read = read_holdout_rows if model.training.engine is None else read_holdout_in_parts
        judged = read(store, model, snapshot, self.provenances)
        frame, inputs = judged.frame, judged.inputs
        target, classes = target_of(frame, model, judged.classes), judged.classes
        log.info("Scoring %s holdout rows", f"{len(frame):,}")
        if judged.unlabelled and (left := judged.unlabelled[0]).unlabelled:
            log.warning(
                "%s of %s holdout rows have no label and are left out", f"{left.unlabelled:,}", f"{left.rows:,}"
            )
        pipeline = open_model(store, challenger.fit)
        own, models, obstacle = score_models(store, model.task, pipeline, judged, fits, incumbent, snapshot)
        if "incumbent" in models and incumbent is not None:
            fits = {**fits, "incumbent": incumbent.fit}
        units, of = units_of(model, frame, snapshot)
        resampling = draw(units, resamples=model.evaluation.resamples, seed=seed)
        log.info("Resampling %s units of one %s %d times", f"{resampling.units:,}", of, model.evaluation.resamples)
        binary, clustering = classes is not None and len(classes) == 2, model.task == "clustering"
        models = {
            role: with_declared_terms(model, self.priced, frame, target, scored, classes)
            for role, scored in models.items()
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
        tripwires = run_checks(store, model, self.learned, pipeline, snapshot, frame, threads=self.threads)
        known = np.ones(len(target), bool) if classes is None else target < len(challenger.fit.classes or ())
        alone = measure_challenger(
            store,
            model,
            self.priced,
            self.learned,
            pipeline,
            snapshot,
            looked if known.all() else looked.at(known[places]),
            target[places][known[places]],
            models["challenger"] if known.all() else replace(own, score=own.score[known]),
            costs=self.costs,
            threads=self.threads,
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
            notes=notes_of(
                judged, challenger.fit.classes, units_found, found.gains, opponent_among(models) or "simple"
            ),
            metrics=model.metrics,
            scores=found.scores,
            gains=found.gains,
            slice_scores=found.slice_scores,
            subjects={role: subject_of(fit) for role, fit in fits.items()},
            curves=self._curves(target, models),
            cost=CostFunction(latency(pipeline, challenger.fit, looked.frame, self.clock), challenger.fit.model_bytes),
            resamples=model.evaluation.resamples,
            units=units_found,
            seed=seed,
            families=found.families,
            churn=found.churn,
            fairness=self._fairness(target, models, slices, resampling, binary=binary),
            classes=name_classes(classes or (), challenger.fit.classes or (), judged.unknown),
            clusters=describe_clusters(frame, described, models["challenger"], rare) if clustering else (),
            tripwires=tripwires,
            costs=self.costs,
            coverage=train_coverage(store, model, challenger.fit, snapshot),
            unlabelled=judged.unlabelled,
            canary=self._canary(frame, target, classes) if "incumbent" in models else None,
            **vars(alone),
        )

    def _curves(self, target: Array, models: dict[Role, Scored]) -> dict[Role, Curves]:
        if (task := self.model.task) == "clustering":
            return {}
        left_out = ("trivial", "pooled", "unmitigated")
        return {role: curves_of(task, target, one) for role, one in models.items() if role not in left_out}

    def _fairness(
        self,
        target: Array,
        models: dict[Role, Scored],
        slices: dict[str, SliceLevels],
        resampling: Resampling,
        *,
        binary: bool,
    ) -> tuple[Fairness, ...]:
        metrics = metrics_of_worst_group(self.model)
        return tuple(
            one
            for groups in self.model.fairness_groups
            for one in fairness_of(target, models, groups, slices[groups], metrics, resampling, binary=binary)
        )

    def _canary(self, frame: pd.DataFrame, target: Array, classes: tuple[Any, ...] | None) -> CanaryAnswers | None:
        if self.model.gate.canary is None or self.incumbent is None:
            return None
        both: dict[Role, ComparedModel] = {"challenger": self.challenger, "incumbent": self.incumbent}
        return compare_answers(
            self.store, self.model, self.snapshot, self.answered, both, frame, target, classes, seed=self.seed
        )
