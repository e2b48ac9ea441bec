"""Columns that a second source adds to each row, as they were known at the row's event time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from include.config.durations import Duration
from include.config.section import Section
from include.config.sections.rows.source_kinds import Source
from include.config.sections.rows.sources import Slot
from include.config.time_zones import Ambiguous, Zone


def _fixed(span: Duration) -> Duration:
    if not span:
        raise ValueError("expected a length above zero")
    if span.text.endswith(("mo", "y")):
        raise ValueError(f"expected a length that is the same all year, such as `30d` or `365d`, found `{span}`")
    return span


Age = Annotated[Duration, AfterValidator(_fixed)]
"""A length of time without months and years, which are not all as long."""


class JoinWindow(Section):
    """Aggregates of the second source's rows in a span of time that ends at the row's event time."""

    over: Age
    """Length of the span, such as `7d`; no months and years, which are not all as long. A row exactly this old is outside."""
    count: bool = False
    """How many rows there are, as `NAME_count_7d`; 0 without any."""
    sum: tuple[str, ...] = ()
    """Columns to add up, as `NAME_COLUMN_sum_7d`; 0 without any value."""
    mean: tuple[str, ...] = ()
    """Columns to average, as `NAME_COLUMN_mean_7d`; missing without any value."""
    last: tuple[str, ...] = ()
    """Columns of the newest row, as `NAME_COLUMN_last_7d`; missing without any row."""

    @model_validator(mode="after")
    def _of_something(self) -> JoinWindow:
        if not (self.count or self.sum or self.mean or self.last):
            raise ValueError("expected at least one of `count`, `sum`, `mean` and `last`")
        return self


class JoinRule(Section):
    """Which rows of a second source a row is joined with, and which columns it gets from them."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")
    """What its columns' names begin with: `temp` of the join `weather` becomes `weather_temp`."""
    on: dict[str, str] = Field(min_length=1)
    """The columns that must be equal, `{column of data.source: column of this source}`; a list where both have the same name. A row that lacks one of them has no partner."""
    valid_from: str
    """The column of this source that says from when a row is valid, or when it happened."""
    known_at: str | None = None
    """The column that says when a row became known; `valid_from` if left out. A row that is known later than another of the same `on`, `valid_from` and `row_id` corrects it from then on, and not before."""
    delay: Duration = Duration("0s")
    """How long after `known_at` (or `valid_from`) a row is available for a prediction: the time that loading takes."""
    row_id: tuple[str, ...] = ()
    """More columns that tell rows with the same `on` and `valid_from` apart, such as the number of an order."""
    columns: tuple[str, ...] = ()
    """Columns to take from the newest row that was known, as `NAME_COLUMN`."""
    within: Age | None = None
    """How old that row may be at most, by `valid_from`; required with `columns`. Nothing older is read."""
    windows: tuple[JoinWindow, ...] = ()
    """Aggregates over spans of time."""

    @field_validator("on", mode="before")
    @classmethod
    def _same_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: value}
        return {name: name for name in value} if isinstance(value, list | tuple) else value

    @field_validator("row_id", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.columns and not self.windows:
            raise ValueError(f"the join `{self.name}` adds nothing: expected `columns`, `windows` or both")
        if bool(self.columns) != (self.within is not None):
            raise ValueError(f"expected `columns` and `within` together in the join `{self.name}`")
        made = [name for name, _, _, _ in self.made()]
        if twice := sorted({name for name in made if made.count(name) > 1}):
            raise ValueError(f"the join `{self.name}` makes `{twice[0]}` twice")
        return self

    def made(self) -> Iterator[tuple[str, str, str | None, Duration]]:
        """Yield what each added column is: its name, how it is made (`last`, `count`, `sum`, `mean`), of which column, over which span."""
        for column in self.columns:
            assert self.within is not None  # noqa: S101 (required with `columns`)
            yield f"{self.name}_{column}", "last", column, self.within
        for window in self.windows:
            if window.count:
                yield f"{self.name}_count_{window.over}", "count", None, window.over
            for how in ("sum", "mean", "last"):
                for column in getattr(window, how):
                    yield f"{self.name}_{column}_{how}_{window.over}", how, column, window.over

    def meanings(self) -> dict[str, str]:
        """Return in words what each added column is, for the client that must send it with a request."""
        at = f"known at the row's event time, where {', '.join(f'{theirs} = {ours}' for ours, theirs in self.on.items())}"
        found = {}
        for name, how, column, over in self.made():
            if how == "last":
                found[name] = f"{column} of the newest row of {self.name} {at}, younger than {over}; null without one"
            elif how == "count":
                found[name] = f"number of rows of {self.name} {at}, younger than {over}"
            else:
                empty = "0" if how == "sum" else "null"
                found[name] = (
                    f"{how} of {column} over the rows of {self.name} {at}, younger than {over}; {empty} without any"
                )
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the second source that together name one row, the instant at which it was known last."""
        known = () if self.known_at is None else (self.known_at,)
        return tuple(dict.fromkeys([*self.on.values(), self.valid_from, *self.row_id, *known]))

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the second source that are read, the names of its rows first."""
        return tuple(dict.fromkeys([*self.keys, *(column for _, _, column, _ in self.made() if column is not None)]))

    @property
    def reach(self) -> timedelta:
        """How far before a row's event time its partners may lie."""
        return max(span.about() for _, _, _, span in self.made())


class Join(JoinRule):
    """A second source, joined as it was known at each row's event time."""

    source: Source
    """Where its rows come from, as in `data.source`."""
    partition: Slot = Slot.MONTH
    """How much of `valid_from` one stored partition holds: `hour`, `day` or `month`."""
    timezone: Zone | None = None
    """What times of this source without a zone mean; `data.timezone` if left out."""
    ambiguous: Ambiguous | None = None
    """Which instant a time without a zone means where a clock change shows it twice or never; `data.ambiguous` if left out."""
    recheck: int = Field(default=1, ge=0)
    """How many of the newest partitions each run reads again, for rows and corrections that come late."""

    @property
    def rule(self) -> JoinRule:
        """The part of the declaration that determines the joined values; other changes do not change a snapshot."""
        return JoinRule.model_validate(self.model_dump(mode="json", include=set(JoinRule.model_fields)))
