"""Scales of small drawings, with round values as ticks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


def path_through(points: Iterable[tuple[float, float]]) -> str:
    """Return the SVG path through points; empty without any."""
    places = " L".join(f"{x},{y}" for x, y in points)
    return places and f"M{places}"


_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
"""Larger numbers are written by these, since their labels would not fit side by side."""


@dataclass(frozen=True)
class Scale:
    """Where values between ``low`` and ``high`` are drawn between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value is drawn; one outside the range is drawn at the edge."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 2)

    def ticks(self, count: int = 5) -> tuple[Tick, ...]:
        """Return round values inside the range, about ``count`` of them."""
        rough = (self.high - self.low) / count or 1.0
        power = 10.0 ** floor(log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        largest = max(abs(self.low), abs(self.high))
        unit, letter = next(((size, of) for size, of in _UNITS if largest >= size), (1.0, ""))
        digits = max(0, -floor(log10(step / unit) + 1e-9))
        first = -floor(-self.low / step + 1e-9)
        values = [(first + i) * step for i in range(count * 2 + 2)]
        return tuple(
            Tick(self(v), f"{v / unit + 0.0:,.{digits}f}{letter if v else ''}")
            for v in values
            if v <= self.high + step * 1e-6
        )
