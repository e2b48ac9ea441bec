"""Stored bytes of a model by kind and over time, counted at each run of `tidy`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.config.sections.rows.segments import SEGMENTS
from include.storage.checkpoints import BESIDE
from include.storage.content import from_iso, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore, PrunableStore, StoredObject

FOLDERS_OF_KINDS: dict[str, tuple[str, ...]] = {
    "partitions": ("partitions", "looks"),
    "model files": ("models", "golden"),
    "records of versions": (
        *("versions", "fits", "configs", "code", "domains", "origins", "statements", "heads", "library_checks"),
        *("snapshots", "reproductions"),
    ),
    "evidence and cards": ("evidence", "alone", "tripwires", "cards"),
    "checks": ("checks",),
    "quarantine": ("quarantine",),
    "scores": ("scores",),
    "request logs": ("requests",),
    "watch": ("watch",),
    "ledger and logs": (
        *("ledger", "segment_log", "audit", "deliveries", "tombstones", "stored_bytes", "renamed_from.json"),
    ),
}
"""The folders below a model's name, or below that of one of its segments, by the kind under which a person knows them."""
OTHER = "other"
"""What has no kind: a new folder gets one above."""
_KINDS = {folder: kind for kind, folders in FOLDERS_OF_KINDS.items() for folder in folders}
COUNTED = "counted"


@dataclass(frozen=True)
class Stored:
    """How much of one kind there is."""

    objects: int = 0
    size: int = 0
    """In bytes."""

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.objects + other.objects, self.size + other.size)


@dataclass(frozen=True)
class Listing:
    """What one listing of a model's keys found.

    Attributes
    ----------
    kinds : dict of str to Stored
        Bytes and number of objects by kind, the model's segments included; kinds of which there is nothing are left out.
    found : dict of str to tuple of StoredObject
        The model's own objects in the folders that were asked for.
    """

    kinds: dict[str, Stored]
    found: dict[str, tuple[StoredObject, ...]]


@dataclass(frozen=True)
class StoredBytes:
    """What a model's store held at an instant, by kind."""

    at: datetime
    run: str
    kinds: dict[str, Stored]

    @property
    def all(self) -> Stored:
        """Of all kinds together."""
        return sum(self.kinds.values(), Stored())


def list_model(store: PrunableStore, model: str, folders: Collection[str] = ()) -> Listing:
    """List a model's keys once, and count what is there by kind.

    Parameters
    ----------
    store : PrunableStore
    model : str
        The name under which the store keeps it.
    folders : collection of str
        Of which folders below the model's name the objects themselves are wanted.
    """
    counted: dict[str, list[int]] = {}
    found: dict[str, list[StoredObject]] = {folder: [] for folder in folders}
    for one in store.inventory(f"{model}/"):
        folder, *below = one.key.removeprefix(f"{model}/").split("/")
        if folder in found:
            found[folder].append(one)
        if folder == SEGMENTS and len(below) > 1:
            folder = below[1]
        kind = _KINDS.get(folder.removesuffix(BESIDE), OTHER)  # a log's checkpoints are its kind's
        sums = counted.setdefault(kind, [0, 0])
        sums[0] += 1
        sums[1] += one.size
    kinds = {kind: Stored(*counted[kind]) for kind in (*FOLDERS_OF_KINDS, OTHER) if kind in counted}
    return Listing(kinds, {folder: tuple(objects) for folder, objects in found.items()})


class StoredBytesLog:
    """What was counted of one model, append-only: one entry for each run."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/stored_bytes/log")

    def record(self, kinds: dict[str, Stored], *, run: str, at: datetime) -> None:
        """Put on record what a run counted, unless it is there already: a run that is repeated counts once.

        Parameters
        ----------
        kinds : dict of str to Stored
        run : str
            The id of the run.
        at : datetime
            The instant that goes on record.
        """
        body: dict[str, Any] = {"run": run, "kinds": {kind: [one.objects, one.size] for kind, one in kinds.items()}}

        def new(entries: Iterable[Entry]) -> tuple[str, dict[str, Any]] | None:
            return None if any(entry.body["run"] == run for entry in entries) else (COUNTED, body)

        self._log.append(new, at=to_iso(at))

    def read(self) -> tuple[StoredBytes, ...]:
        """Return what was counted, in the order of the record; raises `StoreError`."""
        return tuple(
            StoredBytes(
                from_iso(entry.at),
                entry.body["run"],
                {kind: Stored(*counted) for kind, counted in entry.body["kinds"].items()},
            )
            for entry in self._log.read()
        )
