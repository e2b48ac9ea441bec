"""Labels for people: metrics, roles, numbers, days and windows in words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from include.config.names import METRICS
from include.data.random_split import describe_window
from include.evaluation.gains import Role
from include.training.metrics.definitions import sign

ROLE_LABELS: dict[Role, str] = {
    "challenger": "Challenger",
    "unmitigated": "Without mitigation",
    "incumbent": "Incumbent",
    "pooled": "Model of all rows",
    "simple": "Simple baseline",
    "trivial": "Trivial baseline",
}


def metric_name(metric: str) -> str:
    """Return how a person calls a metric."""
    facts = METRICS.get(metric)
    return (facts and facts.label) or metric.replace("_", " ").capitalize()


def greater_is_better(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return sign(metric) > 0


def format_number(value: Any, digits: int = 4) -> str:
    """Write a number with as many digits as help; a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.{max(0, digits - 3)}f}"


def format_signed(value: float | None) -> str:
    """Write a gain with its sign, which a zero has not; a dash for none: few units of unequal weight tell no bound."""
    if value is None:
        return format_number(None)
    text = format_number(abs(value))
    return text if float(text.replace(",", "")) == 0 else ("+" if value > 0 else "\N{MINUS SIGN}") + text


def format_instant(instant: str) -> str:
    """Write an instant as a day, with the time of day unless that is midnight."""
    when = datetime.fromisoformat(instant)
    clock = f"{when:, %H:%M} UTC" if when.time().replace(second=0, microsecond=0) != datetime.min.time() else ""
    return f"{when.day} {when:%B %Y}{clock}"


def short_digest(digest: str) -> str:
    """Return as much of a digest as a person compares."""
    return digest[:12]


def units_of(unit: str) -> str:
    """Return what was drawn again and again for the bounds, in the plural."""
    if unit == "row":
        return "rows"
    if unit.startswith("set of "):
        return unit.replace("set", "sets", 1)
    return f"blocks of {unit}" if unit.endswith(" of time") else f"clusters by {unit}"


def format_window(after: str, until: str) -> str:
    """Return how a person would call a window: by its days, or by its share of a table without time."""
    window = describe_window(datetime.fromisoformat(after), datetime.fromisoformat(until))
    return window or f"after {format_instant(after)} until {format_instant(until)}"
