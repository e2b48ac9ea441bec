"""Run the tripwires of one training once, and store their results."""

from __future__ import annotations

import importlib
import logging
from dataclasses import asdict

import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.leakage.inputs import LeakageInputs
from include.leakage.tripwire import QUESTIONS, Tripwire
from include.storage.answers import find_answer, keep_answer
from include.storage.store import ObjectStore
from include.training.fit_inputs import FitInputs

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
            inputs = LeakageInputs(model, learned, pipeline, judged, threads)
            # First who reads and derives all rows part by part, which keeps what the others look at.
            asked = {name: _ask(name, inputs) for name in sorted(QUESTIONS, key="later_rows".__ne__)}
        known = keep_answer(store, place, question, [asdict(asked[name]) for name in QUESTIONS])
    found = tuple(Tripwire(**tripwire) for tripwire in known)
    for tripwire in found:
        level = logging.INFO if tripwire.state in ("clear", "not_asked") else logging.ERROR
        log.log(level, "tripwire %s: %s: %s", tripwire.name, tripwire.state.replace("_", " "), tripwire.reason)
    return found


def _ask(name: str, inputs: LeakageInputs) -> Tripwire:
    answer: Tripwire = importlib.import_module(f"include.leakage.{name}").ask(inputs)
    return answer
