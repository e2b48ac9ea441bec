"""Check evidence of release 0.1 against predictions by the code that the models were fitted with.

That release gave every model the columns that the folder's code made on the day of the measurement, and did not say which
code that was. What its evidence keeps of the predictions is compared with predictions made again.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.evaluation.compared_models import open_model, score_rows
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Role
from include.evaluation.holdout_rows import read_holdout_rows, target_of
from include.evaluation.metrics.curves import curves_of
from include.evaluation.scored_rows import Scored, of_classes
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.provenance import Provenance

Array = NDArray[Any]

TOLERANCE = 1e-4
"""How far mean predictions of the same rows may be apart, of probabilities as it is, of values as a share of the largest."""


def measured_otherwise(
    store: ObjectStore, model: ModelConfig, folder: Path, evidence: Evidence, fits: dict[Role, FitRecord]
) -> list[Role]:
    """Return the models whose recorded predictions differ from the present ones; none if their inputs need no code.

    Parameters
    ----------
    model : ModelConfig
        The declaration that the evidence was judged by.
    folder : Path
        The model's folder.
    fits : dict of role to FitRecord
        The models that were measured, the challenger first.

    Raises
    ------
    RatchetError
        When it can't be told, since rows, code or a model file are damaged or missing.
    """
    snapshot = Snapshot.load(store, model.name, evidence.snapshot)
    with ExitStack() as until_the_end:
        origins = {role: until_the_end.enter_context(Provenance(store, fit, folder)) for role, fit in fits.items()}
        if not any(origin.derives for origin in origins.values()):
            return []
        judged = read_holdout_rows(store, model, snapshot, origins)
        if len(judged.frame) != evidence.holdout.rows:
            return list(fits)
        target, said = target_of(judged.frame, model, judged.classes), {}
        for role, inputs in judged.inputs.items():
            scored = score_rows(open_model(store, fits[role]), fits[role], inputs)
            said[role] = of_classes(scored, fits[role].classes, judged.classes)
        code = fits["challenger"].code
        return [
            role
            for role, fit in fits.items()
            # Of a model whose predictions left no trace, its code tells: it had the same columns as the challenger.
            if not (_agrees(evidence, role, said[role], target) if _traced(evidence, role) else fit.code == code)
        ]


def _traced(evidence: Evidence, role: Role) -> bool:
    return role in evidence.curves or (role == "challenger" and bool(evidence.clusters))


def _agrees(evidence: Evidence, role: Role, scored: Scored, target: Array) -> bool:
    if evidence.task == "clustering":
        numbers, counts = np.unique(scored.score.astype(np.int64), return_counts=True)
        now = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        return all(now.get(one.number) == one.rows for one in evidence.clusters if one.number is not None)
    then, again = evidence.curves[role].calibration, curves_of(evidence.task, target, scored).calibration
    largest = max(1.0, *(abs(point[0]) for point in then))
    return len(then) == len(again) and bool(
        np.allclose(np.array(then)[:, 0], np.array(again)[:, 0], rtol=0, atol=TOLERANCE * largest)
    )
