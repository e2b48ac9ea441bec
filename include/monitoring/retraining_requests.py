"""Retraining requests: one for any number of alarms, without losses, duplicates or loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.config.sections.watch import Watch
from include.monitoring.alarms import Alarm
from include.storage.content import from_iso, to_iso
from include.storage.log import Entry

REQUEST, TAKEN = "request", "taken"
ASKING = {"never": (), "on_performance": ("performance",), "on_drift": ("performance", "drift")}
"""Which alarms ask, by ``watch.retrain``. Broken data never does."""


@dataclass(frozen=True)
class Request:
    """A request for a retraining.

    Parameters
    ----------
    version : str
        The champion that the alarms are about.
    as_of : datetime
        The end of the interval that requested it: the as-of of the retraining is there or later.
    alarms : tuple of str
        The keys of the alarms behind it.
    """

    version: str
    as_of: datetime
    alarms: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the event's body."""
        return {"version": self.version, "as_of": to_iso(self.as_of), "alarms": list(self.alarms)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Request:
        """Read the event's body."""
        return cls(value["version"], from_iso(value["as_of"]), tuple(value["alarms"]))


@dataclass(frozen=True)
class RequestState:
    """What was asked for and taken, folded from a watch log.

    ``asked`` are all requests in their order, ``taken`` how many of them a retraining has taken.
    """

    asked: tuple[Request, ...] = ()
    taken: int = 0
    runs: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Request, ...]:
        """Requests that no retraining has taken; one is enough for all of them."""
        return self.asked[self.taken :]


def request_state(entries: Iterable[Entry]) -> RequestState:
    """Fold the events of a watch log into the requests and those that runs have taken."""
    asked: list[Request] = []
    taken, runs = 0, []
    for entry in entries:
        if entry.kind == REQUEST:
            asked.append(Request.from_json(entry.body))
        elif entry.kind == TAKEN:
            taken = max(taken, entry.body["requests"])
            runs.append(entry.body["run"])
    return RequestState(tuple(asked), taken, tuple(runs))


@dataclass(frozen=True)
class Wanted:
    """What follows from alarms at one interval: a request, or the reason why there is none."""

    request: Request | None
    because: str


def wanted(alarms: Sequence[Alarm], state: RequestState, watch: Watch, champion: str | None, until: datetime) -> Wanted:
    """Return the request that is due at the end of an interval.

    Parameters
    ----------
    alarms : sequence of Alarm
        All that were raised until then; those of backfilled intervals show what they would have asked, by `would_ask`, and ask nothing.
    state : RequestState
    watch : Watch
    champion : str or None
        The version in force at the end of the interval: alarms about another one have been answered by it.
    until : datetime
        Everything here is logical time; when a task happens to run plays no part.
    """
    known = {key for one in state.asked for key in one.alarms}
    kinds = ASKING[watch.retrain]
    new = [
        one
        for one in alarms
        if one.kind in kinds
        and one.version == champion
        and not one.backfilled
        and one.until <= until
        and one.key not in known
    ]
    if not new or champion is None:
        return Wanted(None, "no alarm asks for one")
    if state.pending:
        return Wanted(None, "one is asked for and not taken yet; it will see these alarms' rows, too")
    if sum(one.version == champion for one in state.asked) >= watch.attempts:
        said = f"{watch.attempts} retrainings were asked for under this champion and none took its place: a person has to look"
        return Wanted(None, said)
    newest = max((one.as_of for one in state.asked), default=None)
    if newest is not None and until < newest + watch.cooldown:
        return Wanted(None, f"the last one was asked for less than {watch.cooldown} before; the alarms wait")
    return Wanted(Request(champion, until, tuple(sorted(one.key for one in new))), "alarms ask for one")


def would_ask(alarms: Sequence[Alarm], watch: Watch) -> tuple[Request, ...]:
    """Return the requests that alarms would have made, one interval after the other, each taken at once.

    For the page of a backfilled monitor. That another champion would have followed is not taken into account.
    """
    state = RequestState()
    live = [Alarm(**{**vars(one), "backfilled": False}) for one in alarms]
    for until in sorted({one.until for one in live}):
        for champion in dict.fromkeys(one.version for one in live if one.until == until):
            request = wanted(live, state, watch, champion, until).request
            if request is not None:
                state = RequestState((*state.asked, request), len(state.asked) + 1)
    return state.asked
