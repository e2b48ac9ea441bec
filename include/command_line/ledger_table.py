"""A model's ledger as a table for a terminal."""

from __future__ import annotations

from typing import Any

from include.registry.timeline import Timeline
from include.registry.version_states import VersionState


def ledger_table(timeline: Timeline, *, whole: Timeline | None = None) -> str:
    """Return a table with one line a version, by as-of.

    Parameters
    ----------
    whole : Timeline, optional
        With all versions, where some of them are shown.
    """
    primary = next((s.decision.primary for s in timeline.standings if s.decision), {})
    metric, confidence = primary.get("metric", "metric"), primary.get("confidence")
    head = ["as of", "version", "outcome", metric, "against", metric, "gain", "", "champion"]
    if confidence is not None:
        head[7] = f"one-sided {confidence:.0%} bounds"
    whole = whole or timeline
    in_force = whole.champion
    champions = {version for _, version in whole.champions()}
    rows = [_row(standing, champions, in_force) for standing in timeline.standings]
    return draw_table(head, rows)


def draw_table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table as lines of text."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    lines = [_line(head, widths), "  ".join("-" * width for width in widths), *(_line(row, widths) for row in rows)]
    return "\n".join(line.rstrip() for line in lines)


def _row(standing: VersionState, champions: set[str], in_force: str | None) -> list[str]:
    decision = standing.decision
    facts: dict[str, Any] = decision.primary if decision else {}
    low, high = facts.get("low"), facts.get("high")
    if standing.version == in_force:
        mark = "in force"
    elif standing.withdrawn:
        mark = "withdrawn"
    else:
        mark = "was champion" if standing.version in champions else ""
    return [
        f"{standing.as_of:%Y-%m-%d}",
        standing.version,
        _outcome(standing),
        format_number(facts.get("challenger")),
        str(facts.get("against", "")),
        format_number(facts.get("other")),
        format_number(facts.get("gain"), sign=True),
        "" if low is None and high is None else f"{format_number(low, sign=True)} .. {format_number(high, sign=True)}",
        mark,
    ]


def _outcome(standing: VersionState) -> str:
    decision = standing.decision
    if decision is None:
        return "(undecided)"
    return f"{decision.outcome} (gate: {decision.by_gate})" if decision.overrides else decision.outcome.value


def format_number(value: float | None, *, sign: bool = False) -> str:
    """Return a metric to four digits; a question mark where there is none."""
    return "?" if value is None else f"{value:+.4f}" if sign else f"{value:.4f}"


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
