"""Where a model's rows come from, which of them a run may see, and what must hold of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from include.config.durations import Duration
from include.config.free_values import storable
from include.config.names import EXPECTATIONS, ROW_EXPECTATIONS
from include.config.section import Section
from include.config.sections.rows.joins import Join
from include.config.sections.rows.rectify import AS_READ, Rectify
from include.config.sections.rows.source_kinds import Source
from include.config.sections.rows.sources import FilesSource, Slot
from include.config.sections.rows.wait import Wait
from include.config.time_zones import Ambiguous, Clock, Zone
from include.errors import nearest

LOT, ROW = "(lot)", "(row)"
"""Columns that stand for event time and id in a table that has none."""


class Windows(Section):
    """Which rows a run learns from and is judged on; both end where labels have matured at as-of."""

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
    """Which levels are shown together, as `(other levels)`, in evidence, cards, reports of checks, the trained domain and references of the watch."""

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
    """Of two classes the positive one: whose probability is predicted, which thresholds call, and which recall and costs are about. Required unless the classes are true and false, yes and no, or 1 and 0."""
    entity: str | None = None
    """A column that says what a row is about, such as a patient, if none may be in both training and holdout: a tripwire then holds that. In a table without time, all rows about one of them have the same lot."""
    pool_levels: Annotated[
        PoolLevels | None,
        BeforeValidator(
            lambda value: {"below": value} if isinstance(value, int) else value,
            json_schema_input_type=PoolLevels | int | None,
        ),
    ] = Field(default=None, exclude_if=lambda pooling: pooling is None)
    """Levels that few people have are named by nothing that is kept for ever, see PoolLevels and [docs/retention.md](retention.md#levels-of-few-people). A number alone is its `below`."""
    partition: Slot = Slot.MONTH
    """How much event time one stored partition holds: `hour`, `day` or `month`."""
    label_delay: Duration = Duration("0s")
    """How long after its event time a row's target is known."""
    windows: Windows | None = None
    """Required with `event_time`, and only there."""
    min_coverage: float | None = Field(default=None, gt=0, le=1, exclude_if=lambda share: share is None)
    """The least share of the partitions of the declared training window that have rows, such as `0.9`; below it the gate holds. Without it a window that is longer than the data, or has gaps, is shown and no more. Only with `event_time`."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows in the holdout of a table without time; 0.25 if left out."""
    equal_rows: Literal["together", "separate"] = Field(default="together", exclude_if=lambda way: way == "together")
    """What rows of a table are that have no `row_id` and are equal in all columns. `together`: one thing that stands several times; they are all in training or all in the holdout, and count as one where bounds are drawn. `separate`: different things that happen to be alike, such as people with the same answers; each has a lot of its own."""
    timezone: Zone = "UTC"
    """What event times without a zone mean, as an IANA name such as `America/New_York`."""
    ambiguous: Ambiguous = Field(default="refuse", exclude_if=lambda policy: policy == "refuse")
    """Which instant an event time without a zone means where a clock change shows it twice or never: the `earlier` or the `later` of the two; or the run stops and says so."""
    recheck: int = Field(default=1, ge=0)
    """How many of the newest partitions each run reads again, for late corrections."""
    wait: Annotated[
        Wait,
        BeforeValidator(
            lambda value: {"at_most": value} if isinstance(value, str | Duration) else value,
            json_schema_input_type=Duration | Wait,
        ),
    ] = Field(default=Wait(at_most=Duration("0s")), exclude_if=lambda wait: not wait.at_most)
    """How long after its as-of a run waits for the newest partition that is over by then, such as `6h`: for its first row, for more, or for a marker file, see Wait. It gives up its worker's slot meanwhile, looks again every few minutes, and goes on in the end with what there is; people are then told that it is `late`. A backfill of old dates does not wait."""
    corrections: Literal["as_now_known", "as_known_then"] = "as_now_known"
    """Which content of a partition that was corrected later a run reads: the newest, or the one that was known at its as-of (the first on record if none was)."""
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
            raise ValueError("expected no `wait` without `event_time`: nothing tells that a table is late")
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
            raise ValueError("expected `joins` only with `event_time`: they hold what was known by then")
        names = [name for join in self.joins for name, _, _, _ in join.made()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two joins make the column `{twice[0]}`: give one of them another `name`")
        for join in self.joins:
            if made := {name for name, _, _, _ in join.made()} & {self.event_time, *self.row_id, *self.labels}:
                raise ValueError(
                    f"the join `{join.name}` makes `{sorted(made)[0]}`, which the model's own source gives"
                )
            try:
                self.of_join(join)
            except ValidationError as error:
                told = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"in the join `{join.name}`: {told}") from None
        return self

    def of_join(self, join: Join) -> Data:
        """Return the declaration by which a second source is read, stored and pinned as this one is."""
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


class Expectation(Section):
    """One expectation under its Great Expectations name, with its arguments."""

    type: str
    """A Great Expectations name such as `expect_column_values_to_not_be_null`; those that need a SQL database are not available."""
    arguments: Annotated[dict[str, Any], AfterValidator(storable)]
    """Its arguments, as Great Expectations names them."""
    severity: Literal["critical", "warning"] = "warning"
    """What a failure means: `critical` stops the run without retries, `warning` is recorded. A check that can't be made at all always stops the run."""
    quarantine: bool = False
    """Set the offending rows aside and go on, below `max_quarantined`; for expectations on single rows, in place of `severity: critical` and `mostly`."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Expectation:
        if self.type not in EXPECTATIONS:
            close = nearest(self.type, EXPECTATIONS)
            hint = f"; did you mean `{close}`?" if close else ""
            raise ValueError(
                f"expected a Great Expectations name that a data frame can answer, found `{self.type}`{hint}"
            )
        if taken := sorted(_NOT_ARGUMENTS & self.arguments.keys()):
            raise ValueError(f"`{taken[0]}` of `{self.type}` is set by Ratchet: leave it out")
        if not self.quarantine:
            return self
        if self.type not in ROW_EXPECTATIONS:
            raise ValueError(
                f"expected `quarantine` only where single rows are judged; `{self.type}` judges all of them together"
            )
        if self.severity == "critical" or "mostly" in self.arguments:
            other = "mostly" if "mostly" in self.arguments else "severity: critical"
            raise ValueError(
                f"expected `quarantine` or `{other}`, found both; `quality.max_quarantined` bounds what is set aside"
            )
        return self


_NOT_ARGUMENTS = frozenset({"batch_id", "catch_exceptions", "id", "rendered_content", "result_format", "windows"})


class Quality(Section):
    """What must hold of the rows before anything learns from them."""

    expectations: tuple[Expectation, ...] = ()
    """Each is one entry `expect_...: {arguments}`, with `severity` and `quarantine` beside the arguments."""
    max_quarantined: float = Field(default=0.05, ge=0, le=1)
    """The largest share of rows that may be set aside; above it the run stops."""

    rectify: Rectify = Field(default=AS_READ, exclude_if=lambda rectify: rectify == AS_READ)
    """What is put right of rows as they are read, in training, scoring and serving alike: spellings, and rows that stand twice. Each is counted on the check report."""

    @field_validator("expectations", mode="before")
    @classmethod
    def _by_name(cls, entries: Any) -> Any:
        if not isinstance(entries, list | tuple):
            return entries
        return tuple(_expectation(entry) for entry in entries)


def _expectation(entry: Any) -> Any:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or {"type", "arguments"} <= entry.keys():
        return entry
    if len(entry) != 1:
        raise ValueError("expected one entry `expect_...: {arguments}`; two keys stand at one dash")
    ((name, arguments),) = entry.items()
    if arguments is not None and not isinstance(arguments, dict):
        raise ValueError(f"expected the arguments of `{name}` as `{{column: ...}}`, found {arguments!r}")
    arguments = dict(arguments or {})
    own = {key: arguments.pop(key) for key in ("severity", "quarantine") if key in arguments}
    return {"type": name, "arguments": arguments, **own}
