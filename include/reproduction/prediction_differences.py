"""Compare the predictions of an original version with those of the version rebuilt from its record."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import EvaluationError, ModelFileRefused, NotReproduced, ObjectCorrupt, ObjectMissing
from include.registry.versions import Version
from include.reproduction.report import Predictions
from include.scoring.golden import PREDICTED, check_golden
from include.scoring.predictor import Array, Predictor, open_predictor
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord

log = logging.getLogger(__name__)


def compare_predictions(
    store: ObjectStore,
    scratch: ObjectStore,
    config: ModelConfig,
    code: Path,
    snapshot: Snapshot,
    original: Version,
    rebuilt: Version,
    *,
    golden: list[pa.Table],
    tolerance: float,
) -> Predictions:
    """Compare predictions on the holdout, or on golden rows where the original's model file can't be used here.

    Parameters
    ----------
    scratch : ObjectStore
        The store that holds the rebuilt version, over ``store``.
    config : ModelConfig
        The declaration that both versions were trained by.
    code : Path
        The folder of the model's Python files on record.
    snapshot : Snapshot
        The snapshot that both versions were trained on.
    golden : list of Table
        The golden rows of the original, with its predictions.
    tolerance : float
        How far predictions may be apart: of probabilities as it is, of values times the standard deviation of the target.

    Raises
    ------
    NotReproduced
        When the original's model file can't be used and it has no golden rows, or predictions have another shape.
    """
    target = config.data.target
    if config.task == "regression" and target is not None:
        rows = read_rows(scratch, snapshot, config, code, window="holdout", columns=[target])
        tolerance *= float(np.std(rows[target].to_numpy(dtype=float)))
    with open_predictor(scratch, config, code, rebuilt) as now:
        try:
            with open_predictor(store, config, code, original) as then:
                for table in golden:
                    check_golden(then, table)
                frame = then.read(store, snapshot, then.fit.columns)
                before, after = then.predict(frame).score, now.predict(frame).score
                return difference(before, after, tolerance, "holdout")
        except (EvaluationError, ModelFileRefused, ObjectCorrupt, ObjectMissing) as error:
            log.warning("%s can't be used with the installed libraries: %s", original.id, error.message)
        if not golden:
            raise NotReproduced(
                f"{original.id} can't be compared: its model file can't be used here, and it has no stored golden rows.",
                expected="a model file that can be loaded and predicts, or golden rows",
                found="neither",
                where=f"{config.name}: {original.id}",
                remedy="rebuild it where the former libraries are installed, or retrain the model",
            )
        stored = np.concatenate([np.asarray(one[PREDICTED].to_pylist(), dtype=float) for one in golden])
        return difference(stored, np.concatenate([_predicted(now, one) for one in golden]), tolerance, "golden rows")


def _predicted(predictor: Predictor, golden: pa.Table) -> Array:
    rows = golden.drop_columns([PREDICTED]).select(list(predictor.schema))
    score = predictor.predict(predictor.inputs(rows)).score.astype(float)
    return score.reshape(len(score), -1)


def difference(then: Array, now: Array, tolerance: float, proof: str = "holdout") -> Predictions:
    """Measure how far the predictions of two models for the same rows are apart.

    Parameters
    ----------
    then, now : ndarray of shape (n_rows,) or (n_rows, n_values)
        A row of several values differs as its most different value does.
    tolerance : float
        In the unit of the predictions.
    proof : str
        The rows that they were made for.

    Returns
    -------
    Predictions
        A row without a number differs from every other.

    Raises
    ------
    NotReproduced
        If their shapes differ.
    """
    if then.shape != now.shape:
        raise NotReproduced(
            "With the installed libraries it becomes another model: its predictions have another shape.",
            expected=f"{then.shape[1:] or 'one value'} for each of {len(then):,} rows",
            found=f"{now.shape[1:] or 'one value'} for each of {len(now):,}",
            remedy="retrain the model",
        )
    apart = np.abs(then.astype(float) - now).reshape(len(then), -1).max(axis=1)
    return Predictions(len(then), float(apart.max()), int((~(apart <= tolerance)).sum()), tolerance, proof)


def decides_otherwise(then: FitRecord, now: FitRecord, tolerance: float) -> bool:
    """Tell whether labels or bounds of predictions would differ, though the predictions agree."""
    offsets = [(one.interval.offsets if one.interval is not None else ()) for one in (then, now)]
    pairs = [*zip(*offsets, strict=False)]
    if then.threshold is not None and now.threshold is not None:
        pairs.append((then.threshold, now.threshold))
    same = (then.classes, then.columns, then.threshold is None, len(offsets[0]))
    if same != (now.classes, now.columns, now.threshold is None, len(offsets[1])):
        return True
    return any(abs(one - other) > tolerance for one, other in pairs)
