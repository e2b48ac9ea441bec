"""Durations as a number and a unit: ``4mo``, ``1d``, ``12h``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SPAN = re.compile(r"^(\d+)(y|mo|w|d|h|min|s)$")
_EXPECTED = "a number and a unit: y, mo, w, d, h, min or s, such as 4mo or 12h"
_LONGEST = timedelta(days=365 * 500)  # from here on, the calendar ends before an as-of does


@dataclass(frozen=True)
class Duration:
    """A calendar length of time; months and years keep the day of the month, as a person expects.

    Subtract or add it to a datetime: ``instant - Span.parse("1mo")``.
    """

    text: str

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read ``4mo`` and the like.

        Raises
        ------
        ValueError
            When ``text`` is not a number and a unit, or longer than any data.
        """
        if isinstance(text, Duration):
            return text
        if not isinstance(text, str) or not _SPAN.match(text):
            raise ValueError(f"expected {_EXPECTED}")
        span = cls(text)
        try:
            too_long = span.about() > _LONGEST
        except OverflowError:
            too_long = True
        if too_long:
            raise ValueError("expected a length below 500 years")
        return span

    @property
    def _delta(self) -> relativedelta:
        count, unit = _SPAN.match(self.text).groups()  # type: ignore[union-attr]
        names = {
            "y": "years",
            "mo": "months",
            "w": "weeks",
            "d": "days",
            "h": "hours",
            "min": "minutes",
            "s": "seconds",
        }
        return relativedelta(**{names[unit]: int(count)})

    def __radd__(self, instant: datetime) -> datetime:
        moved: datetime = instant + self._delta
        return moved

    def __rsub__(self, instant: datetime) -> datetime:
        moved: datetime = instant - self._delta
        return moved

    def __bool__(self) -> bool:
        return bool(self._delta)

    def __str__(self) -> str:
        return self.text

    def about(self) -> timedelta:
        """Return the length with months of 30 and years of 365 days, for comparing lengths."""
        delta = self._delta
        return timedelta(
            days=delta.years * 365 + delta.months * 30 + delta.days,
            hours=delta.hours,
            minutes=delta.minutes,
            seconds=delta.seconds,
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": _SPAN.pattern, "description": _EXPECTED, "examples": ["4mo", "1d", "12h"]}
