"""The `watch` section: which changes matter, how many false alarms are accepted, and what an alarm triggers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from include.config.durations import Duration
from include.config.section import Section

_RATE = re.compile(r"^(\d+(?:\.\d+)?)/(.+)$")
_EXPECTED = "a number, a slash and a unit of time: y, mo, w, d or h, such as 1/y or 0.5/mo"
_YEAR = timedelta(days=365.25)


@dataclass(frozen=True)
class Rate:
    """How often something may happen: ``1/y``, ``0.5/mo``."""

    text: str

    @classmethod
    def parse(cls, text: object) -> Rate:
        """Read ``1/y`` and the like.

        Raises
        ------
        ValueError
            When ``text`` is not a number, a slash and a unit, or the number is zero.
        """
        if isinstance(text, Rate):
            return text
        found = _RATE.match(text) if isinstance(text, str) else None
        if found is None or found[2] not in ("y", "mo", "w", "d", "h") or not float(found[1]):
            raise ValueError(f"expected {_EXPECTED}")
        return cls(str(text))

    @property
    def a_year(self) -> float:
        """How often that is in a year."""
        count, _, unit = self.text.partition("/")
        length = _YEAR if unit == "y" else _YEAR / 12 if unit == "mo" else Duration(f"1{unit}").about()
        return float(count) * (_YEAR / length)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": _RATE.pattern, "description": _EXPECTED, "examples": ["1/y", "0.5/mo"]}


class Levels(Section):
    """From where a change matters; one that is smaller is no alarm, however sure it is. Any one of them is enough."""

    psi: float = Field(default=0.2, gt=0)
    """Population stability index."""
    total_variation: float = Field(default=0.1, gt=0, lt=1)
    """The share of rows that would have to take another place for the two to be alike."""
    wasserstein: float = Field(default=0.25, gt=0)
    """How far numbers moved on average, in standard deviations of the training rows."""
    share: float = Field(default=0.05, gt=0, lt=1)
    """Change of the share of rows that are missing a value, lie outside the domain, or come twice."""
    rows: float = Field(default=0.5, gt=0)
    """Change of the number of rows, as a share of what there used to be."""


class Probation(Section):
    """How long a new champion is compared with its predecessor, which predicts the same rows beside it."""

    rows: int = Field(default=10_000, ge=1)
    """The most rows with a label that are waited for."""
    within: Duration = Duration("90d")
    """The longest time."""
    margin: float = Field(default=0.0, ge=0)
    """The largest loss in the primary metric that does not matter; `worse` is a loss beyond it, `not worse` the certainty that there is none."""
    on_worse: Literal["withdraw", "ask", "tell"] = "tell"
    """What follows from `worse`: the champion is withdrawn and its predecessor back in force; a person is asked; people are told."""


class Watch(Section):
    """What happens after promotion."""

    false_alarms: Rate = Rate("1/y")
    """How many false alarms are accepted in the mean, from all columns, statistics and looks together; it holds for any number of rows."""
    levels: Levels = Levels()
    retrain: Literal["never", "on_performance", "on_drift"] = "never"
    """Which alarms ask for a retraining: none; those about performance; those about drift as well. Broken data never does."""
    cooldown: Duration = Duration("7d")
    """No retraining is asked for again within this time, in logical time."""
    attempts: int = Field(default=3, ge=1)
    """After so many retrainings in a row that changed no champion nothing more is asked for, and people are told."""
    probation: Probation = Probation()
