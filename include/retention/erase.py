"""Erase people: rewrite every stored row of theirs without it, and say which versions were trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.model import ModelConfig
from include.data.ingestion.catalogue import Catalogue
from include.data.row_digests import table_digest
from include.data.segment_log import segment_models
from include.errors import ObjectMissing, StoreUnavailable
from include.registry.history.trained_on import trained_on
from include.registry.ledger import Ledger
from include.retention.people import People
from include.scoring.delivery_log import DeliveryLog, told_owed
from include.scoring.publication import Publication, window_of
from include.storage.content import digest
from include.storage.store import PrunableStore, StoredObject
from include.storage.tombstones import State, Tombstone, Tombstones

PARTITIONS, SCORES, REQUESTS, GOLDEN = "partitions", "scores", "requests", "golden"
REASON = "erasure: rows of people were taken out of it"
_ROUNDS = 3


@dataclass(frozen=True)
class Rewritten:
    """An object with rows of theirs: its kind, what it is replaced by, and how many rows go."""

    kind: str
    found: StoredObject
    instead: str
    rows: int
    table: pa.Table
    body: bytes


@dataclass(frozen=True)
class Erased:
    """What `erase` did, or would do.

    Attributes
    ----------
    objects, rows : dict of str to int
        By kind, how many objects held rows of theirs, and how many rows.
    versions : tuple of str
        Versions that were trained or judged on a partition with rows of theirs: they can't be reproduced any more.
    unknown : tuple of str
        Kinds of files that hold neither the named columns nor a row's id, so that nobody can say whose rows they are.
    former : int
        Of how many objects the bucket keeps a former version.
    deliveries : tuple of str
        Where scores with rows of theirs were delivered, in which intervals.
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
        lines = lines or ["No stored row is theirs."]
        if self.versions:
            lines.append(
                f"Reproducible no more, as they were trained or judged on these rows: {', '.join(self.versions)}"
            )
        if self.unknown:
            lines.append(f"Whose rows they are can't be told, as they keep no ids: {', '.join(self.unknown)}")
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
            else "Take them out of the source and of backups, too."
        )
        return "\n".join(lines)


def erase(store: PrunableStore, model: ModelConfig, people: People, *, at: datetime, remove: bool = False) -> Erased:
    """Write every partition, scores, request log and golden rows with rows of theirs again without them, and remove the old ones.

    What is new is written and put in force before what is old goes, and partitions go last: from them follows which ids rows of
    theirs have. So a call that was killed anywhere is just repeated. The tombstone of each old object names the new one.

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
        When no partition has the named columns.
    StoreUnavailable
        When a task kept what was to go; the call is to be repeated.
    """
    tables: set[tuple[str, ...]] = set()
    partitions = list(_partitions(store, model, people, tables))
    people.require_known(tables)
    by_row = _row_ids(store, model, people, partitions)
    unknown: set[str] = set()
    others = list(_others(store, model, [people, *by_row], unknown))
    found = [*others, *partitions]
    ledgers = [Ledger(store, name) for name in (model.name, *segment_models(store, model.name))]
    versions = [one for ledger in ledgers for one in trained_on(ledger, [one.found.key for one in partitions])]
    former, scores, log = (
        0,
        [_stem(one.found.key) for one in found if one.kind == SCORES],
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


def _parquet(store: PrunableStore, prefix: str) -> Iterator[tuple[StoredObject, pa.Table]]:
    for one in store.inventory(prefix):
        if one.key.endswith(".parquet"):
            try:
                yield one, pq.read_table(pa.BufferReader(store.get(one.key)))
            except ObjectMissing:  # removed meanwhile
                continue


def _partitions(
    store: PrunableStore, model: ModelConfig, people: People, tables: set[tuple[str, ...]]
) -> Iterator[Rewritten]:
    for one, table in _parquet(store, f"{model.name}/{PARTITIONS}/"):
        tables.add(tuple(table.column_names))
        mine = people.rows(table)
        if mine is not None and pc.any(mine).as_py():
            kept = table.filter(pc.invert(mine))
            folder = one.key.rpartition("/")[0]
            body = _written(kept)
            yield Rewritten(
                PARTITIONS, one, f"{folder}/{table_digest(kept)}.parquet", table.num_rows - kept.num_rows, kept, body
            )


def _row_ids(store: PrunableStore, model: ModelConfig, people: People, partitions: Iterable[Rewritten]) -> list[People]:
    """Return the ids of their rows, by which files are searched that lack the named columns."""
    columns = tuple(model.data.row_id)
    if set(columns) <= set(people.columns):
        return []
    found: set[tuple[str, ...]] = set()
    for one in partitions:
        table = pq.read_table(pa.BufferReader(store.get(one.found.key)))
        if set(columns) <= set(table.column_names):
            own = table.filter(people.rows(table))
            found |= set(zip(*(own[name].cast(pa.string()).to_pylist() for name in columns), strict=True))
    return [People(columns, frozenset(found))]


def _others(store: PrunableStore, model: ModelConfig, asked: list[People], unknown: set[str]) -> Iterator[Rewritten]:
    places = [(kind, model.name) for kind in (SCORES, REQUESTS, GOLDEN)]
    places += [(GOLDEN, segment) for segment in segment_models(store, model.name)]
    for kind, owner in places:
        for one, table in _parquet(store, f"{owner}/{kind}/"):
            masks = [mask for people in asked if (mask := people.rows(table)) is not None]
            if not masks:
                unknown.add(kind)
                continue
            mine = masks[0] if len(masks) == 1 else pc.or_(*masks)
            if pc.any(mine).as_py():
                kept = table.filter(pc.invert(mine))
                body = _written(kept)
                folder, _, file = one.key.rpartition("/")
                name = f"{file[: -len('.parquet') - 64]}{digest(body)}.parquet"
                yield Rewritten(kind, one, f"{folder}/{name}", table.num_rows - kept.num_rows, kept, body)


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=texts, write_page_checksum=True)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _publish(store: PrunableStore, model: ModelConfig, scores: Iterable[Rewritten], at: datetime) -> None:
    """Put the rewritten scores in force where the old ones are."""
    for one in scores:
        publication = Publication(store, model.name, window_of(one.found.key.split("/")[2]))
        old, new = _stem(one.found.key), _stem(one.instead)
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
    """Put on record, in the catalogue of each source, what stands for each partition now."""
    sources: dict[str, dict[str, dict[str, object]]] = {}
    for one in partitions:
        _, _, source, _, _ = one.found.key.split("/")
        facts = {"content": _stem(one.instead), "file": digest(store.get(one.instead)), "rows": one.table.num_rows}
        sources.setdefault(source, {})[_stem(one.found.key)] = {**facts, "bytes": len(one.body)}
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
        "a task keeps what is to be erased",
        found=f"{len(left)} objects",
        where=f"{store.url}: {model}",
        remedy="erase again",
    )


def _stem(key: str) -> str:
    return key.rpartition("/")[2].partition(".")[0]
