"""Behavioural tests: invariances, directions and single cases that a model must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from include.config.free_values import storable
from include.config.section import Section

if TYPE_CHECKING:
    from include.config.model import ModelConfig

MayBreak = Annotated[float, Field(ge=0, lt=1)]


class Invariance(Section):
    """An invariance: a column that must not matter. Holdout rows are predicted again with other values in it."""

    kind: Literal["invariance"]
    name: str = Field(min_length=1)
    """Its name in the gate's reasons and on the model card."""
    column: str
    """A column of the source, from which features are then derived again; or one that `features.derive` makes."""
    values: Annotated[tuple[Any, ...], AfterValidator(storable)] = Field(min_length=1)
    """The values that replace it in every row, one after the other."""
    tolerance: float = Field(default=0.0, ge=0)
    """How far a prediction may change: as a probability, or in the unit of the target. A cluster changes or does not."""
    may_break: MayBreak = 0.0
    """The share of rows whose prediction may change more than that."""


class Direction(Section):
    """A direction: a number that must not move the prediction the wrong way. It is changed in each holdout row that has a value."""

    kind: Literal["direction"]
    name: str = Field(min_length=1)
    """Its name in the gate's reasons and on the model card."""
    column: str
    """A column of numbers, of the source or of `features.derive`, as for an invariance."""
    by: float
    """What is added to it; below zero lowers it."""
    must_not: Literal["fall", "rise"]
    """What the prediction must not do then: the probability of the positive class, or the value."""
    tolerance: float = Field(default=0.0, ge=0)
    """The largest accepted change in that direction."""
    may_break: MayBreak = 0.05
    """The share of rows whose prediction may change more than that."""

    @model_validator(mode="after")
    def _moves(self) -> Direction:
        if self.by == 0:
            raise ValueError("expected a `by` other than zero")
        return self


class Case(Section):
    """A case: a row that every model must predict correctly."""

    kind: Literal["case"]
    name: str = Field(min_length=1)
    """Its name in the gate's reasons and on the model card."""
    row: Annotated[dict[str, Any], AfterValidator(storable)] = Field(min_length=1)
    """Columns of the source with their values, from which features are derived; other columns have no value."""
    says: Any = None
    """The class that must be predicted."""
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


def check_behaviour(model: ModelConfig) -> None:
    """Check that each behavioural test has a meaning for the model's task and target; raises `ValueError`."""
    task, target = model.task, model.data.target
    for check in model.evaluation.behaviour:
        if task == "clustering" and check.kind != "invariance":
            raise ValueError(f"the {check.kind} `{check.name}` tests predictions; for clusters declare an `invariance`")
        if check.kind == "case":
            if task == "regression" and check.says is not None:
                raise ValueError(f"the case `{check.name}` names a class; for regression give `at_least` or `at_most`")
            if target in check.row:
                raise ValueError(f"the case `{check.name}` contains the target `{target}`, which is the answer")
        elif check.column == target:
            raise ValueError(f"the {check.kind} `{check.name}` changes the target `{target}`, which no model reads")
