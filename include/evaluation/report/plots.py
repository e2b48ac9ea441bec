"""Small plots with two axes as geometry; the templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from include.evaluation.report.scales import Scale, Tick, path_through

Point = tuple[float, ...]

LEFT, TOP, RIGHT, BOTTOM = 46.0, 12.0, 348.0, 248.0


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
    series = tuple(
        Series(style, label, path_through((x(p[0]), y(p[1])) for p in points)) for style, label, points in curves
    )
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
            path_through((x(p[0]), y(p[1])) for p in of_model),
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
    line = Series("challenger", title, path_through((x(p[0]), y(p[1])) for p in points), bars, dots)
    return Plot(id, title, description, *axes, x.ticks(4), y.ticks(), (line,))


def padded(low: float, high: float) -> tuple[float, float]:
    """Return a range with some air around it; one of no width gets some."""
    air = 0.06 * (high - low) or 0.01 * abs(high) or 1.0
    return low - air, high + air
