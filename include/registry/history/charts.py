"""Charts of a model's history as coordinates; the page's templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.evaluation.gains import Measured
from include.evaluation.report.scales import Scale, Tick, path_through
from include.registry.history.recorded_measures import compared
from include.registry.history.summary import History, VersionStatus, VersionSummary, champion_periods

WIDTH, LEFT, RIGHT = 960.0, 88.0, 944.0
LANE = 30.0
TREND_TOP, TREND_BOTTOM = 14.0, 214.0
MAX_MARKS_WITH_LABELS = 150
"""From this many versions on, marks are drawn smaller and intervals as one band."""

LETTER_WIDTH = 6.8
"""The width of a letter in the pictures' labels, about."""

LANES = (
    VersionStatus.PROMOTED,
    VersionStatus.HELD,
    VersionStatus.REJECTED,
    VersionStatus.INCOMPARABLE,
    VersionStatus.WITHDRAWN,
    VersionStatus.UNDECIDED,
)


@dataclass(frozen=True)
class Mark:
    """One version at its place."""

    summary: VersionSummary
    x: float
    y: float
    top: float | None = None
    bottom: float | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class ChampionPeriod:
    """A stretch of as-of time with one champion."""

    summary: VersionSummary
    x: float
    width: float
    label: str
    """Empty where there is no room for one."""


@dataclass(frozen=True)
class HistoryChart:
    """The champions, and under them every version in the lane of its status, over as-of time."""

    champion_periods: tuple[ChampionPeriod, ...]
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
    later: tuple[Mark, ...]
    """The champion on later holdouts, each at the version that these are of."""
    line: str
    band: str
    """The intervals as one area; empty when they are drawn one by one."""
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    many: bool


def history_chart(of: History, *, timeless: bool = False) -> HistoryChart | None:
    """Draw who was in force when; None without a version.

    Parameters
    ----------
    timeless : bool
        Of a table without event time: one step a version, in their order, since a table can be read twice in a minute.
    """
    if not of.versions:
        return None
    place, ticks = _places(of, timeless=timeless)
    used = [status for status in LANES if any(summary.status is status for summary in of.versions)]
    lanes = {status: 40 + LANE * (row + 0.5) for row, status in enumerate(used)}
    bands = []
    for summary, following in champion_periods(of, timeless=timeless):
        start, end = place[summary.id], place[following.id] if following is not None else RIGHT
        words = (f"{summary.since:%-d %b %Y}", f"{summary.since:%b %Y}", f"{summary.since:%b}")
        label = next((word for word in words if len(word) * LETTER_WIDTH + 14 < end - start), "")
        bands.append(ChampionPeriod(summary, start, round(max(1.0, end - start - 2), 2), label))
    marks = tuple(Mark(summary, place[summary.id], lanes[summary.status]) for summary in of.versions)
    return HistoryChart(
        tuple(bands),
        tuple((status.capitalize(), y) for status, y in lanes.items()),
        marks,
        ticks,
        40 + LANE * len(used) + 28,
        len(marks) > MAX_MARKS_WITH_LABELS,
    )


def trend_chart(
    of: History,
    metric: str,
    measured: Mapping[str, Measured],
    since: Sequence[tuple[VersionSummary, Measured]] = (),
    *,
    timeless: bool = False,
) -> TrendChart | None:
    """Draw how good the versions are, each on its own holdout; None unless one was measured.

    Parameters
    ----------
    metric : str
    measured : mapping of str to Measured
        That metric of versions, by id; others are left out.
    since : sequence of (VersionSummary, Measured)
        The champion's own, on the holdouts of versions after it.
    timeless : bool
        As in `history_chart`.
    """
    found = [(summary, measured[summary.id]) for summary in of.versions if summary.id in measured]
    known = [(summary, one) for summary, one in found if one.value is not None]
    if not known:
        return None
    place, ticks = _places(of, timeless=timeless)
    ends = [end for _, one in (*known, *since) for end in (one.value, one.low, one.high) if end is not None]
    margin = 0.08 * (max(ends) - min(ends)) or abs(max(ends)) * 0.05 or 1.0
    y = Scale(min(ends) - margin, max(ends) + margin, TREND_BOTTOM, TREND_TOP)

    def mark(summary: VersionSummary, one: Measured) -> Mark:
        top, bottom = (None if end is None else y(end) for end in (one.high, one.low))
        return Mark(summary, place[summary.id], y(one.value or 0.0), top, bottom, one)

    many = len(known) > MAX_MARKS_WITH_LABELS
    marks = tuple(mark(*one) for one in known)
    above = [(one.x, one.top) for one in marks if one.top is not None]
    below = [(one.x, one.bottom) for one in reversed(marks) if one.bottom is not None]
    promoted = [(one.x, one.y) for one in marks if one.summary.standing.in_line]
    return TrendChart(
        metric,
        marks,
        tuple(mark(*one) for one in since),
        path_through(promoted) if len(promoted) > 1 else "",
        f"{path_through([*above, *below])}Z" if many and above else "",
        ticks,
        y.ticks(5),
        many,
    )


@dataclass(frozen=True)
class Sparkline:
    """The newest scores of one metric as a path in a box of 96 by 24."""

    path: str
    change: str
    """Whether the last is ``better`` or ``worse`` than the first, whichever way that metric is good; else ``as before``."""


def sparkline(of: History) -> Sparkline | None:
    """Draw the newest scores of the primary metric; None with fewer than two."""
    metric = primary_of(of)
    found = [Measured(*summary.score) for summary in of.versions[-24:] if metric and summary.metric == metric]
    scores = [score for score in found if score.value is not None]
    if metric is None or len(scores) < 2:
        return None
    values = [score.value for score in scores if score.value is not None]
    x, y = Scale(0, len(values) - 1, 2, 94), Scale(min(values), max(values), 21, 3)
    path = path_through((x(number), y(value)) for number, value in enumerate(values))
    return Sparkline(path, compared(scores[0], scores[-1], metric))


def primary_of(of: History) -> str | None:
    """Return the metric that the newest decided version was decided by."""
    return next((summary.metric for summary in reversed(of.versions) if summary.metric), None)


def _places(of: History, *, timeless: bool) -> tuple[dict[str, float], tuple[Tick, ...]]:
    """Return where each version is drawn, and the dates under the picture."""
    if not timeless:
        x, ticks = _time(of)
        return {summary.id: x(summary.since.timestamp()) for summary in of.versions}, ticks
    last = len(of.versions) - 1
    step = Scale(-0.3, last + 0.3 + 0.06 * last, LEFT, RIGHT)
    places = {summary.id: step(number) for number, summary in enumerate(of.versions)}
    dates: list[Tick] = []
    for summary in of.versions:
        at, label = places[summary.id], f"{summary.as_of:%-d %b %Y}"
        if not dates or (at - dates[-1].at > (len(label) + 2) * LETTER_WIDTH and label != dates[-1].label):
            dates.append(Tick(at, label))
    return places, tuple(dates)


def _time(of: History) -> tuple[Scale, tuple[Tick, ...]]:
    first, last = of.versions[0].since, of.versions[-1].since
    # Room after the newest version, so that the champion's own stretch is seen.
    margin = (last - first) * 0.06 or timedelta(days=15)
    scale = Scale((first - margin / 2).timestamp(), (last + margin).timestamp(), LEFT, RIGHT)
    return scale, tuple(date_ticks(scale, first, last))


def date_ticks(scale: Scale, first: datetime, last: datetime) -> list[Tick]:
    """Return round dates, at most ten: months, or days when all lies within a few weeks.

    Parameters
    ----------
    scale : Scale
        Where instants, in seconds, are drawn.
    first, last : datetime
        Dates outside are left out.
    """
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
