"""The catalogue of a source: the partitions that were read, with instant and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from include.config.durations import Duration
from include.config.sections.rows.sources import ColumnType
from include.data.ingestion.due_slots import settled_at
from include.data.ingestion.readings import (
    OBSERVED,
    RESTORED,
    RETRACTED,
    Observation,
    as_replaced,
    in_force,
    newest_by_slot,
    observation_of,
    recorded_schema,
    retractions,
)
from include.data.snapshots import partitions_folder
from include.errors import SchemaChanged
from include.storage.content import from_iso, to_iso
from include.storage.log import Entry, Log, recorded_by
from include.storage.store import ObjectStore

SKEW = timedelta(minutes=5)
"""How far the clocks of machines may differ; one that is ahead by more is not believed."""


class Catalogue:
    """The recorded partitions of one source.

    Of several observations of a slot, the last one that was not retracted is in force. The log is read once: afterwards this
    object knows only what it has read or written itself.
    """

    def __init__(self, store: ObjectStore, model: str, source: str) -> None:
        self.folder = partitions_folder(model, source)
        self.log = Log(store, f"{self.folder}/log")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the log as this object last read or wrote them."""
        return self.log.known or self.log.read()

    def schema(self) -> dict[str, ColumnType]:
        """Return the schema on record, empty before the first ingestion found a row."""
        return recorded_schema(self.entries)

    def newest(self) -> dict[str, Observation]:
        """Return the observation of every slot that is in force."""
        return in_force(self.entries, retractions(self.entries))

    def known_by(self, instant: datetime, label_delay: Duration) -> dict[str, Observation]:
        """Return the observation of every slot that was in force at ``instant``.

        A reading that had not seen all that there was to see of its slot by then, as of a month under way, is not what was known:
        the first later one that had stands in its place. So does the first one that is in force for slots that were read later.

        Parameters
        ----------
        instant : datetime
        label_delay : Duration
            How long after its end rows or labels of a slot are still due.
        """
        entries = as_replaced(self.entries)
        recorded = recorded_by(entries, instant)
        gone, gone_then = retractions(entries), retractions(recorded)
        emptied = {one.nothing for one in gone_then.values()}
        known = in_force(recorded, gone_then)

        def is_whole(slot: str, complete_to: str) -> bool:
            return from_iso(complete_to) >= min(instant, settled_at(slot, label_delay))

        whole = {slot: one for slot, one in known.items() if one in emptied or is_whole(slot, one.complete_to)}
        for value in (value for entry in entries[len(recorded) :] for value in entry.body["partitions"]):
            slot = value["slot"]
            if slot not in whole and (slot, value["content"]) not in gone and is_whole(slot, value["complete_to"]):
                whole[slot] = observation_of(value)
        return in_force(reversed(entries), gone) | known | whole

    def record(
        self,
        observations: Sequence[Observation],
        schema: Mapping[str, str],
        at: datetime,
        *,
        seen: int,
        started: datetime,
    ) -> list[str]:
        """Record new observations, and return the slots that must be read again.

        An observation is not new when the newest one of its slot has the same content and is as complete. If another run
        recorded another content while the source was read, it is unknown which of the two was read last: the slot is read
        again, and nothing is recorded for it.

        Parameters
        ----------
        at : datetime
            The instant that goes on record, for people.
        seen : int
            How many entries were on record before the source was read.
        started : datetime
            When the run that read the source began.

        Raises
        ------
        SchemaChanged
            When another ingestion has recorded another schema meanwhile.
        """
        again: list[str] = []

        def decide(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known, recorded = newest_by_slot(entries), recorded_schema(entries)
            if schema and recorded and dict(schema) != recorded:
                raise SchemaChanged(
                    "Another ingestion has just recorded another schema.", expected=recorded, found=dict(schema)
                )
            doubtful, news = doubtful_slots(entries, started), []
            again.clear()
            for one in observations:
                before, number = known.get(one.slot, (None, -1))
                if before is not None and number >= seen and before.content != one.content:
                    again.append(one.slot)
                elif before is None or one.slot in doubtful or _tells_more(one, before):
                    news.append(one)
            if not news:
                return None
            return OBSERVED, {"partitions": [one.to_json() for one in news], "schema": dict(schema or recorded)}

        self.log.append(decide, at=to_iso(at))
        return again

    def replace(self, replaced: Mapping[str, Mapping[str, Any]], at: datetime) -> None:
        """Put on record that partitions were rewritten, without rows that had to be forgotten.

        Parameters
        ----------
        replaced : mapping of str to mapping
            By the former content: ``content``, ``file``, ``rows`` and ``bytes`` of its replacement.
        at : datetime
            The instant that goes on record.
        """

        def unless_replaced(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known = {old for entry in entries for old in entry.body.get("replaced", {})}
            new = {old: dict(one) for old, one in replaced.items() if old not in known}
            newest = in_force(entries, retractions(entries)).values()
            stand = [{**one.to_json(), **replaced[one.content]} for one in newest if one.content in replaced]
            if not new and not stand:
                return None
            return OBSERVED, {"partitions": stand, "schema": recorded_schema(entries), "replaced": new}

        self.log.append(unless_replaced, at=to_iso(at))

    def retract(
        self, reading: Observation, nothing: Observation, reason: str, actor: Mapping[str, Any], at: datetime
    ) -> bool:
        """Put on record that a reading is taken back, and return whether that is news.

        Parameters
        ----------
        nothing : Observation
            A stored partition without rows, for a slot of which no other reading is left.
        reason : str
            Why.
        actor : mapping
            Who asks for it.
        at : datetime
            The instant that goes on record.
        """
        said = {"slot": reading.slot, "content": reading.content, "reason": reason, "actor": dict(actor)}
        return self._say(RETRACTED, {**said, "nothing": nothing.to_json()}, at)

    def restore(self, reading: Observation, reason: str, actor: Mapping[str, Any], at: datetime) -> bool:
        """Put on record that a reading counts again, and return whether that is news; parameters as of `retract`."""
        said = {"slot": reading.slot, "content": reading.content, "reason": reason, "actor": dict(actor)}
        return self._say(RESTORED, said, at)

    def _say(self, kind: str, said: dict[str, Any], at: datetime) -> bool:
        def unless_said(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            gone = (said["slot"], said["content"]) in retractions(entries)
            if gone is (kind == RETRACTED):
                return None
            return kind, {"partitions": [], "schema": recorded_schema(entries), kind: said}

        return self.log.append(unless_said, at=to_iso(at)) is not None


def doubtful_slots(entries: Sequence[Entry], started: datetime) -> set[str]:
    """Return the slots for which it is unknown until when they were read, since the clock of that reading was ahead."""
    # No entry can be younger than those after it, nor than now. Beyond what clocks differ by, it was not read when it says.
    latest, ahead = started, set()
    for entry in reversed(entries):
        at = from_iso(entry.at)
        if at > latest + SKEW:
            ahead.add(entry.number)
        latest = min(latest, at)
    return {slot for slot, (_, number) in newest_by_slot(entries).items() if number in ahead} if ahead else set()


def _tells_more(one: Observation, before: Observation) -> bool:
    return one.content != before.content or from_iso(one.complete_to) > from_iso(before.complete_to)
