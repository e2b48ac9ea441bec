"""Small plots as geometry; the templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

Point = tuple[float, ...]

LEFT, TOP, RIGHT, BOTTOM = 46.0, 12.0, 348.0, 248.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Series:
    """One model's line, with optional error bars (x, top, bottom) and dots (x, y, description)."""

    style: str
    label: str
    path: str
    bars: tuple[tuple[float, float, float], ...] = ()
    dots: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True)
class Plot:
    """A square plot with two axes, drawn in a box of 360 by 290."""

    id: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    reference: tuple[float, float, float, float] | None = None
    """A line that a model is compared with: x1, y1, x2, y2."""
    columns: tuple[tuple[float, float, float, float], ...] = ()
    """Bars of a histogram: x, y, width, height."""


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


def lines(
    id: str,
    title: str,
    description: str,
    axes: tuple[str, str],
    curves: Iterable[tuple[str, str, Sequence[Point]]],
    *,
    diagonal: bool = False,
    level: float | None = None,
) -> Plot:
    """Draw curves in the unit square; each is (style, label, points).

    Parameters
    ----------
    id : str
        Id of the drawing in the page.
    title, description : str
        Title, and a description for readers who don't see the drawing.
    axes : (str, str)
        Labels of the x axis and the y axis.
    curves : iterable of (str, str, points)
        Style, label and (x, y) points of each curve, all between 0 and 1.
    diagonal : bool
        Whether to draw the line from (0, 0) to (1, 1).
    level : float, optional
        Height of a horizontal reference line, in place of the diagonal.
    """
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    series = tuple(Series(style, label, _path(points, x, y)) for style, label, points in curves)
    reference = (x(0), y(0), x(1), y(1)) if diagonal else None
    if level is not None:
        reference = (x(0), y(level), x(1), y(level))
    return Plot(id, title, description, *axes, x.ticks(), y.ticks(), series, reference)


def calibration(
    id: str, title: str, description: str, axes: tuple[str, str], models: Sequence[tuple[str, str, Sequence[Point]]]
) -> Plot:
    """Draw observed against predicted with error bars; each model's points are (predicted, observed, low, high, rows).

    Parameters
    ----------
    id : str
        Id of the drawing in the page.
    title, description : str
        Title, and a description for readers who don't see the drawing.
    axes : (str, str)
        Labels of the x axis and the y axis.
    models : sequence of (str, str, points)
        Style, label and points of each model.
    """
    points = [point for _, _, of_model in models for point in of_model]
    low = min(min(p[0], p[2]) for p in points)
    high = max(max(p[0], p[3]) for p in points)
    low = 0.0 if 0 <= low < 0.5 * high else low
    x, y = Scale(low, high, LEFT, RIGHT), Scale(low, high, BOTTOM, TOP)
    series = tuple(
        Series(
            style,
            label,
            _path([(p[0], p[1]) for p in of_model], x, y),
            tuple((x(p[0]), y(p[3]), y(p[2])) for p in of_model),
            tuple(
                (x(p[0]), y(p[1]), f"{label}: predicted {p[0]:.3g}, observed {p[1]:.3g}, {int(p[4]):,} rows")
                for p in of_model
            ),
        )
        for style, label, of_model in models
    )
    return Plot(id, title, description, *axes, x.ticks(), y.ticks(), series, (x(low), y(low), x(high), y(high)))


def histogram(
    id: str, title: str, description: str, axes: tuple[str, str], bins: Sequence[tuple[float, float, int]]
) -> Plot:
    """Draw counts between edges.

    Parameters
    ----------
    id : str
        Id of the drawing in the page.
    title, description : str
        Title, and a description for readers who don't see the drawing.
    axes : (str, str)
        Labels of the x axis and the y axis.
    bins : sequence of (float, float, int)
        Lower edge, upper edge and count of each bin, ascending.
    """
    x = Scale(bins[0][0], bins[-1][1], LEFT, RIGHT)
    y = Scale(0, max(count for _, _, count in bins), BOTTOM, TOP)
    columns = tuple((x(a), y(n), round(max(0.5, x(b) - x(a) - 1), 2), round(BOTTOM - y(n), 2)) for a, b, n in bins)
    zero = (x(0), TOP, x(0), BOTTOM) if bins[0][0] < 0 < bins[-1][1] else None
    return Plot(id, title, description, *axes, x.ticks(), y.ticks(), (), zero, columns)


def course(
    id: str,
    title: str,
    description: str,
    axes: tuple[str, str],
    points: Sequence[tuple[float, float, float, float, str]],
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> Plot:
    """Draw the challenger over numbers of any size; each point is (x, y, low, high, what it says).

    Parameters
    ----------
    id : str
        Id of the drawing in the page.
    title, description : str
        Title, and a description for readers who don't see the drawing.
    axes : (str, str)
        Labels of the x axis and the y axis.
    points : sequence of (float, float, float, float, str)
        See above; an error bar is drawn where low is below high.
    x_range, y_range : (float, float)
        Least and greatest number of each axis.
    """
    x, y = Scale(*x_range, LEFT, RIGHT), Scale(*padded(*y_range), BOTTOM, TOP)
    bars = tuple((x(p[0]), y(p[3]), y(p[2])) for p in points if p[2] < p[3])
    dots = tuple((x(p[0]), y(p[1]), p[4]) for p in points)
    line = Series("challenger", title, _path([(p[0], p[1]) for p in points], x, y), bars, dots)
    return Plot(id, title, description, *axes, x.ticks(4), y.ticks(), (line,))


def padded(low: float, high: float) -> tuple[float, float]:
    """Return a range with some air around it; one of no width gets some."""
    air = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    return low - air, high + air


def _path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    return "M" + " L".join(f"{x(p[0])},{y(p[1])}" for p in points) if points else ""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval on a scale that a whole table shares."""

    low: float
    at: float
    high: float
    style: str


WIDTH = 240.0


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
        """Place one interval; it is told apart whether it excludes zero, and on which side."""
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


@dataclass(frozen=True)
class Window:
    """A stretch of time on a timeline."""

    row: int
    style: str
    label: str
    start: float
    width: float


@dataclass(frozen=True)
class Timeline:
    """Windows over time in a box of 720 by ``height``."""

    windows: tuple[Window, ...]
    ticks: tuple[Tick, ...]
    height: float


def timeline(rows: Sequence[tuple[str, str, str, str]]) -> Timeline:
    """Place windows, each (style, label, after, until) with ISO 8601 instants, on rows of their own."""
    spans = [(datetime.fromisoformat(after), datetime.fromisoformat(until)) for _, _, after, until in rows]
    scale = Scale(min(a for a, _ in spans).timestamp(), max(b for _, b in spans).timestamp(), 130, 684)
    windows = tuple(
        Window(
            number,
            style,
            label,
            scale(after.timestamp()),
            round(max(2.0, scale(until.timestamp()) - scale(after.timestamp())), 2),
        )
        for number, ((style, label, _, _), (after, until)) in enumerate(zip(rows, spans, strict=True))
    )
    edges = sorted({instant for span in spans for instant in span})
    ticks: list[Tick] = []
    for instant in edges:
        at = scale(instant.timestamp())
        if not ticks or at - ticks[-1].at > 70:
            ticks.append(Tick(at, f"{instant.day} {instant:%b %Y}"))
    return Timeline(windows, tuple(ticks), 26.0 * len(rows) + 28)
