"""The `retention` section: how long objects are kept that nothing needs."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from include.config.durations import Duration
from include.config.schedule_ticks import PRESETS, is_cron
from include.config.section import Section


class Retention(Section):
    """How long objects are kept that nothing needs any more. Events, decisions, evidence and records always stay."""

    versions: Duration | None = None
    """Model files and golden rows of versions that can't come into force any more: rejected, withdrawn, or rebuilt. Counted from the last event of the version. Left out: for ever."""
    scores: Duration | None = None
    """Files of batch scores, except those whose labels monitoring still waits for. Their manifests stay. Left out: for ever."""
    quarantine: Duration | None = None
    """Lists of quarantined rows, except those of the versions that are kept. Left out: for ever."""
    grace: Duration = Field(default=Duration("7d"))
    """How long an object is marked before it is removed; a task that needs it during this time takes the mark back. It must be longer than any task, and at least a day."""
    cron: str = "@weekly"
    """A cron expression or a preset: the schedule of `tidy_<model>`."""
    remove: bool = False
    """Whether scheduled runs remove objects. Otherwise they only report what they would remove."""

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: str) -> str:
        if not is_cron(value):
            raise ValueError(f"expected a cron expression of five fields or one of {', '.join(PRESETS)}")
        return value

    @field_validator("grace")
    @classmethod
    def _long_enough(cls, value: Duration) -> Duration:
        if value.about() < timedelta(days=1):
            raise ValueError("expected a grace period of at least a day, longer than any task")
        return value

    @field_validator("versions", "scores", "quarantine")
    @classmethod
    def _some_time(cls, value: Duration | None) -> Duration | None:
        if value is not None and not value:
            raise ValueError("expected a length above zero")
        return value
