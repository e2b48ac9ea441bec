"""Open tasks for a person in the monitoring of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.config.model import ModelConfig
from include.monitoring.alarms import Alarm
from include.monitoring.performance.probation import ProbationState, ProbationVerdict
from include.monitoring.retraining_requests import RequestState
from include.monitoring.segment_states import SegmentWatched
from include.monitoring.withdrawal import withdrawal_reason
from include.registry.timeline import Timeline


@dataclass(frozen=True)
class Need:
    """Something that waits for a person: what kind of thing it is, a sentence, and the version that it is about."""

    kind: str
    sentence: str
    version: str


def needs_of(
    model: ModelConfig,
    version: str,
    timeline: Timeline,
    alarms: Sequence[Alarm],
    state: RequestState,
    probation: ProbationState | None,
    concluded: bool,
    predecessor: str | None,
    until: datetime,
) -> list[Need]:
    """Return what waits for a person while a version is the champion.

    Parameters
    ----------
    model : ModelConfig
    version : str
        The version that is watched.
    timeline : Timeline
    alarms : sequence of Alarm
        All that stand of it.
    state : RequestState
        The retrainings that were asked for.
    probation : ProbationState or None
    concluded : bool
        Whether the probation's verdict is on record.
    predecessor : str or None
        The champion before it.
    until : datetime
        The end of the newest interval.
    """
    if timeline.original_of(timeline.champion) != version:
        return []
    found, page = [], timeline.in_place_of(version)
    if concluded and probation is not None and probation.verdict is ProbationVerdict.WORSE and predecessor is not None:
        found.append(Need("probation", f"its champion is {withdrawal_reason(model, predecessor, probation)}.", page))
    pending, asked = state.pending, sum(one.version == version for one in state.asked)
    if pending:
        said = f"a retraining as of {pending[-1].as_of:%-d %B %Y} is requested, and no run has started it yet."
        found.append(Need("request", said, page))
    elif asked >= model.watch.attempts:
        said = f"{asked} retrainings were requested under this champion, and none replaced it: no more are requested."
        found.append(Need("request", said, page))
    known = {key for one in state.asked for key in one.alarms}
    week = [one for one in alarms if (until - one.until).days < 7 and one.key not in known and not one.backfilled]
    found += [Need("broken data" if one.kind == "data_fault" else "alarm", f"{one.said}.", page) for one in week]
    return found


def needs_of_segments(segments: Sequence[SegmentWatched], state: RequestState, until: datetime) -> list[Need]:
    """Return what waits for a person in the watching of segments: alarms of a week that asked for nothing, and worse versions."""
    known, found = {key for one in state.asked for key in one.alarms}, []
    for one in segments:
        if one.probation is not None and one.probation.verdict is ProbationVerdict.WORSE:
            found.append(Need("alarm", f"The version of segment {one.level} is {one.probation_said}.", one.version))
        week = [alarm for alarm in one.alarms if (until - alarm.until).days < 7 and not alarm.backfilled]
        found += [Need("alarm", f"{alarm.said}.", one.version) for alarm in week if alarm.key not in known]
    return found
