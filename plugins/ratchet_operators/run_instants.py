"""The instants of a run: its start, the instant of recording, and its as-of."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.config.model import ModelConfig
from include.errors import ConfigError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def now(context: Context) -> datetime:
    """Return the instant that goes on record, for people; the one place where the wall clock is read.

    Never before the run began, however slow a worker's clock is.
    """
    return max(datetime.now(UTC), began(context))


def began(context: Context) -> datetime:
    """Return when the run began, by the clock of Airflow that starts runs and not by a worker's."""
    run = context["dag_run"]
    began: datetime = max(run.start_date or run.run_after, run.run_after)
    return began.astimezone(UTC)


def as_of(context: Context, config: ModelConfig) -> datetime:
    """Return the as-of of a run, and log its origin.

    It is the logical date for scheduled runs and backfills, even if the form has another one; for a run of an upstream
    asset, the moment at which it was triggered. For a manual run it is the form's *As of*; if that is empty, the logical
    date that it was given; without one, ``schedule.end`` if that is past, or else the moment at which it was triggered.
    """
    instant, source = stand(context["dag_run"], context["params"].get("as_of"), config.schedule.end)
    log.info("The as-of of this run is %s: %s.", instant.isoformat(), source)
    return instant


def run_type(run: Any) -> str:
    """Return the type of a run, as tasks or the scheduler know it, such as ``backfill``."""
    return str(getattr(run.run_type, "value", run.run_type))


def stand(run: Any, wanted: Any, end: datetime | None) -> tuple[datetime, str]:
    """Return the as-of of a run, and its origin in words.

    Parameters
    ----------
    run : DagRun
        As tasks or the scheduler know it.
    wanted : str or None
        The form's *As of*.
    end : datetime or None
        ``schedule.end`` of the model.

    Raises
    ------
    ConfigError
        When *As of* is not a date and time, or is in the future.
    """
    kind = run_type(run)
    if kind in ("backfill", "scheduled"):
        return (run.logical_date or run.run_after).astimezone(UTC), "the date of the schedule"
    if kind == "asset_triggered":
        return run.run_after.astimezone(UTC), "when an upstream asset was updated"
    if wanted:
        return _read_as_of(run, wanted), "the form's As of"
    if run.logical_date is not None:
        return run.logical_date.astimezone(UTC), "the run's logical date"
    if end is not None and end < run.run_after:
        return end, "the end of the model's schedule"
    return run.run_after.astimezone(UTC), "when it was triggered"


def _read_as_of(run: Any, wanted: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(str(wanted))
    except ValueError as error:
        raise ConfigError(
            "The form's as-of is not a date and time.", expected="such as 2013-09-01T00:00:00Z", found=wanted
        ) from error
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    if instant > run.run_after:
        raise ConfigError(
            "The form's as-of lies in the future.",
            expected=f"at or before {run.run_after:%Y-%m-%d %H:%M}, when the run was triggered",
            found=wanted,
            where=f"DAG {run.dag_id}, field as_of",
        )
    return instant
