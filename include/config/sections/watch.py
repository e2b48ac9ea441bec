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
    """Total variation: the share of rows that would have to move to another bin to make the two distributions equal."""
    wasserstein: float = Field(default=0.25, gt=0)
    """The Wasserstein distance of numbers, in standard deviations of the training rows."""
    share: float = Field(default=0.05, gt=0, lt=1)
    """Change of the share of rows that miss a value, are out of domain, or are duplicates."""
    rows: float = Field(default=0.5, gt=0)
    """Change of the number of rows, as a share of the usual number."""


class Probation(Section):
    """How long a new champion is compared with its predecessor, which predicts the same rows."""

    rows: int = Field(default=10_000, ge=1)
    """The largest number of labelled rows that are compared."""
    within: Duration = Duration("90d")
    """The longest time."""
    margin: float = Field(default=0.0, ge=0)
    """The largest loss in the primary metric that does not matter; `worse` is a loss beyond it, `not worse` the certainty that there is none."""
    on_worse: Literal["withdraw", "ask", "tell"] = "tell"
    """The action when the champion is `worse`: `withdraw` it, so that its predecessor is in force again; `ask` a person; or `tell` the channels of `notify`."""


class Watch(Section):
    """What happens after promotion."""

    false_alarms: Rate = Rate("1/y")
    """How many false alarms are accepted on average, from all columns, statistics and looks together; it holds for any number of rows."""
    levels: Levels = Levels()
    retrain: Literal["never", "on_performance", "on_drift"] = "never"
    """Which alarms request a retraining: none, those about performance, or also those about drift. Data faults never do."""
    cooldown: Duration = Duration("7d")
    """The shortest time between two requests for a retraining, in logical time."""
    attempts: int = Field(default=3, ge=1)
    """After this number of retrainings in a row without a new champion, no more are requested, and a notification is sent."""
    probation: Probation = Probation()
