"""The newest row of a second source that was known at each row's event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.rows.joins import JoinRule

Array = np.ndarray[Any, Any]
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Partners:
    """The rows that are joined and those that they are joined with, as numbers; instants in microseconds since 1970.

    A row of the second source can be seen from ``seen_from`` on: when it holds and is known. Once it is corrected, at
    ``seen_until``, it can't be seen any more.

    Attributes
    ----------
    keys, times : array of shape (n_rows,)
        Who each row is about, -1 where that is missing, and its event time.
    partner_keys, valid_from, seen_from, seen_until : array of shape (n_partners,)
        The same of the second source's rows, in the order of its partitions.
    """

    keys: Array
    times: Array
    partner_keys: Array
    valid_from: Array
    seen_from: Array
    seen_until: Array


def partners(rows: pa.Table, event_time: str, other: pa.Table, rule: JoinRule) -> Partners:
    """Return rows and those that they may be joined with.

    Parameters
    ----------
    rows : pyarrow.Table of n_rows
        With the columns of ``rule.on`` and the event time.
    other : pyarrow.Table of n_partners
        With the columns of ``rule.keys``, sorted by ``valid_from`` and then by these, as partitions are.
    """
    keys, partner_keys = _codes(rows, other, rule)
    valid_from = _microseconds(other[rule.valid_from])
    known = valid_from if rule.known_at is None else _microseconds(other[rule.known_at])
    delay = int(rule.delay.about().total_seconds()) * 10**6
    seen_from = np.maximum(valid_from, known + delay)
    # A correction follows the row that it corrects: they differ only in the last key, the instant at which they were known.
    corrected = _equal_to_next(other, [name for name in rule.keys if name != rule.known_at])
    seen_until = np.full(len(seen_from), NEVER)
    seen_until[:-1][corrected] = seen_from[1:][corrected]
    return Partners(keys, _microseconds(rows[event_time]), partner_keys, valid_from, seen_from, seen_until)


def newest(known: Partners, within: int) -> Array:
    """Return for each row the place of its newest partner among those that could be seen, -1 where there is none.

    The newest is that with the greatest ``valid_from``; of several the last in the order of their names, and of one row
    that was corrected the version that was known last.

    Parameters
    ----------
    within : int
        How old a partner may be, in microseconds; one exactly this old is too old.
    """
    count = len(known.partner_keys)
    by_age = np.argsort(known.partner_keys, kind="stable")
    rank = np.empty(count, np.int64)
    rank[by_age] = np.arange(1, count + 1)
    # Ranks rise with the keys, so that one running maximum over all keys is a running maximum within each.
    best = _last_before(known, known.partner_keys, known.seen_from, rank, np.maximum)
    place = by_age[np.maximum(best, 1) - 1] if count else np.zeros(len(best), np.int64)
    found = (best > 0) & (known.keys >= 0)
    if count:
        found &= known.partner_keys[place] == known.keys
        found &= known.times - known.valid_from[place] < within
    return np.where(found, place, -1)


def _last_before(known: Partners, keys: Array, since: Array, values: Array, running: np.ufunc) -> Array:
    """Return for each row the running value of all that came by its time, in the order of keys and instants."""
    places = arrivals(known, keys, since)
    ordered = running.accumulate(np.concatenate([[0], values[places.order]]))
    return ordered[places.before]


@dataclass(frozen=True)
class Arrivals:
    """In which order things arrive, by key and instant, and how many have come by when each row happened."""

    order: Array
    """Of shape (n_things,)."""
    before: Array
    """Of shape (n_rows,); the things of all smaller keys count."""


def arrivals(known: Partners, keys: Array, instants: Array) -> Arrivals:
    """Sort things and rows together; what arrives at a row's very instant has come."""
    both = np.concatenate([instants, known.times])
    side = np.concatenate([np.zeros(len(instants), np.int8), np.ones(len(known.times), np.int8)])
    order = np.lexsort((side, both, np.concatenate([keys, known.keys])))
    ours = order >= len(instants)
    before = np.empty(len(known.times), np.int64)
    before[order[ours] - len(instants)] = np.cumsum(~ours)[ours]
    return Arrivals(order[~ours], before)


def _codes(rows: pa.Table, other: pa.Table, rule: JoinRule) -> tuple[Array, Array]:
    """Return one number for each combination of key values, the same on both sides; -1 where a value is missing."""
    whole = np.zeros(rows.num_rows + other.num_rows, np.int64)
    missing = np.zeros(len(whole), bool)
    for ours, theirs in rule.on.items():
        codes = _code(rows[ours], other[theirs])
        missing |= codes < 0
        whole = np.unique(whole * (int(codes.max(initial=0)) + 2) + codes + 1, return_inverse=True)[1]
    whole = np.where(missing, -1, whole)
    return whole[: rows.num_rows], whole[rows.num_rows :]


def _code(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> Array:
    encoded = [one if pa.types.is_dictionary(one.type) else one.dictionary_encode() for one in (ours, theirs)]
    chunks = [chunk for one in encoded for chunk in one.chunks]
    if not chunks:
        return np.zeros(0, np.int64)
    both = pa.chunked_array(chunks).unify_dictionaries()
    return np.concatenate(
        [pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64) for chunk in both.chunks]
    )


def _equal_to_next(table: pa.Table, names: Sequence[str]) -> Array:
    """Return which rows but the last have the same values as the row behind them."""
    same = np.ones(max(table.num_rows - 1, 0), bool)
    for name in names:
        equal = pc.equal(table[name][:-1], table[name][1:]) if table.num_rows else pa.array([], pa.bool_())
        same &= pc.fill_null(equal, False).to_numpy(zero_copy_only=False).astype(bool)
    return same


def _microseconds(times: pa.ChunkedArray) -> Array:
    found: Array = times.cast(pa.int64()).to_numpy()
    return found
