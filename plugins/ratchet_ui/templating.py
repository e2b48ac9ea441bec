"""Templates of the pages, and how they write numbers, instants and versions."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

from include.data.random_split import describe_window
from include.evaluation.report.forest import WIDTH
from include.evaluation.report.labels import format_number, format_signed, greater_is_better, metric_name
from include.leakage.tripwire import QUESTIONS
from include.templates import templates_beside
from ratchet_ui.files import address
from ratchet_ui.growth import bytes_for_people


def draw(template: str, root: str, **facts: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(root=root, at=f"{root}/ratchet", **facts)


@cache
def _environment() -> Environment:
    environment = templates_beside(__file__)
    environment.filters |= {
        "metric": metric_name,
        "number": format_number,
        "gain": format_signed,
        "day": day,
        "short": short,
        "direction": lambda metric: "higher is better" if greater_is_better(metric) else "lower is better",
        "age": _age,
        "bytes": bytes_for_people,
        "segment": lambda text: quote(text, safe=""),
    }
    environment.globals |= {
        "style": address("pages.css"),
        "interval_width": WIDTH,
        "between": _between,
        "tripwire_questions": QUESTIONS,
    }
    return environment


def _between(window: Any) -> str:
    """Return how a person would call a window: by its days, or by its share of a table without time."""
    bounds = [datetime.fromisoformat(b) if isinstance(b, str) else b for b in (window.after, window.until)]
    return describe_window(*bounds) or f"after {day(bounds[0])} until {day(bounds[1])}"


def day(instant: datetime | str) -> str:
    """Return an instant as people write it: its day, and the clock unless that is midnight."""
    when = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    clock = f", {when:%H:%M} UTC" if (when.hour, when.minute) != (0, 0) else ""
    return f"{when.day} {when:%b %Y}{clock}"


def short(version: str) -> str:
    """Return what tells versions apart for the eye: the digest's beginning."""
    return version.rpartition("-")[2][:10]


def _age(instant: datetime, now: datetime) -> str:
    days = (now - instant).days
    for size, unit in ((365.25, "year"), (30.44, "month"), (1, "day")):
        if days >= 2 * size or (unit == "day" and days >= 1):
            count = int(days / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "today" if days >= 0 else "in the future"
