"""The delivery log: which scores were delivered where, for the pages and for erasure.

The destination is authoritative for its rows; the log records which publication was delivered to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from include.config.sections.score import Delivery, TableDelivery
from include.data.windows import Window
from include.registry.timeline import Timeline
from include.scoring.publication import Manifest, name_of, window_of
from include.storage.content import from_iso, known_fields, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

DELIVERED, ERASED = "delivered", "erased"


@dataclass(frozen=True)
class DeliveryRecord:
    """One interval at one place.

    Attributes
    ----------
    place : str
        As `place_of` names it.
    interval : str
        As `include.scoring.publication.name_of` names it.
    version, scores : str
        Of the publication: by whom, and the digest of its bytes.
    publication : int
        Its number among those of the interval, from 1.
    rows : int
        How many rows the publication has.
    """

    place: str
    interval: str
    version: str
    publication: int
    scores: str
    rows: int


@dataclass(frozen=True)
class DeliveryState:
    """What is known of one interval at one place: the delivery that stands, when it was, and whether it holds rows that were erased here."""

    record: DeliveryRecord
    at: datetime
    owed: bool = False
    earlier: tuple[str, ...] = ()
    """Digests of scores that were delivered before, of which a folder keeps the files."""

    @property
    def window(self) -> Window:
        """The interval."""
        return window_of(self.record.interval)


@dataclass(frozen=True)
class Superseded:
    """Scores in force whose version is not, or no longer, the champion as of their interval's start."""

    interval: Window
    version: str
    champion: str | None
    """Who is."""


@dataclass(frozen=True)
class PlaceSummary:
    """All intervals at one place.

    Attributes
    ----------
    place : str
        As `place_of` names it.
    newest : DeliveryState
        Of the newest interval.
    last : datetime
        When the last delivery was.
    intervals, rows : int
        How many there are.
    superseded, owed : int
        Intervals whose version is not the champion as of their start, and intervals that hold rows which were erased here.
    """

    place: str
    newest: DeliveryState
    last: datetime
    intervals: int
    rows: int
    superseded: int
    owed: int


class DeliveryLog:
    """The deliveries of one model."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/deliveries/log")

    def read(self, *, also: Iterable[str] = ()) -> dict[tuple[str, str], DeliveryState]:
        """Return the deliveries in force, by place and interval.

        Parameters
        ----------
        also : iterable of str
            Digests of scores that are taken as erased, besides those on record.
        """
        found = fold(self._log.read())
        return _owing(found, set(also))

    def versions_at(self, place: Delivery) -> list[tuple[Window, str]]:
        """Return by which version of all rows the scores of each interval are that stand at a place, ascending."""
        here = [one for (where, _), one in sorted(self.read().items()) if where == place_of(place)]
        return [(one.window, one.record.version) for one in here]

    def erased(self) -> frozenset[str]:
        """Return the digests of all scores out of which rows were erased."""
        return frozenset(key for entry in self._log.read() if entry.kind == ERASED for key in entry.body["scores"])

    def keep(self, place: Delivery, manifest: Manifest, number: int, *, at: datetime) -> None:
        """Put on record that a publication was delivered; repeated, nothing is written.

        Parameters
        ----------
        place : Delivery
            Where the scores were delivered.
        manifest : Manifest
            The delivered scores.
        number : int
            Of the publication, counted for each interval.
        at : datetime
            The instant that goes on record.
        """
        interval = name_of(manifest.interval)
        record = DeliveryRecord(place_of(place), interval, manifest.version, number, manifest.scores, manifest.rows)

        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known = fold(entries).get((record.place, interval))
            if known is not None and (known.record.publication > number or (known.record == record and not known.owed)):
                return None
            return DELIVERED, asdict(record)

        self._log.append(unless_known, at=to_iso(at))

    def owe(self, scores: Iterable[str], *, at: datetime) -> None:
        """Put on record that rows were erased out of scores; where those were delivered, others are to be delivered."""
        wanted = sorted(scores)

        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            told = {key for entry in entries if entry.kind == ERASED for key in entry.body["scores"]}
            news = [key for key in wanted if key not in told]
            return (ERASED, {"scores": news}) if news and entries else None

        self._log.append(unless_known, at=to_iso(at))


def place_of(place: Delivery) -> str:
    """Return a place in words that stay: ``table scores of connection warehouse``, ``delta s3://lake/scores``.

    Parameters
    ----------
    place : Delivery
        One entry of ``score.deliver``.
    """
    if isinstance(place, TableDelivery):
        return f"table {place.table} of connection {place.connection}"
    return f"{place.kind} {place.path}"


def fold(entries: Iterable[Entry]) -> dict[tuple[str, str], DeliveryState]:
    """Return the deliveries in force after the events, by place and interval."""
    found: dict[tuple[str, str], DeliveryState] = {}
    for entry in entries:
        if entry.kind == ERASED:
            found = _owing(found, set(entry.body["scores"]))
            continue
        record = DeliveryRecord(**known_fields(DeliveryRecord, entry.body))
        before = found.get((record.place, record.interval))
        earlier = (*before.earlier, before.record.scores) if before is not None else ()
        found[(record.place, record.interval)] = DeliveryState(record, from_iso(entry.at), earlier=earlier)
    return found


def _owing(states: dict[tuple[str, str], DeliveryState], gone: set[str]) -> dict[tuple[str, str], DeliveryState]:
    """Return the states with a note on those that hold one of some scores."""
    found = {}
    for key, state in states.items():
        # A folder keeps the files of earlier publications, too.
        there = {state.record.scores, *(state.earlier if key[0].startswith("files ") else ())}
        found[key] = replace(state, owed=True) if there & gone else state
    return found


def superseded(timeline: Timeline, scored: list[tuple[Window, str]]) -> list[Superseded]:
    """Return the scores whose version is not the champion as of the start of their interval."""
    found = []
    for interval, version in scored:
        champion = timeline.champion_as_of(interval.after)
        if champion != version:
            found.append(Superseded(interval, version, champion))
    return found


def places(states: Iterable[DeliveryState], timeline: Timeline) -> list[PlaceSummary]:
    """Return what is where, by the name of the place.

    Parameters
    ----------
    states : iterable of DeliveryState
    timeline : Timeline
        The model's, by which scores are superseded.
    """
    by_place: dict[str, list[DeliveryState]] = {}
    for state in sorted(states, key=lambda one: (one.record.place, one.window.until)):
        by_place.setdefault(state.record.place, []).append(state)
    return [
        PlaceSummary(
            place,
            there[-1],
            max(one.at for one in there),
            len(there),
            sum(one.record.rows for one in there),
            len(superseded(timeline, [(one.window, one.record.version) for one in there])),
            sum(one.owed for one in there),
        )
        for place, there in by_place.items()
    ]


def told_owed(states: Iterable[DeliveryState]) -> list[str]:
    """Return a sentence for each place that holds rows that were erased here."""
    places: dict[str, list[str]] = {}
    for state in states:
        if state.owed:
            places.setdefault(state.record.place, []).append(state.record.interval)
    return [
        f"{place} holds rows that were erased here, in {len(intervals)} interval{'s' if len(intervals) > 1 else ''}: {', '.join(sorted(intervals))}"
        for place, intervals in sorted(places.items())
    ]
