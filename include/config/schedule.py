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
    """Retraining when upstream assets change, and on time as well if `cron` is given."""

    on: tuple[str, ...] = Field(min_length=1)
    """Airflow assets by URI, such as `s3://lake/orders`, or by name: a run begins when all of them were updated since the last one, and stands at the moment it begins. An event with a partition key wakes only DAGs of partitions: give a `cron` and `data.wait` for those."""
    cron: str | None = None
    """A cron expression or a preset, at whose ticks it is retrained all the same; backfills need one."""

    _readable = field_validator("cron")(_is_schedule)


class Audit(Section):
    """Auditing in parts."""

    cron: str
    """A cron expression or a preset, at whose ticks a part is audited."""
    calls: int = Field(default=10_000, ge=100)
    """How many calls of the store one run may cost; the next run goes on where it ended, and begins anew after the last object."""

    _readable = field_validator("cron")(_is_schedule)


class Schedule(Section):
    """When the model's DAGs run."""

    retrain: str | Retrain | None = None
    """A cron expression or an Airflow preset such as `@monthly`; each run stands at its logical date. Or upstream assets, `{on: [...], cron: ...}`. Left out: only by hand."""
    score: str | None = None
    """The same for batch predictions, on time only; each run predicts the rows between the tick before its logical date and that date, or all rows of a table without event time. Left out: only by hand, one partition (or the table) at a time."""
    monitor: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The same for watching the champion, on time only; each run looks at the rows that were predicted between the tick before its logical date and that date. Left out: the champion is not watched."""
    audit: str | Audit | None = Field(default=None, exclude_if=lambda value: value is None)
    """The same for auditing: everything that the ledger names is read again and held against its name, its signature and its evidence. Or `{cron: ..., calls: ...}`, with what one run may cost. Left out: nothing is audited by itself."""
    timezone: Zone = Field(default="UTC", exclude_if=lambda name: name == "UTC")
    """What the expressions mean, and `start` and `end` if they are written without a zone: an IANA name such as `Europe/Berlin`. Daylight saving time moves the ticks as it moves the clocks."""
    start: datetime
    """The first date that a scheduled run or a backfill may stand at."""
    end: datetime | None = None
    """The last one; left out for a model that goes on."""

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
