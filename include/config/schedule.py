"""The schedule of a model: when it is retrained, scored, monitored and audited."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from include.config.schedule_ticks import PRESETS, is_cron
from include.config.section import Section
from include.config.time_zones import Zone


def _is_schedule(text: str | None) -> str | None:
    if text is not None and not is_cron(text):
        raise ValueError(f"expected a cron expression of five fields or one of {', '.join(PRESETS)}")
    return text


class Retrain(Section):
    """Retraining when upstream assets are updated, and also on a schedule if `cron` is given."""

    on: tuple[str, ...] = Field(min_length=1)
    """Airflow assets by URI, such as `s3://lake/orders`, or by name: a run starts when all of them were updated since the last run, and its as-of is the moment at which it starts. An event with a partition key triggers only partitioned DAGs: for such assets declare `cron` and `data.wait`."""
    cron: str | None = None
    """A cron expression or a preset: an additional schedule, which backfills need."""

    _readable = field_validator("cron")(_is_schedule)


class Audit(Section):
    """Auditing in parts."""

    cron: str
    """A cron expression or a preset: the schedule of audits, each of one part."""
    calls: int = Field(default=10_000, ge=100)
    """The number of store calls that one run may make; the next run continues where it ended, and starts again after the last object."""

    _readable = field_validator("cron")(_is_schedule)


class Schedule(Section):
    """When the model's DAGs run."""

    retrain: str | Retrain | None = None
    """A cron expression or an Airflow preset such as `@monthly`; the as-of of each run is its logical date. Or upstream assets, `{on: [...], cron: ...}`. Left out: only manual runs."""
    score: str | None = None
    """The schedule of batch predictions, without assets; each run predicts the rows between the tick before its logical date and that date, or all rows of a table without event time. Left out: only manual runs, each for one partition (or the table)."""
    monitor: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The schedule of monitoring the champion, without assets; each run evaluates the rows that were predicted between the tick before its logical date and that date. Left out: the champion is not monitored."""
    audit: str | Audit | None = Field(default=None, exclude_if=lambda value: value is None)
    """The schedule of audits: everything that the ledger names is read again and verified against its digest, its signature and its evidence. Or `{cron: ..., calls: ...}`, with the cost of one run. Left out: audits only run when triggered."""
    timezone: Zone = Field(default="UTC", exclude_if=lambda name: name == "UTC")
    """The time zone of the expressions, and of `start` and `end` if they have no offset: an IANA name such as `Europe/Berlin`. The ticks follow daylight saving time."""
    start: datetime
    """The first as-of of a scheduled run or a backfill."""
    end: datetime | None = None
    """The last as-of; left out for a model without an end."""

    @field_validator("retrain", "score", "monitor", "audit")
    @classmethod
    def _readable(cls, value: str | Retrain | Audit | None) -> str | Retrain | Audit | None:
        return _is_schedule(value) if isinstance(value, str) else value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _utc(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if not isinstance(value, datetime):
            return value
        if not 1900 <= value.year < 2200:
            raise ValueError("expected a date between 1900 and 2200")
        if value.tzinfo is None:
            value = value.replace(tzinfo=ZoneInfo(info.data.get("timezone", "UTC")))
        return value.astimezone(UTC)

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if self.end is not None and self.end < self.start:
            raise ValueError("expected `end` at or after `start`")
        return self

    @property
    def retrain_cron(self) -> str | None:
        """The expression at whose ticks the model is retrained, if there is one."""
        return self.retrain.cron if isinstance(self.retrain, Retrain) else self.retrain

    @property
    def audits(self) -> Audit | None:
        """When and at which cost the model is audited, if it is."""
        return Audit(cron=self.audit) if isinstance(self.audit, str) else self.audit

    @property
    def upstream(self) -> tuple[str, ...]:
        """The assets whose updates retrain it."""
        return self.retrain.on if isinstance(self.retrain, Retrain) else ()
