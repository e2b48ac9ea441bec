"""Find the stored objects that hold rows of people, and rewrite each without these rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.config.model import ModelConfig
from include.data.row_digests import table_digest
from include.data.segment_log import segment_models
from include.errors import ObjectMissing
from include.retention.people import People
from include.storage.content import digest
from include.storage.store import PrunableStore, StoredObject

PARTITIONS, SCORES, REQUESTS, GOLDEN = "partitions", "scores", "requests", "golden"


@dataclass(frozen=True)
class Rewritten:
    """An object that holds rows of the people: its kind, the key and body that replace it, and how many rows are removed."""

    kind: str
    found: StoredObject
    instead: str
    rows: int
    table: pa.Table
    body: bytes


def _parquet(store: PrunableStore, prefix: str) -> Iterator[tuple[StoredObject, pa.Table]]:
    for one in store.inventory(prefix):
        if one.key.endswith(".parquet"):
            try:
                yield one, pq.read_table(pa.BufferReader(store.get(one.key)))
            except ObjectMissing:  # removed meanwhile
                continue


def rewritten_partitions(
    store: PrunableStore, model: ModelConfig, people: People, schemas: list[pa.Schema]
) -> Iterator[Rewritten]:
    """Yield the partitions that hold rows of the people, rewritten without them.

    Parameters
    ----------
    schemas : list of Schema
        Gets the different schemas of the partitions that were read.
    """
    for one, table in _parquet(store, f"{model.name}/{PARTITIONS}/"):
        if not any(table.schema.equals(known) for known in schemas):
            schemas.append(table.schema)
        mine = people.rows(table)
        if mine is not None and pc.any(mine).as_py():
            kept = table.filter(pc.invert(mine))
            folder = one.key.rpartition("/")[0]
            body = _written(kept)
            yield Rewritten(
                PARTITIONS, one, f"{folder}/{table_digest(kept)}.parquet", table.num_rows - kept.num_rows, kept, body
            )


def row_ids(store: PrunableStore, model: ModelConfig, people: People, partitions: Iterable[Rewritten]) -> list[People]:
    """Return the people by the ids of their rows, to search files that lack the named columns.

    Parameters
    ----------
    people : People
        The people by the columns that were named.
    partitions : iterable of Rewritten
        The partitions with their rows, before these are removed.
    """
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


def rewritten_others(
    store: PrunableStore, model: ModelConfig, asked: list[People], unknown: set[str]
) -> Iterator[Rewritten]:
    """Yield the scores, request logs and golden rows that hold rows of the people, rewritten without them.

    Parameters
    ----------
    asked : list of People
        The people by the columns that were named, and by the ids of their rows.
    unknown : set of str
        Gets the kinds of files that have neither the named columns nor a row's id.
    """
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


def stem(key: str) -> str:
    """Return the name of an object without its folder and suffix: mostly a digest."""
    return key.rpartition("/")[2].partition(".")[0]
