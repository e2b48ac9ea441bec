"""Random split of tables without event time: a hash of the row's id or group takes the place of time.

Each row has a fixed place on a line, an imaginary hour, which the digest of its id or of its entity determines. The
training window is the beginning of that line and the holdout its end. So a row stays on its side when other rows come or
go, and everything that is said of windows of time holds without change: no row of the holdout is ever learned from, by this
version or by the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.data import LOT, ROW, Data
from include.data.windows import Split, Window

Digests = np.ndarray[Any, np.dtype[np.uint8]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Halves = np.ndarray[Any, np.dtype[np.uint64]]

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = 3_600_000_000
"""Microseconds of the line."""
_DIGITS = 32
"""Hexadecimal digits of a row's name; the number of a copy follows them."""


def random_split(holdout: float) -> Split:
    """Return the windows of a table with a given share of the rows in the holdout."""
    cut = _BEGIN + timedelta(microseconds=round((1 - holdout) * _LENGTH))
    end = _BEGIN + timedelta(microseconds=_LENGTH)
    return Split(train=Window(_BEGIN, cut), holdout=Window(cut, end))


def whole_table() -> Window:
    """Return the window that holds every row of a table."""
    return Window(_BEGIN, _BEGIN + timedelta(microseconds=_LENGTH))


def is_random_split(after: datetime) -> bool:
    """Tell whether a window lies on the line and not in time."""
    return _BEGIN <= after < _BEGIN + timedelta(microseconds=_LENGTH)


def expected_share(after: datetime, until: datetime) -> float:
    """Return the share of the rows that a window on the line is expected to hold."""
    return (until - after) / timedelta(microseconds=1) / _LENGTH


def describe_window(after: datetime, until: datetime) -> str | None:
    """Return how a person would call a window on the line; None for one in time."""
    return f"random sample, {expected_share(after, until):.0%} of the table" if is_random_split(after) else None


class RandomPlaces:
    """Computes the random places of a table's rows, as they come in parts.

    Parameters
    ----------
    data : Data
        Of a table without event time.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self._numbered = Repeats()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows with their lot, and with a name of their own where the source gives none.

        A row without an id is named by the digest of all its values; of equal ones the second is named ``...-2``, and so on,
        and all have the same lot unless `data.equal_rows` says that they are separate.
        """
        if self.data.row_id == (ROW,):
            digests = _row_digests(table, sorted(table.column_names))
            numbers = self._numbered(digests)
            names, copies = _named(digests, numbers), numbers > 1
            if self.data.equal_rows == "separate" and copies.any():
                digests[copies] = _digests(
                    names.filter(pa.array(copies)).cast(pa.binary()).to_numpy(zero_copy_only=False)
                )
            table = table.append_column(ROW, names)
        else:
            digests = _row_digests(table, self.data.row_id)
        if self.data.entity is not None:
            digests = _row_digests(table, [self.data.entity])
        places = 1 + (digests[:, :8].copy().view(">u8")[:, 0] % _LENGTH).astype(np.int64)
        return table.append_column(LOT, pa.array(places, pa.int64()).cast(pa.timestamp("us", "UTC")))


class _Run(NamedTuple):
    """Digests in ascending order, as the numbers of their halves, and how often each came."""

    high: Halves
    low: Halves
    counts: Counts

    def counted(self, other: _Run) -> Counts:
        """Return how often each digest of another run came here."""
        at = np.searchsorted(self.high, other.high)
        last = len(self.high) - 1
        while True:
            near = np.minimum(at, last)
            alike = (at <= last) & (self.high[near] == other.high)
            behind = alike & (self.low[near] < other.low)
            if not behind.any():  # two digests of the same first half are hardly ever met
                return np.where(alike & (self.low[near] == other.low), self.counts[near], 0)
            at = at + behind


class Repeats:
    """Numbers equal digests in the order in which they come, in parts.

    Those that came are kept in sorted runs, of which two become one when the newer is as long: 24 bytes for each, a tenth of what a
    dictionary takes, and a search that does not leap through memory.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def __call__(self, digests: Digests) -> Counts:
        """Return for each row which of the equal ones it is, counted from one.

        Parameters
        ----------
        digests : array of shape (n_rows, 16)
        """
        high, low = digests.view(np.uint64).T
        order, own = _summed(high, low, np.ones(len(digests), np.int64))
        before = np.zeros(len(own.counts), np.int64)
        for run in self._runs:
            before += run.counted(own)
        numbers = np.empty(len(digests), np.int64)
        starts = np.cumsum(own.counts) - own.counts
        numbers[order] = np.arange(1, len(digests) + 1) + np.repeat(before - starts, own.counts)
        if len(own.counts):
            self._runs.append(own)
        while len(self._runs) > 1 and len(self._runs[-2].counts) <= len(self._runs[-1].counts):
            newer, older = self._runs.pop(), self._runs.pop()
            both = _Run(*(np.concatenate(pair) for pair in zip(older, newer, strict=True)))
            self._runs.append(_summed(both.high, both.low, both.counts)[1])
        return numbers


def _summed(high: Halves, low: Halves, counts: Counts) -> tuple[Counts, _Run]:
    """Return the order of digests, and each of them once with the sum of its counts."""
    order = np.argsort(high, kind="stable")
    same = high[order][1:] == high[order][:-1]
    if (same & (low[order][1:] != low[order][:-1])).any():
        order = np.lexsort((low, high))
        same = high[order][1:] == high[order][:-1]
    high, low = high[order], low[order]
    first = np.flatnonzero(np.concatenate([[True], ~(same & (low[1:] == low[:-1]))])[: len(high)])
    return order, _Run(high[first], low[first], np.add.reduceat(counts[order], first) if len(first) else counts)


def without_copies(names: pd.Series[Any]) -> pd.Series[Any]:
    """Return the names of rows that have no id without the number of the copy: equal rows have the same."""
    return names.astype(str).str.slice(0, _DIGITS)


def _row_digests(table: pa.Table, columns: Sequence[str]) -> Digests:
    """Return the digest of each row's values, as texts with their lengths."""
    parts: list[Any] = []
    for name in columns:
        texts = pc.fill_null(table[name].cast(pa.string()), "\0").cast(pa.large_string())
        parts += [pc.utf8_length(texts).cast(pa.large_string()), pa.scalar(":", pa.large_string()), texts]
    rows = pc.binary_join_element_wise(*parts, pa.scalar("", pa.large_string()))
    return _digests(rows.cast(pa.large_binary()).to_numpy())


def _named(digests: Digests, numbers: Counts) -> pa.Array:
    """Return the rows' names: the digest, and behind it the number of a copy."""
    hexadecimal, ends = digests.tobytes().hex().encode(), np.arange(len(digests) + 1, dtype=np.int32) * _DIGITS
    names = pa.StringArray.from_buffers(len(digests), pa.py_buffer(ends), pa.py_buffer(hexadecimal))
    if not (numbers > 1).any():
        return names
    numbered = pc.binary_join_element_wise(names, pa.array(numbers).cast(pa.string()), "-")
    return pc.if_else(pa.array(numbers > 1), numbered, names)


def _digests(rows: Iterable[bytes]) -> Digests:
    """Return the first 16 bytes of the SHA-256 of each, as an array of shape (n_rows, 16)."""
    sha256 = hashlib.sha256
    whole = b"".join([sha256(row).digest() for row in rows])
    return np.frombuffer(whole, np.uint8).reshape(-1, 32)[:, : _DIGITS // 2].copy()
