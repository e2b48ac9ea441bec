"""Slices of the rows: by a column, by bins of a number, or by a combination of both."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from include.config.section import Section


class Slice(Section):
    """A division of rows into levels; a column's name alone stands for its values."""

    name: str = ""
    """What rules and the card call it; the column, or the columns joined by ` x `, if left out."""
    column: str | None = None
    edges: tuple[float, ...] | None = Field(default=None, min_length=1)
    """Where the column's numbers are cut; a number at an edge belongs above it."""
    bins: int | None = Field(default=None, ge=2, le=20)
    """Cut the column's numbers into so many parts of about as many of the rows looked at; then other rows have other levels. For rules that compare over time, give `edges`."""
    cross: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Columns, or other slices by their names: one level for each combination that there are rows of."""

    @model_validator(mode="after")
    def _one_kind(self) -> Slice:
        if (self.column is None) == (self.cross is None):
            raise ValueError("expected either `column` or `cross`")
        if self.cross is not None and (self.edges or self.bins):
            raise ValueError("expected `edges` and `bins` with `column`; cross a slice that has them, by its name")
        if self.edges is not None and self.bins is not None:
            raise ValueError("expected `edges` or `bins`, found both")
        if any(low >= high for low, high in pairwise(self.edges or ())):
            raise ValueError("expected `edges` in ascending order")
        return self

    @property
    def called(self) -> str:
        """The name in force."""
        return self.name or self.column or " x ".join(self.cross or ())


def _by_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


SliceOrColumn = Annotated[Slice, BeforeValidator(_by_column, json_schema_input_type=str | Slice)]


def columns_of(slices: tuple[Slice, ...]) -> tuple[str, ...]:
    """Return the columns that slices are made of, each once."""
    named = {one.called for one in slices if one.column is not None}
    crossed = (part for one in slices for part in one.cross or () if part not in named)
    return tuple(dict.fromkeys([*(one.column for one in slices if one.column is not None), *crossed]))
