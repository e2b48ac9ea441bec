"""The models of a measurement: load each, predict with it once, and describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.data.random_split import is_random_split
from include.data.snapshots import Snapshot
from include.errors import DataError, EvaluationError, ModelFileRefused, ObjectCorrupt, ObjectMissing
from include.evaluation.evidence import Subject, Validation
from include.evaluation.gains import Role
from include.evaluation.holdout_rows import HoldoutRows, Obstacle
from include.evaluation.scored_rows import Scored, of_classes
from include.storage.content import get_content, to_iso
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.library_versions import changed_libraries, name_changes
from include.training.persistence.model_file import load, predict_scores

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Array = NDArray[Any]

_READ_AHEAD = 16 << 20
"""Bytes up to which a model file is read together with others; of larger ones memory holds one at a time."""


@dataclass(frozen=True)
class ComparedModel:
    """A version that is measured: its id and the record of its fit."""

    id: str
    fit: FitRecord


class CannotPredict(EvaluationError):  # named as the rest of the error tree
    """A model gives no usable scores for the holdout rows."""


def files_of_fit(fit: FitRecord) -> list[str]:
    """Return the keys of what is read to predict by a fit: its declaration, and its model file where that is small."""
    keys = [] if fit.config is None else [f"{fit.model}/configs/{fit.config}.json"]
    return [*keys, f"{fit.model}/models/{fit.model_file}.skops"] if fit.model_bytes <= _READ_AHEAD else keys


def open_model(store: ObjectStore, fit: FitRecord) -> Pipeline:
    """Load the model file of a fit; raises `ModelFileRefused`, `ObjectMissing`, `ObjectCorrupt`."""
    return load_model_file(store, fit.model, fit.model_file)


def load_model_file(store: ObjectStore, model: str, digest: str) -> Pipeline:
    """Load a model file by its digest; raises as `open_model` does."""
    return load(get_content(store, f"{model}/models", ".skops", digest), digest)


def _answers(
    store: ObjectStore, judged: HoldoutRows, role: Role, fit: FitRecord, pipeline: Pipeline | None = None
) -> Scored:
    """Return a model's predictions, computed now or by workers before."""
    if judged.answers is not None:
        return _scored(fit, judged.answers[role])
    return score_rows(open_model(store, fit) if pipeline is None else pipeline, fit, judged.inputs[role])


def _scored(fit: FitRecord, score: Array) -> Scored:
    return Scored(score, fit.threshold, interval=None if fit.interval is None else fit.interval.offsets)


def score_rows(pipeline: Pipeline, fit: FitRecord, frame: pd.DataFrame) -> Scored:
    """Ask a model for its scores.

    Raises
    ------
    CannotPredict
        When it can't read the rows, or answers with something else than numbers (probabilities for classification).
    """
    who = f"{fit.candidate} ({fit.key[:12]})"
    try:
        score = np.asarray(predict_scores(pipeline, frame[list(fit.columns)]), dtype=float)
    except (
        AttributeError,  # of an estimator that another release of its library wrote
        DataError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # what scikit-learn answers to rows that it can't read
        raise CannotPredict(f"{who} can't predict the holdout rows: {error}") from error
    if not np.isfinite(score).all():
        raise CannotPredict(f"{who} gives no number for {int((~np.isfinite(score)).sum()):,} of {len(score):,} rows")
    if fit.classes is not None and not ((score >= 0) & (score <= 1)).all():
        raise CannotPredict(f"{who} gives scores that are not probabilities")
    return _scored(fit, score)


def score_incumbent(
    store: ObjectStore,
    incumbent: FitRecord,
    task: str,
    classes: tuple[Any, ...] | None,
    frame: pd.DataFrame,
    score: Array | None = None,
) -> Scored:
    """Ask the incumbent for its scores of some classes; raises `CannotPredict` where something keeps it from being compared.

    Parameters
    ----------
    incumbent : FitRecord
        The record of the incumbent's fit.
    task : str
        The challenger's task; the incumbent's must be the same.
    classes : tuple or None
        The classes to score, in order; None when the task has none.
    frame : pd.DataFrame
        The incumbent's inputs, one row a holdout row.
    score : array, optional
        What it said, where workers have asked it.
    """
    if incumbent.task != task or (incumbent.classes is None) != (classes is None):
        raise CannotPredict(f"it answers another question: {incumbent.task}")
    lacking = [value for value in classes or () if value not in (incumbent.classes or ())]
    if classes is not None and len(classes) == 2 and lacking:
        raise CannotPredict(f"it answers another question: it does not know the class `{lacking[0]}`")
    try:
        pipeline = open_model(store, incumbent)
    except ModelFileRefused as error:
        changes = changed_libraries(incumbent.libraries)
        raise CannotPredict(
            f"its model file is refused: {error.message}",
            found=name_changes(changes) or None,
            remedy=f"Run reproduce_{incumbent.model} with *rebuild*: the libraries differ from those of its fit ({name_changes(changes)})"
            if changes
            else None,
        ) from error
    except (ObjectMissing, ObjectCorrupt) as error:
        raise CannotPredict(
            f"its model file is missing or damaged: {error.message}",
            remedy=f"Restore {incumbent.model}/models/{incumbent.model_file}.skops from a backup or an older version of the bucket. "
            f"If there is none, trigger rollback_{incumbent.model}: it withdraws this champion, and the version before it, or the "
            "baselines, are what the next challenger is compared with.",
        ) from error
    scored = score_rows(pipeline, incumbent, frame) if score is None else _scored(incumbent, score)
    return of_classes(scored, incumbent.classes, classes)


def score_unmitigated(store: ObjectStore, fit: FitRecord, frame: pd.DataFrame) -> Scored | None:
    """Ask the same recipe without its mitigation of unfairness; None where there is none on record."""
    if fit.unmitigated is None:
        return None
    pipeline = load_model_file(store, fit.model, fit.unmitigated.model_file)
    score = np.asarray(predict_scores(pipeline, frame[list(pipeline.feature_names_in_)]), dtype=float)
    return Scored(score, fit.unmitigated.threshold)


def score_models(
    store: ObjectStore,
    task: str,
    pipeline: Pipeline,
    judged: HoldoutRows,
    fits: Mapping[Role, FitRecord],
    incumbent: ComparedModel | None,
    snapshot: Snapshot,
) -> tuple[Scored, dict[Role, Scored], Obstacle | None]:
    """Predict the holdout rows with every model, once.

    Parameters
    ----------
    store : ObjectStore
    task : str
        The model's task.
    pipeline : Pipeline
        The challenger, as loaded from its file.
    judged : HoldoutRows
        The rows, and each model's inputs.
    fits : mapping of Role to FitRecord
        The challenger and the baselines.
    incumbent : ComparedModel or None
    snapshot : Snapshot
        Of the holdout rows.

    Returns
    -------
    Scored, dict of Role to Scored, Obstacle or None
        The challenger's predictions of its own classes, every model's of the classes that are judged, and what keeps the
        incumbent from being compared.
    """
    own = _answers(store, judged, "challenger", fits["challenger"], pipeline)
    models: dict[Role, Scored] = {"challenger": of_classes(own, fits["challenger"].classes, judged.classes)}
    for role in [role for role in fits if role != "challenger"]:
        models[role] = of_classes(_answers(store, judged, role, fits[role]), fits[role].classes, judged.classes)
    if (unmitigated := score_unmitigated(store, fits["challenger"], judged.frame)) is not None:
        models["unmitigated"] = unmitigated
    if incumbent is None:
        return own, models, judged.obstacle
    obstacle = judged.obstacle
    if seen := overlap(incumbent.fit, snapshot):
        obstacle = Obstacle(seen, "Judge at a later as-of, whose holdout the incumbent has not seen.")
    if obstacle is None:
        try:
            frame, said = judged.inputs.get("incumbent", judged.frame), (judged.answers or {}).get("incumbent")
            models["incumbent"] = score_incumbent(store, incumbent.fit, task, judged.classes, frame, said)
        except CannotPredict as error:
            obstacle = Obstacle(error.message, error.remedy or "Train the incumbent's recipe again on today's schema.")
    return own, models, obstacle


def overlap(fit: FitRecord, snapshot: Snapshot) -> str | None:
    """Return a reason if a fit has seen rows of the snapshot's holdout."""
    until, after = fit.train.until, snapshot.split.holdout.after
    if until <= after:
        return None
    if is_random_split(after):
        return "it was fitted with a smaller `data.holdout`, to rows that are in the holdout now"
    return f"it was fitted on rows until {to_iso(until)}, and the holdout begins at {to_iso(after)}"


def subject_of(fit: FitRecord) -> Subject:
    """Return what evidence keeps of a fit."""
    cv = fit.cv
    return Subject(
        fit=fit.key,
        model_file=fit.model_file,
        model_bytes=fit.model_bytes,
        candidate=fit.candidate,
        estimator=fit.estimator,
        params=fit.params,
        threshold=fit.threshold,
        train_after=to_iso(fit.train.after),
        train_until=to_iso(fit.train.until),
        train_rows=fit.train.rows,
        validation=None if cv is None else Validation(cv.metric, cv.mean, cv.std, cv.folds),
        mitigated=fit.mitigated,
        code=fit.code,
    )
