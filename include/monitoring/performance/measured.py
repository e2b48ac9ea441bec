"""Measured performance of a champion once labels have matured: by interval and slice, and compared with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.comparison import compare
from include.evaluation.gains import Measured, SliceScores
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import draw
from include.monitoring.performance.confidence_sequences import Bounds, confidence_sequence, interval_of_mean
from include.storage.content import from_iso, to_iso
from include.training.metrics.definitions import sign

Array = NDArray[Any]

LEAST_ROWS = 30
"""The smallest number of labelled rows for a metric of an interval."""


@dataclass(frozen=True)
class Performance:
    """The champion's metrics on the labelled rows of one interval, as it predicted them then.

    ``unknown`` are the rows of each class that no training row had: among more than two classes they count as errors, of two
    they are left out.
    """

    version: str
    after: datetime
    until: datetime
    rows: int
    scores: dict[str, Measured]
    slices: tuple[SliceScores, ...] = ()
    unknown: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, without slices."""
        body = {
            "version": self.version,
            "after": to_iso(self.after),
            "until": to_iso(self.until),
            "rows": self.rows,
            "scores": {name: asdict(one) for name, one in self.scores.items()},
        }
        return {**body, "unknown": self.unknown} if self.unknown else body

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Performance:
        """Read what `to_json` wrote."""
        scores = {name: Measured(**one) for name, one in value["scores"].items()}
        instants = from_iso(value["after"]), from_iso(value["until"])
        return cls(value["version"], *instants, value["rows"], scores, unknown=value.get("unknown", {}))


def measure_performance(
    version: str,
    after: datetime,
    until: datetime,
    target: Array,
    scored: Scored,
    metrics: tuple[str, ...],
    slices: Mapping[str, SliceLevels] | None = None,
    *,
    resamples: int,
) -> Performance:
    """Return the metrics of an interval with 95 % intervals, overall and by slice, by the gate's own bootstrap.

    Parameters
    ----------
    target : array of shape (n_rows,)
        0 and 1, values, or places of classes.
    scored : Scored
        What the champion said then.
    """
    resampling = draw(np.arange(len(target)), resamples=resamples, seed=0)
    found = compare(
        target, {"challenger": scored}, metrics, slices or {}, resampling, positives=scored.said is not None
    )
    return Performance(version, after, until, len(target), found.scores["challenger"], found.slice_scores)


@dataclass(frozen=True)
class PromiseCheck:
    """Expected and measured performance, both as means over intervals; ``short`` tells that the measured one is significantly lower."""

    metric: str
    promised: Bounds
    found: Bounds
    short: bool
    since: datetime | None
    until: datetime | None


def promise_kept(promised: Sequence[float], found: Sequence[Performance], metric: str, error: float) -> PromiseCheck:
    """Compare the champion's metric over matured intervals with what it was over those of its holdout.

    Both are means over intervals of one length: a ranking metric within days is another quantity than over all rows. It falls
    short if the difference is larger than the confidence sequence of what was found and the interval of the promise allow
    together (the square root of the sum of squares of their halves; Zou and Donner 2008).

    Parameters
    ----------
    promised : sequence of float
        The metric in each interval of the holdout.
    found : sequence of Performance
        In the order of time.
    error : float
        The probability, over all looks together, that a promise which is kept is called broken.
    """
    known = _known(found, metric)
    before = interval_of_mean(list(promised), error)
    after = confidence_sequence([value for _, value in known], error)
    short = False
    if before.mean is not None and before.low is not None and after.mean is not None and after.low is not None:
        loss = sign(metric) * (before.mean - after.mean)
        short = loss > hypot(before.mean - before.low, after.mean - after.low)
    edges = (known[0][0].after, known[-1][0].until) if known else (None, None)
    return PromiseCheck(metric, before, after, short, *edges)


def _known(found: Sequence[Performance], metric: str) -> list[tuple[Performance, float]]:
    """Return the intervals with enough rows for a metric, and its values."""
    told = [one for one in found if one.rows >= LEAST_ROWS and metric in one.scores]
    return [(one, value) for one in told if (value := one.scores[metric].value) is not None]


def each_short(
    promised: Sequence[float], found: Sequence[Performance], metric: str, error: float, again: timedelta
) -> tuple[PromiseCheck, ...]:
    """Return the first look at which the champion fell short, and others at which it still does, at least ``again`` apart.

    A confidence sequence holds at all looks at once, so further looks do not raise its error rate.

    Parameters
    ----------
    promised : sequence of float
        The metric's values on the holdout.
    found : sequence of Performance
        The metric's values on intervals with labels.
    metric : str
        Name of the metric.
    error : float
        Accepted probability of a false alarm.
    again : timedelta
        Least time between two of the looks that are returned.
    """
    known = _known(sorted(found, key=lambda one: one.until), metric)
    before = interval_of_mean(list(promised), error)
    checks: list[PromiseCheck] = []
    if before.mean is None or before.low is None:
        return ()
    # What was found has an uncertainty of its own, so no look with a smaller loss can be short: most need no sequence.
    least, total = (before.mean - before.low) * (1 - 1e-9), 0.0
    for look, (one, value) in enumerate(known, 1):
        total += value
        if checks and checks[-1].until is not None and one.until < checks[-1].until + again:
            continue
        if sign(metric) * (before.mean - total / look) < least:
            continue
        kept = promise_kept(promised, [earlier for earlier, _ in known[:look]], metric, error)
        if kept.short:
            checks.append(kept)
    return tuple(checks)
