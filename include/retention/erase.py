"""Erase people: rewrite every stored file without their rows, and list the versions that were trained on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from include.config.model import ModelConfig
from include.data.ingestion.catalogue import Catalogue
from include.data.segment_log import segment_models
from include.errors import StoreUnavailable
from include.registry.history.trained_on import trained_on
from include.registry.ledger import Ledger
from include.retention.people import People
from include.retention.rewritten_objects import (
    GOLDEN,
    PARTITIONS,
    REQUESTS,
    SCORES,
    Rewritten,
    rewritten_others,
    rewritten_partitions,
    row_ids,
    stem,
)
from include.scoring.delivery_log import DeliveryLog, told_owed
from include.scoring.publication import Publication, window_of
from include.storage.content import digest
from include.storage.store import PrunableStore
from include.storage.tombstones import State, Tombstone, Tombstones

REASON = "erasure: rows of people were taken out of it"
_ROUNDS = 3


@dataclass(frozen=True)
class Erased:
    """What `erase` did, or would do.

    Attributes
    ----------
    objects, rows : dict of str to int
        By kind, how many objects had rows of the people, and how many rows.
    versions : tuple of str
        Versions that were trained or evaluated on a partition with such rows: they can't be reproduced any more.
    unknown : tuple of str
        Kinds of files that have neither the named columns nor row ids, so that the people of their rows are unknown.
    former : int
        The number of objects of which the bucket keeps a former version.
    deliveries : tuple of str
        The places and intervals to which scores with such rows were delivered.
    dry : bool
        Whether nothing was done.
    """

    objects: dict[str, int]
    rows: dict[str, int]
    versions: tuple[str, ...]
    unknown: tuple[str, ...]
    former: int
    deliveries: tuple[str, ...]
    dry: bool

    def told(self) -> str:
        """Return it as sentences."""
        verb = "would be taken" if self.dry else "were taken"
        lines = [
            f"{self.rows[kind]:,} rows {verb} out of {count:,} objects of {kind}"
            for kind, count in self.objects.items()
        ]
        lines = lines or ["No stored row is about these people."]
        if self.versions:
            lines.append(
                f"No longer reproducible, since they were trained or evaluated on these rows: {', '.join(self.versions)}"
            )
        if self.unknown:
            lines.append(
                f"These files keep no ids, so the people of their rows are not known: {', '.join(self.unknown)}"
            )
        lines += self.deliveries
        if self.deliveries and not self.dry:
            lines.append(
                "Deliver again: `python -m include deliver`, or clear the task `deliver` of score_<model> for those dates."
            )
        if self.former:
            lines.append(
                f"The bucket keeps former versions of {self.former:,} objects: let a lifecycle rule expire them."
            )
        lines.append(
            "Nothing was changed. To do it: --remove."
            if self.dry
            else "Remove the rows from the source and from backups, too."
        )
        return "\n".join(lines)


def erase(store: PrunableStore, model: ModelConfig, people: People, *, at: datetime, remove: bool = False) -> Erased:
    """Rewrite all partitions, scores, request logs and golden rows without the rows of people, and remove the old objects.

    New objects are written and put in force before old ones are removed, and partitions are removed last, since they show
    the ids of the rows. So a killed call can simply be repeated. The tombstone of each old object names the new one.

    Parameters
    ----------
    people : People
        Whose rows.
    at : datetime
        The instant that goes on record.
    remove : bool
        Do it; otherwise only say what would be done.

    Raises
    ------
    ConfigError
        When no partition has the named columns, or no line of the file is a value of theirs.
    StoreUnavailable
        When a task kept what was to go; the call is to be repeated.
    """
    schemas: list[pa.Schema] = []
    partitions = list(rewritten_partitions(store, model, people, schemas))
    people.require_known(schemas)
    by_row = row_ids(store, model, people, partitions)
    unknown: set[str] = set()
    others = list(rewritten_others(store, model, [people, *by_row], unknown))
    found = [*others, *partitions]
    ledgers = [Ledger(store, name) for name in (model.name, *segment_models(store, model.name))]
    versions = [one for ledger in ledgers for one in trained_on(ledger, [one.found.key for one in partitions])]
    former, scores, log = (
        0,
        [stem(one.found.key) for one in found if one.kind == SCORES],
        DeliveryLog(store, model.name),
    )
    if remove:
        for one in found:
            store.put_if_absent(one.instead, one.body)
        _publish(store, model, [one for one in found if one.kind == SCORES], at)
        _observe(store, model, partitions, at)
        log.owe(scores, at=at)
        for part in (others, partitions):
            former += _remove(store, model.name, part, at)
    counts = {kind: [one for one in found if one.kind == kind] for kind in (PARTITIONS, SCORES, REQUESTS, GOLDEN)}
    return Erased(
        {kind: len(ones) for kind, ones in counts.items() if ones},
        {kind: sum(one.rows for one in ones) for kind, ones in counts.items() if ones},
        tuple(versions),
        tuple(sorted(unknown)),
        former,
        tuple(told_owed(log.read(also=scores).values())),
        not remove,
    )


def _publish(store: PrunableStore, model: ModelConfig, scores: Iterable[Rewritten], at: datetime) -> None:
    """Put the rewritten scores in force where the old ones are."""
    for one in scores:
        publication = Publication(store, model.name, window_of(one.found.key.split("/")[2]))
        old, new = stem(one.found.key), stem(one.instead)
        manifest = publication.newest()
        if manifest is not None and manifest.scores == old:
            publication.publish(
                replace(
                    manifest, scores=new, rows=one.table.num_rows, outside=min(manifest.outside, one.table.num_rows)
                ),
                still_wanted=lambda: True,
                at=at,
            )


def _observe(store: PrunableStore, model: ModelConfig, partitions: Iterable[Rewritten], at: datetime) -> None:
    """Record in the catalogue of each source which object replaces each partition."""
    sources: dict[str, dict[str, dict[str, object]]] = {}
    for one in partitions:
        _, _, source, _, _ = one.found.key.split("/")
        facts = {"content": stem(one.instead), "file": digest(store.get(one.instead)), "rows": one.table.num_rows}
        sources.setdefault(source, {})[stem(one.found.key)] = {**facts, "bytes": len(one.body)}
    for source, replaced in sources.items():
        Catalogue(store, model.name, source).replace(replaced, at)


def _remove(store: PrunableStore, model: str, rewritten: list[Rewritten], at: datetime) -> int:
    stones = Tombstones(store, model)
    marks = [
        Tombstone(one.found.key, one.kind, one.found.size, REASON, at, at, State.MARKED, one.instead)
        for one in rewritten
    ]
    former, left = 0, {one.key for one in marks}
    for _ in range(_ROUNDS):  # a task may take a mark back, as if retention had made it
        known = stones.read()
        # Of a call that was killed another part may have ended what it had begun; what was read in again goes again.
        left -= {key for key in left if key in known and known[key].state is State.REMOVED and not store.exists(key)}
        stale = [
            key for key in left if key in known and known[key].state is State.MARKED and known[key].reason != REASON
        ]
        stones.keep(stale, why=REASON, at=at)
        stones.mark([one for one in marks if one.key in left], at=at)
        gone, more = stones.remove(left, store.delete, at=at)
        former += more
        left -= set(gone)
        if not left:
            return former
    raise StoreUnavailable(
        "a task keeps objects that must be erased",
        found=f"{len(left)} objects",
        where=f"{store.url}: {model}",
        remedy="erase again",
    )
