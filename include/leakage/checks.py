"""The tripwires of one training: asked once, on record for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.data.row_digests import rows_digest
from include.data.snapshots import Snapshot
from include.leakage.later_rows import later_rows
from include.leakage.preparation import preparation_of_training_rows
from include.leakage.shuffled_labels import shuffled_labels
from include.leakage.single_column import single_column
from include.leakage.train_test_overlap import overlapping_rows
from include.leakage.tripwire import Tripwire
from include.storage.answers import find_answer, keep_answer
from include.storage.store import ObjectStore
from include.training.fit_inputs import FitInputs
from include.training.fit_pipeline import fit_model
from include.training.fit_record import FitRecord
from include.training.training_rows import TrainingRows

log = logging.getLogger(__name__)

CHECKS_VERSION = 1
"""Part of what the answers are found by: raise it when the same training is to be asked differently."""


def of_entities(model: ModelConfig) -> dict[str, int]:
    """Return the edition of what is said about shared entities, for a model that has some: the first missed those of a column with gaps."""
    return {"entities": 2} if model.data.entity else {}


def run_checks(
    store: ObjectStore,
    model: ModelConfig,
    learned: FitInputs,
    pipeline: Pipeline,
    snapshot: Snapshot,
    judged: pd.DataFrame,
    *,
    threads: int,
) -> tuple[Tripwire, ...]:
    """Ask every tripwire of one fit, or find what it answered before.

    The recipe, and the code behind ``features.derive``, are those that the fit was made with; which entities must not be
    shared and which columns are trusted is what the model declares now.

    Parameters
    ----------
    learned : FitInputs
        What the fit learned from; not read if the answers are found.
    pipeline : Pipeline
        The fit's model, as loaded from its file.
    snapshot : Snapshot
        Whose holdout the fit is judged on.
    judged : DataFrame
        The holdout's rows, with the columns of ``data.row_id`` and ``data.entity``.
    """
    fit = learned.fit
    question = {
        "edition": CHECKS_VERSION,
        "fit": fit.key,
        "model_file": fit.model_file,
        "snapshot": snapshot.digest,
        "row_id": list(model.data.row_id),
        "entity": model.data.entity,
        "trusted": sorted(model.evaluation.trusted),
        **of_entities(model),
    }
    place = f"{model.name}/tripwires"
    if (known := find_answer(store, place, question)) is None:
        with threadpool_limits(limits={"openmp": threads, "blas": 1}):
            asked = _asked(model, learned, pipeline, judged, threads)
        known = keep_answer(store, place, question, [asdict(wire) for wire in asked])
    found = tuple(Tripwire(**wire) for wire in known)
    for wire in found:
        level = logging.INFO if wire.state in ("clear", "not_asked") else logging.ERROR
        log.log(level, "tripwire %s: %s: %s", wire.name, wire.state.replace("_", " "), wire.reason)
    return found


def _asked(
    model: ModelConfig, learned: FitInputs, pipeline: Pipeline, judged: pd.DataFrame, threads: int
) -> list[Tripwire]:
    fit, recipe, declared, rows = learned.fit, learned.recipe, learned.declared, learned.rows
    identity = list(dict.fromkeys([*model.data.row_id, *([model.data.entity] if model.data.entity else [])]))
    return [
        overlapping_rows(learned.whole[identity], judged[identity], model.data.row_id, model.data.entity),
        *_of_target(model, fit, rows, partial(fit_model, recipe, fit.params, threads=threads)),
        later_rows(learned.raw, learned.derived, learned.origin.derive if declared.features.derive else None),
        _prepared(fit, rows.frame, declared) or preparation_of_training_rows(pipeline, recipe, rows, threads=threads),
    ]


def _of_target(
    model: ModelConfig, fit: FitRecord, rows: TrainingRows, again: Callable[[TrainingRows], Any]
) -> list[Tripwire]:
    """Ask what speaks of a target, where there is one."""
    if model.data.target is None:
        reason = "there is no target that could be given away"
        return [Tripwire(name, "not_asked", reason) for name in ("single_column", "shuffled_labels")]
    seed = int(fit.key[:8], 16)
    return [
        single_column(rows, fit.columns, trusted=model.evaluation.trusted, seed=seed),
        shuffled_labels(rows, again, seed=seed),
    ]


def _prepared(fit: FitRecord, frame: pd.DataFrame, declared: ModelConfig) -> Tripwire | None:
    """Say so if the rows are not those that the fit's record names."""
    found = rows_digest(frame, declared.data.row_id)
    if (len(frame), found) == (fit.train.rows, fit.train.rows_digest):
        return None
    return Tripwire(
        "preparation",
        "tripped",
        f"the record of the fit names {fit.train.rows:,} rows ({fit.train.rows_digest[:12]}), and the training window has "
        f"{len(frame):,} ({found[:12]})",
        "It was fitted to other rows than those of its training window. Train it again with the task `train`",
    )
