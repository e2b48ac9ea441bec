"""Behavioural tests: invariances, directions and single cases that a model must keep."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from include.config.free_values import storable
from include.config.section import Section

MayBreak = Annotated[float, Field(ge=0, lt=1)]


class Invariance(Section):
    """A column that must not matter: holdout rows are predicted again with other values in it."""

    kind: Literal["invariance"]
    name: str = Field(min_length=1)
    """What gate and card call it."""
    column: str
    """A column of the source, from which features are then derived again; or one that `features.derive` makes."""
    values: Annotated[tuple[Any, ...], AfterValidator(storable)] = Field(min_length=1)
    """What every row is given in its place, one after the other."""
    tolerance: float = Field(default=0.0, ge=0)
    """How far a prediction may move: a probability, or the target's own unit. A cluster changes or does not."""
    may_break: MayBreak = 0.0
    """The share of rows whose prediction may move farther."""


class Direction(Section):
    """A number that must not push the prediction the wrong way: it is changed in each holdout row that has it."""

    kind: Literal["direction"]
    name: str = Field(min_length=1)
    """What gate and card call it."""
    column: str
    """A column of numbers, of the source or of `features.derive`, as for an invariance."""
    by: float
    """What is added to it; below zero lowers it."""
    must_not: Literal["fall", "rise"]
    """What the prediction must not do then: the probability of the positive class, or the value."""
    tolerance: float = Field(default=0.0, ge=0)
    """How far it may do so all the same."""
    may_break: MayBreak = 0.05
    """The share of rows whose prediction may go farther the wrong way."""

    @model_validator(mode="after")
    def _moves(self) -> Direction:
        if self.by == 0:
            raise ValueError("expected a `by` other than zero")
        return self


class Case(Section):
    """A row that no model may get wrong."""

    kind: Literal["case"]
    name: str = Field(min_length=1)
    """What gate and card call it."""
    row: Annotated[dict[str, Any], AfterValidator(storable)] = Field(min_length=1)
    """Columns of the source with their values, from which features are derived; columns that it does not name have none."""
    says: Any = None
    """The class that it must be said to be."""
    at_least: float | None = None
    """The least prediction: the probability of the positive class, or the value."""
    at_most: float | None = None
    """The greatest one."""

    @model_validator(mode="after")
    def _bounded(self) -> Case:
        if self.says is None and self.at_least is None and self.at_most is None:
            raise ValueError("expected `says`, `at_least` or `at_most`")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("expected `at_least` below `at_most`")
        return self


Behaviour = Annotated[Invariance | Direction | Case, Field(discriminator="kind")]
