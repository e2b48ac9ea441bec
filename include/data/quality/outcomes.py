"""Outcomes of expectations: counts and aggregates, without any value of a row."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from include.config.sections.rows.quality import Expectation
from include.data.quality.expectations import OF_THE_TABLE

_LONGEST_TEXT = 60
_LONGEST_LIST = 20
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations found for one expectation.

    ``observed`` is an aggregate, never a value of a row. ``offending`` are positions in the frame, looked up only for
    `quarantine`.
    """

    passed: bool
    judged: int | None = None
    missing: int | None = None
    unexpected: int | None = None
    observed: Any = None
    offending: tuple[int, ...] = field(default=(), repr=False)
    error: str | None = None


def evaluate_together(expectation: Expectation, outcomes: Sequence[Outcome]) -> Outcome:
    """Add up what was found of one expectation among some rows at a time."""
    if len(outcomes) == 1:
        return outcomes[0]
    judged, missing, unexpected = (
        sum(getattr(one, count) or 0 for one in outcomes) for count in ("judged", "missing", "unexpected")
    )
    values = judged - missing
    error = next((one.error for one in outcomes if one.error), None)
    enough = not values or (values - unexpected) / values >= float(expectation.arguments.get("mostly", 1))
    return Outcome(
        passed=error is None and enough,
        judged=judged,
        missing=None if outcomes[0].missing is None else missing,
        unexpected=unexpected,
        offending=tuple(position for one in outcomes for position in one.offending),
        error=error,
    )


def outcome_of(answer: Any) -> Outcome:
    """Return what Great Expectations answered for one expectation as an outcome."""
    result = answer.result or {}
    judged, missing = result.get("element_count"), result.get("missing_count")
    said = answer.expectation_config
    return Outcome(
        passed=bool(answer.success),
        judged=judged,
        missing=missing,
        unexpected=result.get("unexpected_count"),
        observed=_aggregate(said.type, result.get("observed_value")),
        offending=tuple(int(position) for position in result.get("unexpected_index_list") or ()),
        error=without_values(_error(answer.exception_info or {}), said.kwargs),
    )


def _aggregate(expectation: str, value: Any) -> Any:
    """Return what was observed, without the values of rows: of levels only how many there are."""
    if expectation.startswith(OF_THE_TABLE) or expectation.endswith(("_of_type", "_in_type_list")):
        return plain_value(value)  # names of columns and types
    if isinstance(value, list | tuple | set | frozenset):
        return f"{len(value):,} value{'s' if len(value) != 1 else ''}"
    return "a text" if isinstance(value, str) else plain_value(value)


def without_values(error: str | None, arguments: Mapping[str, Any]) -> str | None:
    """Return an error of the library without what it quotes, unless that is declared: a column or another argument."""
    declared = {str(value) for value in arguments.values()}
    if error is None:
        return None
    return _QUOTED.sub(lambda found: found[0] if found[0][1:-1] in declared else "…", error)


def _error(info: Mapping[str, Any]) -> str | None:
    # Either one record, or one for each metric that could not be computed.
    records = [info] if "raised_exception" in info else list(info.values())
    messages = [str(record["exception_message"]) for record in records if record.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages)) or None


def plain_value(value: Any) -> Any:
    """Return an aggregate as JSON: long lists and texts cut, numbers that JSON can't hold as text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        more = [f"and {len(items) - _LONGEST_LIST} more"] if len(items) > _LONGEST_LIST else []
        return [plain_value(item) for item in items[:_LONGEST_LIST]] + more
    return _text(value)


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
