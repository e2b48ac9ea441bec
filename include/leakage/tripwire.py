"""A tripwire: one check for one kind of leakage, made for every training, with its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["clear", "tripped", "unknown", "not_asked"]


@dataclass(frozen=True)
class Tripwire:
    """What one tripwire found.

    Attributes
    ----------
    name : str
        A name of `QUESTIONS`.
    state : {"clear", "tripped", "unknown", "not_asked"}
        ``unknown``: it could not be looked at, and nothing may be taken for granted; ``not_asked``: it has no meaning here.
    found : str
        What was looked at and what it showed: counts, columns and values of metrics, never the rows themselves.
    lesson : str or None
        Why it is a leak and what to do; for what is not clear.
    """

    name: str
    state: State
    found: str
    lesson: str | None = None

    @property
    def reason(self) -> str:
        """What was found, and the lesson if there is one."""
        return self.found if self.lesson is None else f"{self.found}. {self.lesson}"


NO_TARGET = "there is no target that could be given away"
"""Why a check of the target is skipped for a clustering."""

QUESTIONS: dict[str, str] = {
    "shared_rows": "Is any row, or what it is about, in both training and holdout?",
    "single_column": "Does a single column give the answer away?",
    "shuffled_labels": "Does the recipe find skill where there is none, in shuffled labels?",
    "later_rows": "Do features change when later rows are taken away?",
    "preparation": "Has any preparation learned from more than training rows?",
}
"""The tripwires by name, as a person would ask them, in the order in which they are asked.

The module of this package that is named after a tripwire has a function ``ask`` that takes `include.leakage.inputs.LeakageInputs`
and returns a `Tripwire`.
"""
