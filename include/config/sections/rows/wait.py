"""The `wait` section: how long a run waits for its newest partition, and for which sign of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from include.config.durations import Duration
from include.config.section import Section
from include.config.sections.rows.sources import DATE_PARTS, Slot, check_pattern

_HOUR = Duration("1h")
_PARTS = {Slot.MONTH: DATE_PARTS[:2], Slot.DAY: DATE_PARTS[:3], Slot.HOUR: DATE_PARTS}


class Wait(Section):
    """How long a run waits for its newest partition, and for which sign of it."""

    at_most: Duration
    """How long after the run's as-of."""
    until: Literal["rows", "watermark", "file"] = "rows"
    """`rows`: until the partition has at least `rows` rows. `watermark`: until its newest row lies no further than `within` before its end, so that a partition that is still being loaded does not count as complete. `file`: until the marker file exists that the writer of the rows creates when it is done; nothing of the partition is read before."""
    rows: int = Field(default=1, ge=1)
    """For `until: rows`: how many."""
    within: Duration = _HOUR
    """For `until: watermark`."""
    file: str | None = Field(default=None, exclude_if=lambda path: path is None)
    """For `until: file`: the marker, on disk or behind `s3://`, with the date parts of the partition as in the `path` of a source: `s3://lake/orders/%Y-%m-%d/_SUCCESS`. Where a partition has several dates, such as a month of daily markers, each of them needs its own, also one that a date of the time zone begins in the partition and ends after it. A relative path starts at the model's folder."""
    connection: str | None = Field(default=None, exclude_if=lambda name: name is None)
    """For `until: file`: the Airflow connection (type `aws`) that opens the marker's bucket; the default chain of AWS credentials if left out."""

    @field_validator("file")
    @classmethod
    def _understood(cls, path: str | None) -> str | None:
        if path is not None:
            check_pattern(path)
            if path.endswith("/"):
                raise ValueError(f"expected a file, found the folder `{path}`")
        return path

    @model_validator(mode="after")
    def _of_one_kind(self) -> Wait:
        if self.until != "rows" and self.rows != 1:
            raise ValueError("expected `rows` with `until: rows` only")
        if self.until != "watermark" and self.within != _HOUR:
            raise ValueError("expected `within` with `until: watermark` only")
        if self.until == "file" and self.file is None:
            raise ValueError("expected `file` with `until: file`, such as `file: s3://lake/orders/%Y-%m-%d/_SUCCESS`")
        if self.until != "file" and (self.file, self.connection) != (None, None):
            raise ValueError("expected `file` and `connection` with `until: file` only")
        return self

    def lacks_for(self, partition: Slot) -> str | None:
        """Return the first date part that the marker's name needs to tell partitions apart, and does not have."""
        return next((part for part in _PARTS[partition] if part not in (self.file or "")), None)

    def last_due(self, zone: ZoneInfo) -> timedelta:
        """Return how long after a partition's end in UTC its last marker is due: when the zone's date at that end is over.

        Parameters
        ----------
        zone : ZoneInfo
            That of the marker's date parts.
        """
        longest, file = timedelta(0), str(self.file)
        for month in (1, 7):  # in winter and in summer time
            end = datetime(2026, month, 1, tzinfo=UTC)
            hour = (end - timedelta(microseconds=1)).astimezone(zone).replace(minute=0, second=0, microsecond=0)
            if "%H" in file:
                after = hour + timedelta(hours=1)
            elif "%d" in file:
                after = hour.replace(hour=0) + timedelta(days=1)
            else:
                after = (hour.replace(day=1, hour=0) + timedelta(days=32)).replace(day=1)
            longest = max(longest, after.astimezone(UTC) - end)
        return longest

    @model_serializer(mode="wrap")
    def _as_declared(self, handler: SerializerFunctionWrapHandler) -> Any:
        # A length of time alone stays one: declarations that say no more keep their digests.
        return str(self.at_most) if self == Wait(at_most=self.at_most) else handler(self)
