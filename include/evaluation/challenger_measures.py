"""Measurements of the challenger alone, made once for each fit and holdout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.pipeline import Pipeline

from include.config.model import ModelConfig
from include.data.rare_levels import RareLevels
from include.data.snapshots import Snapshot
from include.evaluation.compared_models import score_rows
from include.evaluation.explanation.behavioural_tests import BehaviourInputs, behaviours_of
from include.evaluation.explanation.coefficients import linear_model
from include.evaluation.explanation.learning_curve import learning_curve
from include.evaluation.explanation.overfitting import sample_positions, train_scores
from include.evaluation.explanation.partial_dependence import partial_dependence
from include.evaluation.explanation.permutation_importance import permutation_importance
from include.evaluation.explanation.results import (
    BehaviourResult,
    Dependence,
    Importance,
    LearningPoint,
    LinearModel,
    TrainScores,
)
from include.evaluation.holdout_rows import HoldoutRows, holdout_declaration
from include.evaluation.metrics.declared_metrics import with_declared_terms
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import draw
from include.evaluation.uncertainty.intervals import rounded
from include.evaluation.uncertainty.resampling_units import units_of
from include.storage.answers import find_answer, keep_answer
from include.storage.content import digest_json
from include.storage.store import ObjectStore
from include.training.fit_inputs import FitInputs
from include.training.fit_record import FitRecord
from include.training.metrics.costs import RowCosts, row_costs
from include.training.metrics.multiclass import of_averages
from include.training.persistence.model_file import predict_scores

log = logging.getLogger(__name__)

Array = NDArray[Any]

CHALLENGER_VERSION = 2
"""Part of what the answers are found by: raise it when the same challenger is to be measured differently."""


@dataclass(frozen=True)
class ChallengerMeasures:
    """The part of the evidence that is about the challenger alone, with the field names of `Evidence`."""

    importance: tuple[Importance, ...]
    train: TrainScores | None
    behaviours: tuple[BehaviourResult, ...]
    linear: LinearModel | None
    dependence: tuple[Dependence, ...]
    learning: tuple[LearningPoint, ...]


def measure_challenger(
    store: ObjectStore,
    model: ModelConfig,
    priced: Path,
    learned: FitInputs,
    pipeline: Pipeline,
    snapshot: Snapshot,
    judged: HoldoutRows,
    target: Array,
    scored: Scored,
    *,
    costs: str | None,
    threads: int,
) -> ChallengerMeasures:
    """Measure what needs no other model, or find what was measured when it met another incumbent.

    Parameters
    ----------
    priced : Path
        The folder with the code of the cost function.
    learned : FitInputs
        What the challenger learned from; not read if the answers are found.
    pipeline : Pipeline
        The challenger, as loaded from its file.
    snapshot : Snapshot
        Whose holdout it is judged on.
    judged : HoldoutRows
        The holdout's rows.
    target : array of shape (n_rows,)
    scored : Scored
        The challenger's answers for them.
    costs : str or None
        Digest of the code of the cost function.
    """
    question = {
        "edition": CHALLENGER_VERSION,
        "fit": learned.fit.key,
        "model_file": learned.fit.model_file,
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "cost": costs,
    }
    averages = of_averages(model.metrics, learned.fit.classes)
    place, asked = f"{model.name}/alone", {**question, **averages, "rows": holdout_declaration(model)}
    if (known := find_answer(store, place, asked)) is None:
        seed = int(digest_json(question)[:12], 16)
        fit, frame = learned.fit, judged.frame
        rare = RareLevels.of(model.data, frame)
        inputs, predict = frame[list(fit.columns)], partial(predict_scores, pipeline)
        costed = None
        if model.evaluation.cost is not None and model.metrics[0] == "cost":
            costed = row_costs(model.evaluation.cost, priced, frame, target, fit.classes)
        importance = _importance(model, fit, predict, inputs, target, costed, seed)
        found = ChallengerMeasures(
            importance=importance,
            train=_of_training_rows(model, priced, learned, pipeline, seed),
            behaviours=_behaviours(model, learned, pipeline, judged, scored, seed),
            linear=linear_model(pipeline, inputs, rare, classes=len(fit.classes or ()), seed=seed),
            # Numbers of clusters have no mean.
            dependence=()
            if model.task == "clustering"
            else partial_dependence(predict, inputs, importance, rare, seed=seed),
            learning=_learning(model, learned, snapshot, frame, target, scored, costed, seed, threads),
        )
        known = keep_answer(store, place, asked, _ADAPTER.dump_python(found, mode="json"))
    return _ADAPTER.validate_python(known)


def _importance(
    model: ModelConfig,
    fit: FitRecord,
    predict: Callable[[pd.DataFrame], Array],
    inputs: pd.DataFrame,
    target: Array,
    costs: RowCosts | None,
    seed: int,
) -> tuple[Importance, ...]:
    metric = None if model.task == "clustering" else model.metrics[0]
    quantile = model.evaluation.quantile
    return permutation_importance(
        predict, inputs, target, fit.columns, metric, fit.threshold, seed=seed, quantile=quantile, costs=costs
    )


def _of_training_rows(
    model: ModelConfig, priced: Path, learned: FitInputs, pipeline: Pipeline, seed: int
) -> TrainScores | None:
    if model.task == "clustering":
        return None
    fit, rows = learned.fit, learned.rows
    places = sample_positions(len(rows), seed)
    needed = [*fit.columns, *(model.evaluation.cost.columns if model.evaluation.cost else ())]
    target, frame = rows.target[places].astype(float), learned.some(places, list(dict.fromkeys(needed)))
    scored = with_declared_terms(model, priced, frame, target, score_rows(pipeline, fit, frame), fit.classes)
    log.info("Measuring the challenger on %s of %s rows that it learned from", f"{len(places):,}", f"{len(rows):,}")
    return train_scores(target, scored, model.metrics, of=len(rows), resamples=model.evaluation.resamples, seed=seed)


def _behaviours(
    model: ModelConfig, learned: FitInputs, pipeline: Pipeline, judged: HoldoutRows, scored: Scored, seed: int
) -> tuple[BehaviourResult, ...]:
    if judged.raw is None:
        return ()
    fit, wanted = learned.fit, list(map(str, judged.frame))
    asked = BehaviourInputs(
        judged.raw,
        judged.frame,
        scored,
        partial(learned.origin.make, columns=wanted),
        partial(score_rows, pipeline, fit),
        fit.classes,
        model.task == "clustering",
    )
    return behaviours_of(model.evaluation.behaviour, asked, seed=seed)


def _learning(
    model: ModelConfig,
    learned: FitInputs,
    snapshot: Snapshot,
    frame: pd.DataFrame,
    target: Array,
    scored: Scored,
    costs: RowCosts | None,
    seed: int,
    threads: int,
) -> tuple[LearningPoint, ...]:
    shares = model.evaluation.learning_curve
    if not shares:
        return ()
    units, _ = units_of(model, frame, snapshot)
    resampling = draw(units, resamples=model.evaluation.resamples, seed=seed)
    return learning_curve(
        shares, learned, frame, target, scored, model.metrics[0], resampling, costs=costs, seed=seed, threads=threads
    )


_ADAPTER = TypeAdapter(ChallengerMeasures)


def latency(pipeline: Pipeline, fit: FitRecord, frame: pd.DataFrame, clock: Callable[[], float]) -> float:
    """Return milliseconds per 1,000 rows: the median of five predictions of a thousand.

    Parameters
    ----------
    fit : FitRecord
        Gives the columns that the pipeline reads.
    frame : pd.DataFrame
        Rows to predict; the first 1,000 are used.
    clock : callable
        Returns seconds, such as `time.perf_counter`.
    """
    rows = frame[list(fit.columns)].head(1000)
    seconds = []
    for _ in range(5):
        start = clock()
        predict_scores(pipeline, rows)
        seconds.append(clock() - start)
    return rounded(median(seconds) * 1e6 / len(rows))
