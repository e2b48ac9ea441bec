"""The `data` section: where a model's rows come from, and which of them a run may see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from include.config.durations import Duration
from include.config.section import Section
from include.config.sections.rows.joins import Join
from include.config.sections.rows.source_kinds import Source
from include.config.sections.rows.sources import FilesSource, Slot
from include.config.sections.rows.wait import Wait
from include.config.time_zones import Ambiguous, Clock, Zone

if TYPE_CHECKING:
    from include.config.model import ModelConfig

LOT, ROW = "(lot)", "(row)"
"""Columns that stand for event time and id in a table that has none."""


class Windows(Section):
    """The windows of rows that a run trains on and is evaluated on; both end where labels have matured at as-of."""

    train: Duration
    """Length of the training window; it ends one label delay before the holdout begins."""
    holdout: Duration
    """Length of the holdout, the newest matured rows; never seen in fitting or tuning."""

    @field_validator("train", "holdout")
    @classmethod
    def _positive(cls, span: Duration) -> Duration:
        if not span:
            raise ValueError("expected a length above zero")
        return span


class PoolLevels(Section):
    """Which levels are pooled as `(other levels)` in evidence, cards, check reports, the trained domain and monitoring references."""

    below: int = Field(ge=2)
    """Levels that fewer people have than this, such as `10`."""
    by: str | None = None
    """The column that tells people apart, such as `customer`. `data.entity` if left out; without either each row counts as one."""


class Data(Section):
    """The rows of a model."""

    source: Source
    event_time: str = LOT
    """The column that says when a row happened. Left out for a table without time, which each run reads as a whole: the holdout is then a random sample, from a digest of each row's id."""
    row_id: tuple[str, ...] = ()
    """The columns that together name one row; required with `event_time`. Left out for a table without time, a row is named by the digest of its values."""
    target: str | None = None
    """The column to predict; left out for `task: clustering`, which has none."""
    positive: str | int | bool | None = Field(default=None, exclude_if=lambda value: value is None)
    """The positive one of two classes: its probability is predicted, and thresholds, recall and costs refer to it. Required unless the classes are true and false, yes and no, or 1 and 0."""
    entity: str | None = None
    """A column that names what a row is about, such as a patient, if no patient may be in both training and holdout: a tripwire then checks this. In a table without time, all rows about one patient are on the same side of the split."""
    pool_levels: Annotated[
        PoolLevels | None,
        BeforeValidator(
            lambda value: {"below": value} if isinstance(value, int) else value,
            json_schema_input_type=PoolLevels | int | None,
        ),
    ] = Field(default=None, exclude_if=lambda pooling: pooling is None)
    """Levels that few people have are not named in anything that is kept for ever, see PoolLevels and [docs/retention.md](retention.md#levels-of-few-people). A number alone is its `below`."""
    partition: Slot = Slot.MONTH
    """How much event time one stored partition holds: `hour`, `day` or `month`."""
    label_delay: Duration = Duration("0s")
    """How long after its event time a row's target is known."""
    windows: Windows | None = None
    """Required with `event_time`, and only allowed there."""
    min_coverage: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda share: share is None)
    """The least share of the partitions of the declared training window that have rows, such as `0.9`; below it the gate holds. Without it, a window that is longer than the data or has gaps is only reported. Only with `event_time`."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows in the holdout of a table without time; 0.25 if left out."""
    equal_rows: Literal["together", "separate"] = Field(default="together", exclude_if=lambda way: way == "together")
    """The meaning of rows without `row_id` that are equal in all columns. `together`: one thing that is repeated; such rows are all in training or all in the holdout, and count as one row for confidence bounds. `separate`: different things that happen to be equal, such as people with the same answers; each is assigned to a side of the split by itself."""
    timezone: Zone = "UTC"
    """The time zone of event times that have none, as an IANA name such as `America/New_York`."""
    ambiguous: Ambiguous = Field(default="refuse", exclude_if=lambda policy: policy == "refuse")
    """Which instant an event time without a zone means when a clock change repeats or skips it: the `earlier` or the `later` of the two; with `refuse` the run stops with an error."""
    recheck: int = Field(default=1, ge=0)
    """How many of the newest partitions each run reads again, for late corrections."""
    wait: Annotated[
        Wait,
        BeforeValidator(
            lambda value: {"at_most": value} if isinstance(value, str | Duration) else value,
            json_schema_input_type=Duration | Wait,
        ),
    ] = Field(default=Wait(at_most=Duration("0s")), exclude_if=lambda wait: not wait.at_most)
    """How long after its as-of a run waits for the newest partition that has ended by then, such as `6h`: for its first row, for more rows, or for a marker file, see Wait. The run does not occupy a worker while it waits, checks again every few minutes, and finally continues with the rows that there are; a notification then says that the partition is `late`. A backfill of old dates does not wait."""
    corrections: Literal["as_now_known", "as_known_then"] = "as_now_known"
    """Which content of a partition that was corrected later a run reads: the newest, or the one that was known at its as-of (the first on record if none was). What was read of a partition under way is not what was known of it later."""
    joins: tuple[Join, ...] = Field(default=(), exclude_if=lambda joins: not joins)
    """Second sources whose columns are added to each row as they were known at its event time; see [docs/joins.md](joins.md). Only with `event_time`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The column to predict, or none."""
        return () if self.target is None else (self.target,)

    @property
    def people(self) -> tuple[str, ...]:
        """The column by which people are counted, where levels of few of them are pooled; or none."""
        if self.pool_levels is None:
            return ()
        by = self.pool_levels.by or self.entity
        return () if by is None else (by,)

    @model_validator(mode="before")
    @classmethod
    def _of_a_table(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("event_time", LOT) == LOT:
            return {"row_id": (ROW,), "holdout": 0.25, **value}
        return value

    @field_validator("row_id", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _timed_or_not(self) -> Data:
        query: str | None = getattr(self.source, "query", None)
        if not self.timeless:
            if self.windows is None:
                raise ValueError("expected `windows` with `event_time`")
            if not self.row_id:
                raise ValueError("expected `row_id` with `event_time`")
            if self.holdout is not None:
                raise ValueError(
                    "expected the holdout's length in `windows.holdout`; `holdout` is for a table without time"
                )
            if query is not None and (":start" not in query or ":end" not in query):
                raise ValueError(
                    "expected the bounds `:start` and `:end` in the query, such as `WHERE t >= :start AND t < :end`"
                )
            return self
        if self.windows is not None:
            raise ValueError("expected `event_time` with `windows`; without time the share `holdout` says what is kept")
        if self.label_delay:
            raise ValueError("expected no `label_delay` without `event_time`: every row has its label")
        if self.min_coverage is not None:
            raise ValueError("expected no `min_coverage` without `event_time`: a table is read as a whole")
        if self.wait.at_most:
            raise ValueError("expected no `wait` without `event_time`: a table does not show that it is late")
        if isinstance(self.source, FilesSource) and "%" in self.source.path:
            raise ValueError("expected a path without date parts where there is no `event_time`")
        if query is not None and (":start" in query or ":end" in query):
            raise ValueError("expected a query without `:start` and `:end` where there is no `event_time`")
        return self

    @model_validator(mode="after")
    def _a_marker_each(self) -> Data:
        if self.wait.file is not None and (lacking := self.wait.lacks_for(self.partition)):
            raise ValueError(
                f"expected `{lacking}` in `wait.file`, so that each {self.partition} has a marker of its own, found `{self.wait.file}`"
            )
        return self

    @model_validator(mode="after")
    def _markers_within_the_wait(self) -> Data:
        if self.wait.file is not None:
            end = datetime(2026, 1, 1, tzinfo=UTC)
            due = self.wait.last_due(ZoneInfo(self.timezone))
            if end + due >= end + self.wait.at_most:
                raise ValueError(
                    f"expected `wait.at_most` above {due}: in {self.timezone} the last marker of a {self.partition} is due so long "
                    f"after the {self.partition} ends in UTC, found `{self.wait.at_most}`; markers of finer dates, such as `%d` or `%H`, "
                    "are due sooner"
                )
        return self

    @model_validator(mode="after")
    def _equal_rows_where_they_are(self) -> Data:
        if self.equal_rows == "separate" and (self.row_id != (ROW,) or self.entity is not None):
            raise ValueError("expected `equal_rows` only of a table without `event_time`, `row_id` and `entity`")
        return self

    @model_validator(mode="after")
    def _joinable(self) -> Data:
        if self.joins and self.timeless:
            raise ValueError("expected `joins` only with `event_time`: a join adds what was known at that time")
        names = [name for join in self.joins for name, _, _, _ in join.made()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two joins make the column `{twice[0]}`: give one of them another `name`")
        for join in self.joins:
            if made := {name for name, _, _, _ in join.made()} & {self.event_time, *self.row_id, *self.labels}:
                raise ValueError(
                    f"the join `{join.name}` makes `{sorted(made)[0]}`, which the model's own source already has"
                )
            try:
                self.of_join(join)
            except ValidationError as error:
                told = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"in the join `{join.name}`: {told}") from None
        return self

    def of_join(self, join: Join) -> Data:
        """Return a joined source as a declaration of its own, so that it is read, stored and pinned like the model's source."""
        return Data(
            source=join.source,
            event_time=join.valid_from,
            row_id=join.keys,
            partition=join.partition,
            label_delay=join.delay,
            windows=self.windows,
            timezone=join.timezone or self.timezone,
            ambiguous=join.ambiguous or self.ambiguous,
            recheck=join.recheck,
            corrections=self.corrections,
        )

    @property
    def sources(self) -> tuple[Data, ...]:
        """How each source is read: the model's own, then those that are joined."""
        return (self, *map(self.of_join, self.joins))

    @property
    def clock(self) -> Clock:
        """The zone of times without one, and what its repeated and skipped hours mean."""
        return Clock(self.timezone, self.ambiguous)

    @property
    def timeless(self) -> bool:
        """Whether the rows are a table without event time."""
        return self.event_time == LOT


def check_timeless(model: ModelConfig) -> None:
    """Check that a table without event time declares nothing that needs event time; raises `ValueError`."""
    if not model.data.timeless:
        return
    training = model.training
    divisions = [training.cv, training.cross_fitting, *(c.search.cv for c in training.candidates if c.search)]
    declared = {
        "cv: {kind: time_series}": any(cv is not None and cv.kind == "time_series" for cv in divisions),
        "weights: {half_life: ...}": training.weights is not None and bool(training.weights.half_life),
        "evaluation.block": model.evaluation.block is not None,
        "schedule.monitor": model.schedule.monitor is not None,
    }
    if found := [name for name, there in declared.items() if there]:
        raise ValueError(f"`{found[0]}` needs `data.event_time`, which this table does not have")
