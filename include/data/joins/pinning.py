"""Pin the partitions of the second sources in a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from include.config.sections.data import Data
from include.config.sections.rows.joins import Join
from include.data.joins.joined_columns import joined_schema
from include.data.snapshots import PinnedJoin, Snapshot
from include.data.windows import Split, Window
from include.errors import NotEnoughRows, SchemaChanged, SourceError

Pin = Callable[[Data, Split], Snapshot]
"""Brings the partitions of a source that some windows need into the store, and pins them."""


def with_joins(snapshot: Snapshot, data: Data, pin: Pin) -> Snapshot:
    """Return a snapshot with the second sources that are declared, each pinned as far back as partners may lie.

    Raises
    ------
    SourceError, SchemaChanged
        When rows of a second source are not as declared, or not as on record.
    DataError
        When it can't be joined as declared.
    NotEnoughRows
        When it never had a row.
    """
    own, joins, schema = snapshot, [], dict(snapshot.schema)
    for join in data.joins:
        rows = _pinned(own, data, join, pin)
        if own.schema:
            schema |= joined_schema(own.schema, join.rule, rows.schema, own.model)
        joins.append(PinnedJoin(join.rule, rows))
    return replace(own, joins=tuple(joins), schema=schema)


def _pinned(own: Snapshot, data: Data, join: Join, pin: Pin) -> Snapshot:
    after, until = own.split.train.after - join.reach, own.split.holdout.until
    where = f"model {own.model}, join `{join.name}`"
    try:
        rows = pin(data.of_join(join), Split(train=Window(after, after), holdout=Window(after, until)))
    except (SourceError, SchemaChanged) as error:
        raise type(error)(
            error.message,
            expected=error.expected,
            found=error.found,
            where=where if error.where is None else f"{where}: {error.where}",
            remedy=error.remedy,
        ) from error
    if not rows.schema:
        raise NotEnoughRows(
            "A second source has no row.",
            expected=f"rows after {after:%Y-%m-%d %H:%M} until {until:%Y-%m-%d %H:%M} UTC",
            where=where,
            remedy="choose an as-of at which it has data, or leave the join out",
        )
    return rows
