"""Versions of a table without event time, each named by the as-of of the run that found it first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from include.data.snapshots import Snapshot
from include.storage.content import digest_json, from_iso, put_json, to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableLook:
    """One run's look at a table."""

    as_of: datetime
    """That of the run."""
    content: str
    """Digest of what it found."""


def name_snapshot(store: ObjectStore, snapshot: Snapshot) -> Snapshot:
    """Put on record what a run found, and return the snapshot under the as-of that names its content.

    That is the earliest as-of whose run found the same, among those at or before this one: unchanged rows make no new
    snapshot, and so no new version. Which run came first makes no difference.
    """
    content = digest_json(
        {
            "source": snapshot.source,
            "split": snapshot.split.to_json(),
            "partitions": [replace(one, rectified=()).to_json() for one in snapshot.partitions],
        }
    )
    key = f"{_folder(snapshot.model)}{to_iso(snapshot.as_of).replace(':', '')}-{content}.json"
    put_json(store, key, {"as_of": to_iso(snapshot.as_of), "content": content})
    first = min(look.as_of for look in table_looks(store, snapshot.model) if look.content == content)
    first = min(first, snapshot.as_of)
    if first < snapshot.as_of:
        log.info("%s: nothing new: the table is what it was as of %s", snapshot.model, to_iso(first))
    return replace(snapshot, as_of=first)


def table_looks(store: ObjectStore, model: str) -> list[TableLook]:
    """Return every look at a model's table, by as-of."""
    folder = _folder(model)
    found = []
    for key in store.list(folder):
        instant, _, content = key.removeprefix(folder).removesuffix(".json").rpartition("-")
        found.append(TableLook(_instant(instant), content))
    return sorted(found, key=lambda look: look.as_of)


def _instant(text: str) -> datetime:
    """Read an instant whose colons were left out, which not every store takes in a key."""
    date, _, clock = text.partition("T")
    return from_iso(f"{date}T{clock[:2]}:{clock[2:4]}:{clock[4:]}")


def _folder(model: str) -> str:
    return f"{model}/looks/"
