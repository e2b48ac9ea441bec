"""Intervals and bars on a scale that a whole table shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.evaluation.report.scales import Scale, Tick

WIDTH = 240.0


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval on a scale that a whole table shares."""

    low: float
    at: float
    high: float
    style: str


@dataclass(frozen=True)
class Forest:
    """The shared scale of a table of intervals, each drawn in a box of `WIDTH` by 20."""

    scale: Scale
    zero: float
    ticks: tuple[Tick, ...]

    @classmethod
    def of(cls, intervals: Sequence[tuple[float, float, float]]) -> Forest:
        """Choose a scale for (low, estimate, high) that shows zero and every estimate; a very wide interval is cut."""
        widest = sorted(max(abs(low), abs(high)) for low, _, high in intervals) or [1.0]
        farthest = max((abs(estimate) for _, estimate, _ in intervals), default=0.0)
        reach = max(1.2 * farthest, min(widest[-1], 2 * widest[len(widest) // 2])) or 1e-3
        low = max(-reach, min([0.0, *(interval[0] for interval in intervals)]))
        high = min(reach, max([0.0, *(interval[2] for interval in intervals)]))
        if low == high:  # nothing but zeros
            low, high = -reach, reach
        scale = Scale(low - 0.05 * reach, high + 0.05 * reach, 6, WIDTH - 6)
        # A label that reaches beyond the box would run into the column beside it.
        ticks = (tick for tick in scale.ticks(4) if abs(tick.at - WIDTH / 2) + 3.3 * len(tick.label) <= WIDTH / 2 + 6)
        return cls(scale, scale(0), tuple(ticks))

    def interval(self, low: float, estimate: float, high: float) -> Interval:
        """Place one interval, with a class for whether it excludes zero, and on which side."""
        style = "better" if low > 0 else "worse" if high < 0 else "unclear"
        return Interval(self.scale(low), self.scale(estimate), self.scale(high), style)


@dataclass(frozen=True)
class Bar:
    """One bar of a horizontal bar chart in a box of `WIDTH` by 20, with its spread."""

    start: float
    width: float
    low: float
    high: float


def bars(values: Sequence[tuple[float, float]]) -> tuple[Bar, ...]:
    """Place (value, spread) pairs on one scale that starts at zero, or below if a value does."""
    top = max([value + spread for value, spread in values] or [1.0])
    bottom = min([0.0, *(value - spread for value, spread in values)])
    scale = Scale(bottom, max(top, 1e-9), 4, WIDTH - 4)
    return tuple(
        Bar(
            min(scale(0), scale(value)),
            round(abs(scale(value) - scale(0)), 2),
            scale(value - spread),
            scale(value + spread),
        )
        for value, spread in values
    )
