"""Summary of a ledger: the status of each version, the periods of each champion, and open tasks for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice, takewhile, zip_longest

from include.config.model import ModelConfig
from include.config.schedule_ticks import ticks_until
from include.evaluation.report.labels import metric_name
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome, Trigger, VersionState

STALE_AFTER = 3
"""A champion that this many scheduled retrainings did not replace is worth a look."""


class VersionStatus(StrEnum):
    """The status of a version, as people read it."""

    PROMOTED = "promoted"
    HELD = "held"
    REJECTED = "rejected"
    INCOMPARABLE = "incomparable"
    WITHDRAWN = "withdrawn"
    UNDECIDED = "undecided"


_FATES = {
    Outcome.PROMOTE: VersionStatus.PROMOTED,
    Outcome.HOLD: VersionStatus.HELD,
    Outcome.REJECT: VersionStatus.REJECTED,
    Outcome.INCOMPARABLE: VersionStatus.INCOMPARABLE,
}


@dataclass(frozen=True)
class VersionSummary:
    """One version in the history of its model."""

    standing: VersionState
    status: VersionStatus
    until: datetime | None
    """For a version in line: the instant from which another one is in force. None for the champion and for all that never were."""
    champion: bool

    @property
    def id(self) -> str:
        """The version's id."""
        return self.standing.version

    @property
    def as_of(self) -> datetime:
        """The instant that its run stood at."""
        return self.standing.as_of

    @property
    def since(self) -> datetime:
        """The instant from which it can be in force: its as-of, or that of the look at which it was decided on again."""
        return self.standing.since

    @property
    def backfilled(self) -> bool:
        """Whether a backfill made it, rather than a scheduled run or a person."""
        return self.standing.trigger is Trigger.BACKFILL

    @property
    def overridden(self) -> bool:
        """Whether a person promoted it although the gate alone would not have."""
        return self.standing.decision is not None and self.standing.decision.overrides

    @property
    def metric(self) -> str | None:
        """The primary metric that it was decided by."""
        return None if self.standing.decision is None else str(self.standing.decision.primary["metric"])

    @property
    def score(self) -> tuple[float | None, float | None, float | None]:
        """The primary metric on its own holdout: value, and the ends of its two-sided 95 % interval."""
        primary = {} if self.standing.decision is None else self.standing.decision.primary
        return primary.get("challenger"), primary.get("challenger_low"), primary.get("challenger_high")

    @property
    def verdict(self) -> str:
        """What was decided and why, in one sentence."""
        decision = self.standing.decision
        if decision is None and self.standing.origin is not None:
            return f"It was promoted in {self.standing.origin.store} and waits for the gate here: trigger the DAG reconsider."
        if decision is None:
            return "Nothing was decided yet: its run is under way, waits for an approval, or ended before the gate."
        metric = str(decision.primary["metric"])
        reason = decision.reason.replace(metric, metric_name(metric), 1).rstrip(".")
        if self.standing.rebuilt_as is not None:
            reason += f". Trained again under other libraries, its equal {self.standing.rebuilt_as} has its place now"
        elif self.standing.rebuild_of is not None:
            reason = f"as the equal of {self.standing.rebuild_of}, trained again under other libraries; of that one: {reason}"
        if self.standing.withdrawn is not None:
            return (
                f"Withdrawn: {self.standing.withdrawn.rstrip('.')}. It had been {_FATES[decision.outcome]}: {reason}."
            )
        return f"{self.status.capitalize()}: {reason}."


@dataclass(frozen=True)
class History:
    """All versions of a model in their order, the oldest first."""

    model: str
    versions: tuple[VersionSummary, ...]

    @property
    def champion(self) -> VersionSummary | None:
        """The version in force at the end of time."""
        return next((summary for summary in reversed(self.versions) if summary.champion), None)

    @property
    def next_in_line(self) -> VersionSummary | None:
        """The version that would be in force if the champion were rolled back."""
        in_line = [summary for summary in self.versions if summary.standing.in_line]
        return in_line[-2] if len(in_line) > 1 else None

    @property
    def newest(self) -> VersionSummary | None:
        """The version of the newest as-of, in any state."""
        return self.versions[-1] if self.versions else None

    def named(self, text: str) -> list[VersionSummary]:
        """Return the versions that a text may mean, by `Timeline.named`."""
        wanted = set(Timeline(tuple(summary.standing for summary in self.versions)).named(text))
        return [summary for summary in self.versions if summary.id in wanted]


def history(model: str, timeline: Timeline) -> History:
    """Tell a model's history from its timeline."""
    versions: list[VersionSummary] = []
    until: datetime | None = None
    champion_seen = False
    for standing in reversed(timeline.standings):
        versions.append(
            VersionSummary(
                standing,
                _status_of(standing),
                until if standing.in_line else None,
                champion=standing.in_line and not champion_seen,
            )
        )
        if standing.in_line:
            until, champion_seen = standing.since, True
    return History(model, tuple(reversed(versions)))


def _status_of(standing: VersionState) -> VersionStatus:
    if standing.withdrawn is not None:
        return VersionStatus.WITHDRAWN
    return VersionStatus.UNDECIDED if standing.decision is None else _FATES[standing.decision.outcome]


def champion_periods(of: History, *, timeless: bool = False) -> Iterator[tuple[VersionSummary, VersionSummary | None]]:
    """Yield each version that was in force, with its successor, or None for the champion.

    Parameters
    ----------
    timeless : bool
        Also those that another one replaced from their first instant on: of a table without event time they were in force in their
        turn, whereas in time such a version never was.
    """
    in_line = [summary for summary in of.versions if summary.standing.in_line]
    for summary, following in zip_longest(in_line, in_line[1:]):
        if timeless or following is None or following.since != summary.since:
            yield summary, following


def scheduled_since(model: ModelConfig, instant: datetime, now: datetime, *, at_most: int) -> int:
    """Count the scheduled retrainings after ``instant`` and before ``now``, up to ``at_most``.

    Parameters
    ----------
    instant, now : datetime
        Bounds of the span of time, both left out.
    at_most : int
        Where counting stops.
    """
    cron = model.schedule.retrain_cron
    if cron is None:
        return 0
    after, until = max(instant, model.schedule.start), min(now, model.schedule.end or now)
    ticks = takewhile(lambda tick: tick > after, ticks_until(cron, until, model.schedule.timezone))
    return sum(1 for _ in islice(ticks, at_most))


def attention_needed(model: ModelConfig, of: History, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what a person should look at: what kind of thing it is, and a sentence."""
    champion = of.champion
    if champion is None:
        if of.versions:
            many = "s" if len(of.versions) > 1 else ""
            sentence = f"it has {len(of.versions)} version{many} but no champion: none was promoted, or those that were are withdrawn."
            yield "no champion", sentence
        return
    if scheduled_since(model, champion.since, now, at_most=STALE_AFTER) < STALE_AFTER:
        return
    if model.data.timeless and champion is of.versions[-1]:
        return  # however old, it is of the table as it still is, or its next run says so
    newer = [summary for summary in of.versions if summary.since > champion.since]
    if newer:
        yield (
            "stale",
            f"its champion stands since {champion.since:%-d %B %Y}: {len(newer)} newer version{'s' if len(newer) > 1 else ''} "
            f"did not replace it, the last one {newer[-1].status}.",
        )
    else:
        yield "stale", f"its champion stands since {champion.since:%-d %B %Y}, and no version was trained since."
