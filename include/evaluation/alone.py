"""What is measured of the challenger alone, whatever it is compared with: once for a fit and a holdout, on record for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.pipeline import Pipeline

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.behaviour import Asked, behaviours_of
from include.evaluation.bootstrap import draw
from include.evaluation.coefficients import linear_model
from include.evaluation.comparison import Scored
from include.evaluation.contenders import score_rows
from include.evaluation.declared_terms import with_declared_terms
from include.evaluation.dependence import partial_dependence
from include.evaluation.evidence import Behaved, Dependence, Importance, LearningPoint, Linear, TrainScores
from include.evaluation.importance import permutation_importance
from include.evaluation.judged_rows import Judged, judged_by, units_of
from include.evaluation.learning_curve import learning_curve
from include.evaluation.overfitting import drawn, train_scores
from include.storage.answers import find_answer, keep_answer
from include.storage.content import digest_json
from include.storage.store import ObjectStore
from include.training.learned_rows import LearnedRows
from include.training.many_classes import of_averages
from include.training.model_file import predict_scores
from include.training.record import FitRecord

log = logging.getLogger(__name__)

Array = NDArray[Any]

EDITION = 2
"""Part of what the answers are found by: raise it when the same challenger is to be measured differently."""


@dataclass(frozen=True)
class Alone:
    """What evidence says of the challenger alone, under the names that `Evidence` has for it."""

    importance: tuple[Importance, ...]
    train: TrainScores | None
    behaviours: tuple[Behaved, ...]
    linear: Linear | None
    dependence: tuple[Dependence, ...]
    learning: tuple[LearningPoint, ...]


def measure_alone(
    store: ObjectStore,
    model: ModelConfig,
    priced: Path,
    learned: LearnedRows,
    pipeline: Pipeline,
    snapshot: Snapshot,
    judged: Judged,
    target: Array,
    scored: Scored,
    *,
    costs: str | None,
    threads: int,
) -> Alone:
    """Measure what needs no other model, or find what was measured when it met another incumbent.

    Parameters
    ----------
    priced : Path
        The folder with the code of the cost function.
    learned : LearnedRows
        What the challenger learned from; not read if the answers are found.
    pipeline : Pipeline
        The challenger, as loaded from its file.
    snapshot : Snapshot
        Whose holdout it is judged on.
    judged : Judged
        The holdout's rows.
    target : array of shape (n_rows,)
    scored : Scored
        The challenger's answers for them.
    costs : str or None
        Digest of the code of the cost function.
    """
    question = {
        "edition": EDITION,
        "fit": learned.fit.key,
        "model_file": learned.fit.model_file,
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "cost": costs,
    }
    averages = of_averages(model.metrics, learned.fit.classes)
    place, asked = f"{model.name}/alone", {**question, **averages, "rows": judged_by(model)}
    if (known := find_answer(store, place, asked)) is None:
        seed = int(digest_json(question)[:12], 16)
        fit, frame = learned.fit, judged.frame
        inputs, predict = frame[list(fit.columns)], partial(predict_scores, pipeline)
        importance = _importance(model, fit, predict, inputs, target, seed)
        found = Alone(
            importance=importance,
            train=_of_training_rows(model, priced, learned, pipeline, seed),
            behaviours=_behaviours(model, learned, pipeline, judged, scored, seed),
            linear=linear_model(pipeline, inputs, classes=len(fit.classes or ()), seed=seed),
            # Numbers of clusters have no mean.
            dependence=() if model.task == "clustering" else partial_dependence(predict, inputs, importance, seed=seed),
            learning=_learning(model, learned, snapshot, frame, target, scored, seed, threads),
        )
        known = keep_answer(store, place, asked, _ADAPTER.dump_python(found, mode="json"))
    return _ADAPTER.validate_python(known)


def _importance(
    model: ModelConfig,
    fit: FitRecord,
    predict: Callable[[pd.DataFrame], Array],
    inputs: pd.DataFrame,
    target: Array,
    seed: int,
) -> tuple[Importance, ...]:
    metric = None if model.task == "clustering" else model.metrics[0]
    quantile = model.evaluation.quantile
    return permutation_importance(
        predict, inputs, target, fit.columns, metric, fit.threshold, seed=seed, quantile=quantile
    )


def _of_training_rows(
    model: ModelConfig, priced: Path, learned: LearnedRows, pipeline: Pipeline, seed: int
) -> TrainScores | None:
    if model.task == "clustering":
        return None
    fit, rows = learned.fit, learned.rows
    places = drawn(len(rows), seed)
    needed = [*fit.columns, *(model.evaluation.cost.columns if model.evaluation.cost else ())]
    target, frame = rows.target[places].astype(float), learned.columns(list(dict.fromkeys(needed))).iloc[places]
    scored = with_declared_terms(model, priced, frame, target, score_rows(pipeline, fit, frame), fit.classes)
    log.info("Measuring the challenger on %s of %s rows that it learned from", f"{len(places):,}", f"{len(rows):,}")
    return train_scores(target, scored, model.metrics, of=len(rows), resamples=model.evaluation.resamples, seed=seed)


def _behaviours(
    model: ModelConfig, learned: LearnedRows, pipeline: Pipeline, judged: Judged, scored: Scored, seed: int
) -> tuple[Behaved, ...]:
    if judged.raw is None:
        return ()
    fit, wanted = learned.fit, list(map(str, judged.frame))
    asked = Asked(
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
    learned: LearnedRows,
    snapshot: Snapshot,
    frame: pd.DataFrame,
    target: Array,
    scored: Scored,
    seed: int,
    threads: int,
) -> tuple[LearningPoint, ...]:
    shares = model.evaluation.learning_curve
    if not shares:
        return ()
    units, _ = units_of(model, frame, snapshot)
    resampling = draw(units, resamples=model.evaluation.resamples, seed=seed)
    return learning_curve(
        shares, learned, frame, target, scored, model.metrics[0], resampling, seed=seed, threads=threads
    )


_ADAPTER = TypeAdapter(Alone)
