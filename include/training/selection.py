"""Which candidate becomes the challenger."""

from __future__ import annotations

from collections.abc import Iterable

from include.config.names import METRICS
from include.errors import TrainingError
from include.training.record import FitRecord


def select(records: Iterable[FitRecord]) -> FitRecord:
    """Return the fit with the best cross-validated score on the primary metric; of equals the first.

    Raises
    ------
    TrainingError
        When there is none, or they were not compared on one metric and one snapshot.
    """
    return select_best(records, 1)[0]


def select_best(records: Iterable[FitRecord], count: int | None) -> list[FitRecord]:
    """Return so many of the fits, or all of them, the best first; of equals the first in order.

    Raises
    ------
    TrainingError
        As `select`.
    """
    compared = [(record, record.cv) for record in records if record.cv is not None]
    if not compared:
        raise TrainingError("no candidate was fitted", remedy="look at the training tasks' logs")
    if len({(record.snapshot, cv.metric) for record, cv in compared}) > 1:
        raise TrainingError("candidates of different snapshots or metrics can't be compared")
    greater = METRICS[compared[0][1].metric].greater_is_better
    ordered = sorted(compared, key=lambda pair: -pair[1].mean if greater else pair[1].mean)
    return [record for record, _ in ordered][:count]
