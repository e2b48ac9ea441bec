"""Pictures of a model's history as geometry; the page's templates draw them as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.evaluation.plots import Scale, Tick
from include.registry.history import Chapter, Fate, History, reigns

WIDTH, LEFT, RIGHT = 960.0, 88.0, 944.0
LANE = 30.0
TREND_TOP, TREND_BOTTOM = 14.0, 214.0
MANY = 150
"""From this many versions on, marks are drawn smaller and intervals as one band."""

LANES = (Fate.PROMOTED, Fate.HELD, Fate.REJECTED, Fate.INCOMPARABLE, Fate.WITHDRAWN, Fate.UNDECIDED)


@dataclass(frozen=True)
class Mark:
    """One version at its place."""

    chapter: Chapter
    x: float
    y: float
    top: float | None = None
    bottom: float | None = None


@dataclass(frozen=True)
class Reign:
    """A stretch of as-of time with one champion."""

    chapter: Chapter
    x: float
    width: float
    label: str
    """Empty where there is no room for one."""


@dataclass(frozen=True)
class HistoryChart:
    """The champions, and under them every version in the lane of its fate, over as-of time."""

    reigns: tuple[Reign, ...]
    lanes: tuple[tuple[str, float], ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    height: float
    many: bool


@dataclass(frozen=True)
class TrendChart:
    """The primary metric of every version with its interval, over as-of time; the champions' joined by a line."""

    metric: str
    marks: tuple[Mark, ...]
    line: str
    band: str
    """The intervals as one area; empty when they are drawn one by one."""
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    many: bool


def history_chart(of: History) -> HistoryChart | None:
    """Draw who was in force when; None without a version."""
    if not of.chapters:
        return None
    x, ticks = _time(of)
    used = [fate for fate in LANES if any(chapter.fate is fate for chapter in of.chapters)]
    lanes = {fate: 40 + LANE * (row + 0.5) for row, fate in enumerate(used)}
    bands = []
    for chapter, begin, until in reigns(of):
        start, end = x(begin.timestamp()), RIGHT if until is None else x(until.timestamp())
        room = (end - start) / 6.6
        words = (f"{begin:%-d %b %Y}", f"{begin:%b %Y}", f"{begin:%b}")
        bands.append(
            Reign(
                chapter, start, round(max(1.0, end - start - 2), 2), next((w for w in words if len(w) + 1 < room), "")
            )
        )
    marks = tuple(Mark(chapter, x(chapter.as_of.timestamp()), lanes[chapter.fate]) for chapter in of.chapters)
    return HistoryChart(
        tuple(bands),
        tuple((fate.capitalize(), y) for fate, y in lanes.items()),
        marks,
        ticks,
        40 + LANE * len(used) + 28,
        len(marks) > MANY,
    )


def trend_chart(of: History) -> TrendChart | None:
    """Draw how good the versions are, each on its own holdout; None unless one was measured.

    Only versions that were decided by the same metric as the newest decided one are drawn.
    """
    metric = next((chapter.metric for chapter in reversed(of.chapters) if chapter.metric), None)
    measured = [chapter for chapter in of.chapters if chapter.metric == metric and chapter.score[0] is not None]
    if metric is None or not measured:
        return None
    x, ticks = _time(of)
    ends = [value for chapter in measured for value in chapter.score if value is not None]
    margin = 0.08 * (max(ends) - min(ends)) or abs(max(ends)) * 0.05 or 1.0
    y = Scale(min(ends) - margin, max(ends) + margin, TREND_BOTTOM, TREND_TOP)
    many = len(measured) > MANY
    marks = []
    for chapter in measured:
        value, low, high = chapter.score
        assert value is not None  # noqa: S101 (chosen above)
        marks.append(
            Mark(
                chapter,
                x(chapter.as_of.timestamp()),
                y(value),
                None if high is None else y(high),
                None if low is None else y(low),
            )
        )
    bounded = [mark for mark in marks if mark.top is not None]
    above = [f"{mark.x},{mark.top}" for mark in bounded]
    below = [f"{mark.x},{mark.bottom}" for mark in reversed(bounded)]
    promoted = [f"{mark.x},{mark.y}" for mark in marks if mark.chapter.standing.in_line]
    return TrendChart(
        metric,
        tuple(marks),
        "M" + " L".join(promoted) if len(promoted) > 1 else "",
        "M" + " L".join([*above, *below]) + "Z" if many and bounded else "",
        ticks,
        y.ticks(5),
        many,
    )


def sparkline(of: History, *, newest: int = 24) -> str:
    """Return the path of the newest scores of one metric in a box of 96 by 24; empty with fewer than two."""
    metric = next((chapter.metric for chapter in reversed(of.chapters) if chapter.metric), None)
    scores = [chapter.score[0] for chapter in of.chapters[-newest:] if chapter.metric == metric]
    values = [score for score in scores if score is not None]
    if len(values) < 2:
        return ""
    x, y = Scale(0, len(values) - 1, 2, 94), Scale(min(values), max(values), 21, 3)
    return "M" + " L".join(f"{x(number)},{y(value)}" for number, value in enumerate(values))


def _time(of: History) -> tuple[Scale, tuple[Tick, ...]]:
    first, last = of.chapters[0].as_of, of.chapters[-1].as_of
    # Room after the newest version, so that the champion's own stretch is seen.
    margin = (last - first) * 0.06 or timedelta(days=15)
    scale = Scale((first - margin / 2).timestamp(), (last + margin).timestamp(), LEFT, RIGHT)
    return scale, tuple(_dates(scale, first, last))


def _dates(scale: Scale, first: datetime, last: datetime) -> list[Tick]:
    """Return round dates, at most ten: months, or days when all lies within a few weeks."""
    days = (last - first).days
    ticks = []
    if days < 60:
        step = max(1, -(-days // 8))
        day = first.replace(hour=0, minute=0, second=0, microsecond=0)
        while day <= last:
            if day >= first:
                ticks.append(Tick(scale(day.timestamp()), f"{day:%-d %b}"))
            day += timedelta(days=step)
        return ticks or [Tick(scale(first.timestamp()), f"{first:%-d %b %Y}")]
    step = next(months for months in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if days / 30 / months <= 10)
    month = first.year * 12 + first.month - 1
    month += -month % step
    while (date := datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)) <= last:
        if date >= first:
            label = f"{date:%Y}" if step >= 12 else f"{date:%b %Y}" if date.month == 1 or not ticks else f"{date:%b}"
            ticks.append(Tick(scale(date.timestamp()), label))
        month += step
    return ticks
