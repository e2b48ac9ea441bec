"""Take back a reading of a partition: these rows are wrong, and no run may learn from them any more.

Nothing is removed: a snapshot that pins the reading still opens, and a run that reads what was known at an as-of before the
retraction still reads it. The rows are named by their digest. So a backfill that finds them in the source once more changes nothing; only other
rows are a new reading, and the source is asked for them in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.readings import Observation, Retraction, observation_of, recorded_schema, retractions
from include.data.ingestion.slot_reading import keep_nothing
from include.data.snapshots import Snapshot
from include.data.sources.registry import source_digest
from include.errors import DataError
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class Reading:
    """One content that was read of a partition.

    Attributes
    ----------
    at : str
        When it was first put on record.
    in_force : bool
        Whether a run that reads what is known now would read it.
    retraction : Retraction or None
        By whom it was taken back, and why.
    """

    key: str
    """Of its object in the store."""
    found: Observation
    at: str
    in_force: bool
    retraction: Retraction | None


@dataclass(frozen=True)
class Retracted:
    """What was taken back or restored.

    Attributes
    ----------
    reading : Reading
        As it was before.
    restored : bool
        Whether it counts again.
    news : bool
        Whether it was not said before.
    now : Observation
        What is in force of the partition since.
    """

    reading: Reading
    restored: bool
    news: bool
    now: Observation

    def told(self, versions: Sequence[str]) -> str:
        """Return it as sentences, with the versions that were trained or judged on the reading."""
        slot, content = self.reading.found.slot, self.reading.found.content[:12]
        done = "counts again" if self.restored else "is taken back"
        stands = f"{self.now.rows:,} rows, reading {self.now.content[:12]}" if self.now.rows else "no row"
        lines = [
            f"Reading {content} of partition {slot} {done}{'' if self.news else ', as it was before'}.",
            f"In force of {slot}: {stands}. The next run that needs this partition uses it.",
        ]
        if versions:
            lines.append(f"Versions trained or evaluated on it: {', '.join(versions)}.")
            lines += (
                [] if self.restored else ["Retrain the model, or roll back a champion that must not stay in force."]
            )
        else:
            lines.append("No version was trained or evaluated on it.")
        return "\n".join(lines)


def readings(store: ObjectStore, model: ModelConfig, folder: Path, slot: str) -> list[Reading]:
    """Return what was read of a partition, of the model's own source and those it joins, the oldest first.

    Parameters
    ----------
    folder : Path
        The model's folder.
    slot : str
        The partition, such as ``2026-03``.
    """
    return [reading for _, catalogue in _catalogues(store, model, folder) for reading in _of(catalogue, slot)]


def retract(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    slot: str,
    wanted: str,
    reason: str,
    *,
    actor: Mapping[str, Any],
    at: datetime,
    restore: bool = False,
) -> Retracted:
    """Retract one reading of a partition, or restore it; a repeated call records nothing.

    Parameters
    ----------
    folder : Path
        The model's folder.
    slot : str
        The partition, such as ``2026-03``.
    wanted : str
        The digest of the reading's rows, or the beginning of it.
    reason : str
        Why; it goes on record.
    actor : mapping
        Who asks for it.
    at : datetime
        The instant that goes on record.
    restore : bool
        Let it count again.

    Raises
    ------
    DataError
        When no reading or more than one begins so, or no reason is given.
    """
    if not reason.strip():
        raise DataError("A retraction needs a reason.", expected="a sentence", found=repr(reason))
    data, catalogue, reading = _find(store, model, folder, slot, wanted.strip())
    if restore:
        news = catalogue.restore(reading.found, reason.strip(), actor, at)
    else:
        nothing = keep_nothing(store, catalogue.folder, slot, recorded_schema(catalogue.entries), data)
        news = catalogue.retract(reading.found, nothing, reason.strip(), actor, at)
    return Retracted(reading, restore, news, catalogue.newest()[slot])


def retracted_in(snapshot: Snapshot, catalogue_of: Callable[[Snapshot], Catalogue]) -> list[Retraction]:
    """Return which of the readings that a snapshot pins are taken back by now, of all its sources.

    Parameters
    ----------
    snapshot : Snapshot
    catalogue_of : callable
        Returns the catalogue of one of its sources, of which the log is read on.
    """
    found = []
    for source in snapshot.sources:
        gone = retractions(catalogue_of(source).log.read())
        pinned = [gone.get((one.slot, one.content)) for one in source.partitions] if gone else []
        found += [one for one in pinned if one is not None]
    return found


def _catalogues(store: ObjectStore, model: ModelConfig, folder: Path) -> list[tuple[Data, Catalogue]]:
    return [
        (data, Catalogue(store, model.name, source_digest(data, folder, model.rectify_of(data))))
        for data in model.data.sources
    ]


def _of(catalogue: Catalogue, slot: str) -> list[Reading]:
    gone, now = retractions(catalogue.entries), catalogue.newest().get(slot)
    found: dict[str, Reading] = {}
    for entry in catalogue.entries:
        for value in entry.body["partitions"]:
            if value["slot"] == slot and value["content"] not in found:
                content = value["content"]
                one = observation_of(value)
                key = f"{catalogue.folder}/{slot}/{content}.parquet"
                stands = now is not None and now.content == content
                found[content] = Reading(key, one, entry.at, stands, gone.get((slot, content)))
    return list(found.values())


def _find(
    store: ObjectStore, model: ModelConfig, folder: Path, slot: str, wanted: str
) -> tuple[Data, Catalogue, Reading]:
    known = [
        (data, catalogue, one) for data, catalogue in _catalogues(store, model, folder) for one in _of(catalogue, slot)
    ]
    meant = [one for one in known if wanted and one[2].found.content.startswith(wanted)]
    if len(meant) == 1:
        return meant[0]
    contents = [one.found.content[:12] for _, _, one in known]
    raise DataError(
        "No reading of this partition begins with these digits."
        if not meant
        else "More than one reading begins with these digits.",
        expected=f"one of {', '.join(contents)}"
        if known
        else f"a partition on record, such as 2026-03 of `partition: {model.data.partition}`",
        found=wanted if known else slot,
        where=f"model {model.name}, partition {slot}",
        remedy="`python -m include readings` lists what was read of each partition",
    )
