"""Charts of a champion's monitoring as coordinates; the page's templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.evaluation.gains import Measured
from include.evaluation.report.scales import Scale, Tick, path_through
from include.monitoring.report.watch_report import WatchReport
from include.monitoring.report.watched_intervals import WatchedInterval
from include.registry.history.charts import LEFT, RIGHT, TREND_BOTTOM, TREND_TOP

ROW, COLUMNS = 22.0, 20
"""The height of a column's row in the heat map, and how many columns are drawn, those first that matter most."""
_NAMES = 190.0


@dataclass(frozen=True)
class Point:
    """What an interval's metric was or was estimated to be, at its place."""

    interval: WatchedInterval
    measured: Measured
    x: float
    y: float
    top: float | None
    bottom: float | None


@dataclass(frozen=True)
class PerformanceChart:
    """The primary metric by interval: estimated before labels, measured after them, and what the holdout promised."""

    metric: str
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    estimated: tuple[Point, ...]
    measured: tuple[Point, ...]
    line: str
    """The path through the estimates."""
    band: str
    """The path around their intervals."""
    promised: float | None
    alarms: tuple[float, ...]
    """Where alarms about performance were raised."""


def performance_chart(report: WatchReport) -> PerformanceChart | None:
    """Return the picture of the intervals shown; None if nothing was estimated or measured."""
    shown = report.intervals
    both = [one for each in shown for one in (each.estimated, each.measured) if one is not None]
    values = [edge for one in both for edge in (one.low, one.value, one.high) if edge is not None]
    if not values:
        return None
    promise = report.kept.promised.mean if report.kept is not None else None
    values += [] if promise is None else [promise]
    across, up = _time(shown, LEFT, RIGHT), Scale(min(values), max(values), TREND_BOTTOM, TREND_TOP)

    def point(one: WatchedInterval, measured: Measured | None) -> Point | None:
        if measured is None or measured.value is None:
            return None
        ends = [None if edge is None else up(edge) for edge in (measured.high, measured.low)]
        return Point(one, measured, _place(across, one), up(measured.value), *ends)

    estimated = [found for one in shown if (found := point(one, one.estimated)) is not None]
    whole = [one for one in estimated if one.top is not None and one.bottom is not None]
    edge = [(one.x, one.top) for one in whole if one.top is not None]
    edge += [(one.x, one.bottom) for one in reversed(whole) if one.bottom is not None]
    raised = {one.until for one in report.alarms if one.kind == "performance"}
    return PerformanceChart(
        report.model.gate.primary.metric,
        _dates(shown, across),
        up.ticks(),
        tuple(estimated),
        tuple(found for one in shown if (found := point(one, one.measured)) is not None),
        path_through((one.x, one.y) for one in estimated),
        f"{path_through(edge)}Z" if len(whole) > 1 else "",
        None if promise is None else up(promise),
        tuple(_place(across, one) for one in shown if one.until in raised),
    )


@dataclass(frozen=True)
class Cell:
    """One column in one interval; ``strength`` is how far it moved, as a share of twice what matters."""

    interval: WatchedInterval
    x: float
    strength: float
    moved: float
    beyond: bool
    broken: str


@dataclass(frozen=True)
class HeatMap:
    """Columns by intervals."""

    height: float
    width: float
    """Of a cell."""
    rows: tuple[tuple[str, float, tuple[Cell, ...]], ...]
    ticks: tuple[Tick, ...]


def heat_map(report: WatchReport) -> HeatMap:
    """Return the picture of how far each column was from the reference in each interval."""
    shown = report.intervals
    width = (RIGHT - _NAMES) / max(len(shown), 1)
    rows = []
    for number, moved in enumerate(report.moved[:COLUMNS]):
        cells = []
        for place, one in enumerate(shown):
            effect = one.effects.get(moved.column)
            broken = ", ".join(
                fault.kind.replace("_", " ")
                for fault in one.faults
                if not fault.columns or moved.column in fault.columns
            )
            if effect is None and not broken:
                continue
            size, level = one.moved.get(moved.column, 0.0), report.model.watch.levels.total_variation
            strength = min(1.0, size / (2 * level))
            cells.append(Cell(one, round(_NAMES + place * width, 2), round(strength, 3), size, size >= level, broken))
        rows.append((moved.column, number * ROW + 4, tuple(cells)))
    across = _time(shown, _NAMES, RIGHT)
    return HeatMap(len(rows) * ROW + 30, round(max(width - 1, 1), 2), tuple(rows), _dates(shown, across))


def _time(shown: Sequence[WatchedInterval], start: float, end: float) -> Scale:
    return Scale(shown[0].after.timestamp(), shown[-1].until.timestamp(), start, end)


def _place(across: Scale, one: WatchedInterval) -> float:
    return across((one.after.timestamp() + one.until.timestamp()) / 2)


def _dates(shown: Sequence[WatchedInterval], across: Scale) -> tuple[Tick, ...]:
    step = max(1, -(-len(shown) // 8))
    return tuple(Tick(across(one.after.timestamp()), _date(one.after)) for one in shown[::step])


def _date(instant: datetime) -> str:
    return f"{instant.day} {instant:%b}" + ("" if instant.hour == 0 else f" {instant:%H}h")
