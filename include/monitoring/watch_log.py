"""The watch log of one model: what was observed, measured, told and asked, append-only, beside the ledger.

The ledger alone says which version is in force; what stands here follows from it and from rows, and can be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from include.config.sections.watch import Watch
from include.monitoring.alarms import Alarm, Observed
from include.monitoring.drift.periods import Period
from include.monitoring.performance.measured import Performance
from include.monitoring.performance.probation import Paired, ProbationState
from include.monitoring.retraining_requests import REQUEST, TAKEN, Request, request_state, wanted
from include.storage.content import canonical_json, from_iso, read_json, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

OBSERVED, MEASURED, PAIRED, ALARM, VERDICT, EARLIER = "observed", "measured", "paired", "alarm", "verdict", "earlier"
SEGMENTS = "segments"
"""The kind of the events that say of which segments' versions an interval was measured."""
Body = dict[str, Any]


class WatchLog:
    """The events of one model.

    Every method can be repeated: what stands already is not written again. Of several observations of one interval, such as
    after its rows were corrected, the last stands.
    """

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/watch/log")

    def entries(self) -> tuple[Entry, ...]:
        """Return the events, their chain verified."""
        return self._log.read()

    def observe(self, observed: Observed, *, sources: Body, at: datetime) -> None:
        """Put on record what an interval's rows were like, and what that was computed from."""
        self._once(OBSERVED, {**observed.to_json(), "sources": sources}, at, by=("version", "until"))

    def measure(
        self, performance: Performance, *, details: str, labels: Body | None, reference: str | None = None, at: datetime
    ) -> None:
        """Put on record how the champion did on an interval's matured labels.

        Parameters
        ----------
        details : str
            The digest of all that was measured.
        labels : dict or None
            The labels themselves, counted: a `Period`.
        reference : str or None
            The digest of what they were counted under.
        """
        body = {**performance.to_json(), "details": details, "labels": labels, "reference": reference}
        self._once(MEASURED, body, at, by=("version", "until"))

    def pair(self, paired: Paired, *, at: datetime) -> None:
        """Put on record how champion and predecessor did on the same rows."""
        self._once(PAIRED, paired.to_json(), at, by=("version", "predecessor", "until"))

    def compare(
        self, version: str, until: datetime, period: Period, *, of: Sequence[str], labels: bool, at: datetime
    ) -> None:
        """Put on record what the same season of earlier years was like.

        Parameters
        ----------
        version : str
            The version whose interval it is, and in whose bins it is counted.
        until : datetime
            The end of its interval.
        period : Period
            Its intervals, pooled.
        of : sequence of str
            The digests of the sketches that they were counted from.
        labels : bool
            Whether labels were counted, and not what was predicted.
        """
        body = {"version": version, "until": to_iso(until), "labels": labels, "of": list(of)}
        body["period"] = period.to_json()
        self._once(EARLIER, body, at, by=("version", "until", "labels"))

    def segments_measured(
        self,
        after: datetime,
        until: datetime,
        observed: int,
        versions: dict[str, str],
        skipped: dict[str, str],
        *,
        at: datetime,
    ) -> None:
        """Put on record that an interval's matured labels were held against what segments' versions said; each has it in its own log.

        Parameters
        ----------
        after, until : datetime
            The interval.
        observed : int
            The number of the entry by which it was observed.
        versions : dict of str to str
            The version of each segment that answered there.
        skipped : dict of str to str
            Why one could not be measured, by its segment.
        at : datetime
            The instant that goes on record.
        """
        of = {"after": to_iso(after), "until": to_iso(until), "observed": observed}
        self._once(SEGMENTS, {**of, "versions": versions, "skipped": skipped}, at, by=("until",))

    def tell(self, alarms: Iterable[Alarm], until: datetime, *, at: datetime) -> tuple[Alarm, ...]:
        """Put alarms on record that are not, and return those that this interval put there.

        A monitor that was killed between the record and the message finds them again when it is repeated.
        """
        listed = list(alarms)
        known = _told(self.entries()) if listed else {}
        for alarm in (one for one in listed if one.key not in known):  # those of earlier intervals cost nothing
            body = {
                **{name: getattr(alarm, name) for name in ("key", "kind", "version", "subject", "said")},
                **{name: to_iso(getattr(alarm, name)) for name in ("after", "until", "since")},
                "told": to_iso(until),
            }

            def unless_told(entries: tuple[Entry, ...], body: Body = body) -> tuple[str, Body] | None:
                return None if body["key"] in _told(entries) else (ALARM, body)

            self._log.append(unless_told, at=to_iso(at))
        known = _told(self._log.known)
        return tuple(one for one in listed if known[one.key] == to_iso(until))

    def ask(
        self,
        alarms: tuple[Alarm, ...],
        watch: Watch,
        champion: Callable[[], str | None],
        until: datetime,
        *,
        at: datetime,
    ) -> Request | None:
        """Ask for a retraining if one is due; of racing monitors one asks."""

        def if_due(entries: tuple[Entry, ...]) -> tuple[str, Body] | None:
            request = wanted(alarms, request_state(entries), watch, champion(), until).request
            return None if request is None else (REQUEST, request.to_json())

        entry = self._log.append(if_due, at=to_iso(at))
        return None if entry is None else Request.from_json(entry.body)

    def take(self, run: str, *, at: datetime, as_of: datetime | None = None) -> tuple[Request, ...]:
        """Take every pending request for one run of the retraining; repeated by the same run, the same ones are returned.

        A request that is made while the run is under way stays pending: one run after this one will take it.

        Parameters
        ----------
        as_of : datetime, optional
            Where the run stands: it does not take what was asked as of a later instant, whose rows it does not see. Without
            one it takes all, to stand where the newest of them was asked.
        """

        def unless_taken(entries: tuple[Entry, ...]) -> tuple[str, Body] | None:
            state = request_state(entries)
            if run in state.runs:
                return None
            seen = list(takewhile(lambda one: as_of is None or one.as_of <= as_of, state.pending))
            return (TAKEN, {"run": run, "requests": state.taken + len(seen)}) if seen else None

        self._log.append(unless_taken, at=to_iso(at))
        before = 0
        for entry in self.entries():
            if entry.kind == TAKEN:
                if entry.body["run"] == run:
                    return request_state(self.entries()).asked[before : entry.body["requests"]]
                before = entry.body["requests"]
        return ()

    def conclude(
        self, version: str, predecessor: str, standing: ProbationState, until: datetime, *, at: datetime
    ) -> bool:
        """Put a probation's verdict on record; the first stands. Return whether it was put there by this interval.

        A monitor that was killed between the record and the message finds it again when it is repeated.
        """
        pair = {"version": version, "predecessor": predecessor}

        def known(entries: tuple[Entry, ...]) -> Body | None:
            found = (one.body for one in entries if one.kind == VERDICT and pair.items() <= one.body.items())
            return next(found, None)

        def unless_concluded(entries: tuple[Entry, ...]) -> tuple[str, Body] | None:
            told = {"told": to_iso(until)}
            return (VERDICT, {**pair, **standing.to_json(), **told}) if known(entries) is None else None

        self._log.append(unless_concluded, at=to_iso(at))
        concluded = known(self.entries())
        return concluded is not None and concluded["told"] == to_iso(until)

    def _once(self, kind: str, body: Body, at: datetime, *, by: tuple[str, ...]) -> None:
        stored = read_json(canonical_json(body))

        def unless_in_force(entries: tuple[Entry, ...]) -> tuple[str, Body] | None:
            same = [one for one in entries if one.kind == kind and all(one.body[name] == stored[name] for name in by)]
            return None if same and same[-1].body == stored else (kind, body)

        self._log.append(unless_in_force, at=to_iso(at))


def _told(entries: Iterable[Entry]) -> dict[str, str]:
    """Return by the key of each alarm on record the end of the interval that put it there."""
    return {one.body["key"]: one.body["told"] for one in entries if one.kind == ALARM}


def observed_in(entries: Iterable[Entry], version: str) -> tuple[Observed, ...]:
    """Return the observations under one champion, in the order of the log."""
    return tuple(
        Observed.from_json(one.body) for one in entries if one.kind == OBSERVED and one.body["version"] == version
    )


def measured_in(entries: Iterable[Entry], version: str) -> tuple[Performance, ...]:
    """Return a champion's performance by interval, in the order of time; of several of one interval the last stands."""
    found = [one.body for one in entries if one.kind == MEASURED and one.body["version"] == version]
    newest = {one["until"]: Performance.from_json(one) for one in found}
    return tuple(sorted(newest.values(), key=lambda one: one.until))


def paired_in(entries: Iterable[Entry], version: str, predecessor: str) -> tuple[Paired, ...]:
    """Return the pairs of a champion and its predecessor, in the order of the log."""
    pair = {"version": version, "predecessor": predecessor}
    return tuple(
        Paired.from_json(one.body) for one in entries if one.kind == PAIRED and pair.items() <= one.body.items()
    )


def earlier_in(entries: Iterable[Entry], version: str, *, labels: bool = False) -> dict[datetime, Period]:
    """Return the same season of earlier years, by the end of each of a version's; of several records the last stands."""
    return {
        from_iso(one.body["until"]): Period.from_json(one.body["period"])
        for one in entries
        if one.kind == EARLIER and one.body["version"] == version and one.body["labels"] == labels
    }
