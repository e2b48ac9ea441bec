"""Reliability of estimated performance: estimates compared with the metrics that labels gave later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.evaluation.gains import Measured
from include.monitoring.performance.confidence_sequences import Bounds, confidence_sequence


@dataclass(frozen=True)
class EstimatorJudged:
    """How an estimator did where labels have come.

    ``covered`` of ``intervals`` held the truth; ``bias`` is the mean of estimate less truth with a confidence sequence.
    """

    intervals: int
    covered: int
    bias: Bounds


def judge_estimator(pairs: Sequence[tuple[Measured, Measured]]) -> EstimatorJudged:
    """Judge estimates by the truth: pairs of (estimated, measured) of one metric, in the order of time."""
    told = [
        (one.value - truth.value, one.low is not None and one.high is not None and one.low <= truth.value <= one.high)
        for one, truth in pairs
        if one.value is not None and truth.value is not None
    ]
    return EstimatorJudged(
        len(told), sum(inside for _, inside in told), confidence_sequence([off for off, _ in told], 0.05)
    )


def reservations(outside: float, judged: EstimatorJudged | None = None) -> tuple[str, ...]:
    """Return, as sentences, when an estimate is not valid.

    Parameters
    ----------
    outside : float
        The share of the interval's rows outside the champion's domain.
    judged : EstimatorJudged, optional
    """
    said = ["It can't see a change of how the target depends on the columns."]
    if outside > 0.05:
        said.append(
            f"{outside:.0%} of the rows lie outside what the champion was fitted on; of those it knows nothing."
        )
    if judged is not None and judged.intervals >= 5 and judged.covered < 0.7 * judged.intervals:
        said.append(f"Where labels have come, {judged.covered} of {judged.intervals} estimates held the truth.")
    bias = None if judged is None else judged.bias
    if bias is not None and bias.low is not None and bias.high is not None and bias.low * bias.high > 0:
        said.append(f"It was {'too high' if bias.low > 0 else 'too low'} by {abs(bias.mean or 0):.3g} on average.")
    return tuple(said)
