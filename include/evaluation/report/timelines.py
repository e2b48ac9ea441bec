"""Windows over time as geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.evaluation.report.scales import Scale, Tick


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
