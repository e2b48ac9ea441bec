"""Readings of a source, from its catalogue: which were recorded, which were retracted, and which are in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from include.config.sections.rows.sources import ColumnType
from include.data.snapshots import Pinned
from include.storage.content import known_fields
from include.storage.log import Entry

OBSERVED, RETRACTED, RESTORED = "observed", "retracted", "restored"


@dataclass(frozen=True)
class Observation:
    """What one reading of the source found in one slot.

    ``complete_to`` is how far in time the reading knew the slot: until its run began, but no later than the slot's end plus
    the label delay, from when on nothing is due any more.
    """

    slot: str
    content: str
    file: str
    rows: int
    bytes: int
    complete_to: str
    rectified: tuple[tuple[str, int], ...] = ()

    def pinned(self) -> Pinned:
        """Return what a snapshot keeps of it."""
        return Pinned(self.slot, self.content, self.file, self.rows, self.rectified)

    def to_json(self) -> dict[str, Any]:
        """Return what an entry of the catalogue keeps of it."""
        facts = self.pinned().to_json()
        return {**facts, "bytes": self.bytes, "complete_to": self.complete_to}


@dataclass(frozen=True)
class Retraction:
    """A retracted reading: these rows of this slot are not in force, even if they are read again.

    Attributes
    ----------
    nothing : Observation
        A partition without rows, which is in force where no reading is left.
    at : str
        The instant that is on record.
    actor : dict
        Who took it back.
    """

    slot: str
    content: str
    reason: str
    actor: dict[str, Any]
    at: str
    nothing: Observation


def newest_by_slot(entries: Iterable[Entry]) -> dict[str, tuple[Observation, int]]:
    """Return the last observation of each slot, taken back or not, with the number of its entry."""
    newest = {value["slot"]: (value, entry.number) for entry in entries for value in entry.body["partitions"]}
    return {slot: (observation_of(value), number) for slot, (value, number) in newest.items()}


def in_force(entries: Iterable[Entry], gone: dict[tuple[str, str], Retraction]) -> dict[str, Observation]:
    """Return the last observation of each slot that was not taken back.

    Parameters
    ----------
    entries : iterable of Entry
        In their order; the other way round, the first observation of each slot is returned.
    gone : dict
        What is taken back, as `retractions` returns it. A slot of which nothing else is known is empty.
    """
    newest: dict[str, dict[str, Any]] = {}
    emptied: dict[str, Observation] = {}
    for entry in entries:
        for value in entry.body["partitions"]:
            retraction = gone.get((value["slot"], value["content"]))
            if retraction is None:
                newest[value["slot"]] = value
            else:
                emptied[value["slot"]] = retraction.nothing
    return emptied | {slot: observation_of(value) for slot, value in newest.items()}


def retractions(entries: Iterable[Entry]) -> dict[tuple[str, str], Retraction]:
    """Return what is taken back, by slot and content; what was restored since is not."""
    found: dict[tuple[str, str], Retraction] = {}
    for entry in entries:
        if entry.kind == RETRACTED:
            said = entry.body[RETRACTED]
            nothing = observation_of(said["nothing"])
            found[said["slot"], said["content"]] = Retraction(
                said["slot"], said["content"], said["reason"], said["actor"], entry.at, nothing
            )
        elif entry.kind == RESTORED:
            said = entry.body[RESTORED]
            found.pop((said["slot"], said["content"]), None)
    return found


def in_doubt(entries: Sequence[Entry]) -> set[str]:
    """Return the slots whose last reading is retracted: they are read again until the source gives other rows."""
    gone = retractions(entries)
    return (
        {slot for slot, (one, _) in newest_by_slot(entries).items() if (slot, one.content) in gone} if gone else set()
    )


def as_replaced(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return entries as if what was erased since had never been there: what they observed then is not kept any more."""
    instead = {old: one for entry in entries for old, one in entry.body.get("replaced", {}).items()}
    if not instead:
        return tuple(entries)

    def now(value: dict[str, Any]) -> dict[str, Any]:
        while (one := instead.get(value["content"])) is not None:
            value = {**value, **one}
        return value

    def body(entry: Entry) -> dict[str, Any]:
        said = {
            kind: {**one, "content": now(one)["content"]}
            for kind in (RETRACTED, RESTORED)
            if (one := entry.body.get(kind))
        }
        return {**entry.body, "partitions": [now(one) for one in entry.body["partitions"]], **said}

    return tuple(replace(entry, body=body(entry)) for entry in entries)


def recorded_schema(entries: Sequence[Entry]) -> dict[str, ColumnType]:
    """Return the schema of the first entry that has one, empty if none has."""
    return next((dict(entry.body["schema"]) for entry in entries if entry.body["schema"]), {})


def observation_of(value: dict[str, Any]) -> Observation:
    """Return an observation as an entry has it, without what a later release may have put there."""
    return Observation(
        **known_fields(Observation, {**value, "rectified": tuple(sorted(value.get("rectified", {}).items()))})
    )
