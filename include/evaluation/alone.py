"""What is measured of the challenger alone, whatever it is compared with: once for a fit and a holdout, on record for good."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.pipeline import Pipeline

from include.config.model import ModelConfig
from include.data.frames import derive_columns
from include.data.snapshots import Snapshot
from include.evaluation.behaviour import Asked, behaviours_of
from include.evaluation.comparison import Scored
from include.evaluation.contenders import score_rows
from include.evaluation.declared_terms import code_of_costs, with_declared_terms
from include.evaluation.evidence import Behaved, Importance, TrainScores
from include.evaluation.importance import permutation_importance
from include.evaluation.judged_rows import Judged
from include.evaluation.overfitting import drawn, train_scores
from include.storage.content import digest_json, get_json, settle_json
from include.storage.store import ObjectStore
from include.training.learned_rows import LearnedRows
from include.training.model_file import predict_scores
from include.training.record import FitRecord

log = logging.getLogger(__name__)

Array = NDArray[Any]

EDITION = 1
"""Part of what the answers are found by: raise it when the same challenger is to be measured differently."""


@dataclass(frozen=True)
class Alone:
    """What evidence says of the challenger alone, under the names that `Evidence` has for it."""

    importance: tuple[Importance, ...]
    train: TrainScores | None
    behaviours: tuple[Behaved, ...]


def measure_alone(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    learned: LearnedRows,
    pipeline: Pipeline,
    snapshot: Snapshot,
    judged: Judged,
    target: Array,
    scored: Scored,
) -> Alone:
    """Measure what needs no other model, or find what was measured when it met another incumbent.

    Parameters
    ----------
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
    """
    question = {
        "edition": EDITION,
        "fit": learned.fit.key,
        "model_file": learned.fit.model_file,
        "snapshot": snapshot.digest,
        "metrics": list(model.metrics),
        "evaluation": model.evaluation.model_dump(mode="json"),
        "cost": code_of_costs(model, folder),
    }
    place = f"{model.name}/alone/{digest_json(question)}.json"
    if not store.exists(place):
        seed = int(digest_json(question)[:12], 16)
        found = Alone(
            importance=_importance(model, learned, pipeline, judged.frame, target, seed),
            train=_of_training_rows(model, folder, learned, pipeline, seed),
            behaviours=_behaviours(model, folder, learned.fit, pipeline, judged, scored, seed),
        )
        settle_json(store, place, _ADAPTER.dump_python(found, mode="json"))
    return _ADAPTER.validate_python(get_json(store, place))


def _importance(
    model: ModelConfig, learned: LearnedRows, pipeline: Pipeline, frame: pd.DataFrame, target: Array, seed: int
) -> tuple[Importance, ...]:
    if model.task == "clustering":
        return ()
    fit = learned.fit
    return permutation_importance(
        lambda rows: predict_scores(pipeline, rows),
        frame[list(fit.columns)],
        target,
        fit.columns,
        model.metrics[0],
        fit.threshold,
        seed=seed,
        quantile=model.evaluation.quantile,
    )


def _of_training_rows(
    model: ModelConfig, folder: Path, learned: LearnedRows, pipeline: Pipeline, seed: int
) -> TrainScores | None:
    if model.task == "clustering":
        return None
    fit, rows = learned.fit, learned.rows
    places = drawn(len(rows), seed)
    target, frame = rows.target[places].astype(float), learned.whole.iloc[places]
    scored = with_declared_terms(model, folder, frame, target, score_rows(pipeline, fit, frame), fit.classes)
    log.info("Measuring the challenger on %s of %s rows that it learned from", f"{len(places):,}", f"{len(rows):,}")
    return train_scores(target, scored, model.metrics, of=len(rows), resamples=model.evaluation.resamples, seed=seed)


def _behaviours(
    model: ModelConfig,
    folder: Path,
    fit: FitRecord,
    pipeline: Pipeline,
    judged: Judged,
    scored: Scored,
    seed: int,
) -> tuple[Behaved, ...]:
    if judged.raw is None:
        return ()
    asked = Asked(
        judged.raw,
        judged.frame,
        scored,
        partial(derive_columns, model=model, folder=folder),
        partial(score_rows, pipeline, fit),
        fit.classes,
        model.task == "clustering",
    )
    return behaviours_of(model.evaluation.behaviour, asked, seed=seed)


_ADAPTER = TypeAdapter(Alone)
