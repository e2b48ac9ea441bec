"""Random split of tables without event time: a hash of the row's id or group takes the place of time.

Each row has a fixed place on a line, an imaginary hour: the digest of its id, or of what it is about, says which. The
training window is the beginning of that line and the holdout its end. So a row stays on its side when other rows come or
go, and everything that is said of windows of time holds without change: no row of the holdout is ever learned from, by this
version or by the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.config.sections.data import LOT, ROW, Data
from include.data.windows import Split, Window

Digests = np.ndarray[Any, np.dtype[np.uint8]]

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = 3_600_000_000
"""Microseconds of the line."""
_DIGITS = 32
"""Hexadecimal digits of a row's name; a copy's number stands behind them."""


def random_split(holdout: float) -> Split:
    """Return the windows of a table whose holdout is such a share of the rows."""
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
        self._copies: dict[str, int] = {}

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows with their lot, and with a name of their own where the source gives none.

        A row without an id is named by the digest of all its values; of equal ones the second is named ``...-2``, and so on,
        and all have the same lot unless `data.equal_rows` says that they are separate.
        """
        if self.data.row_id == (ROW,):
            digests = _row_digests(table, sorted(table.column_names))
            names = self._named(digests)
            if self.data.equal_rows == "separate":
                copies = [place for place, name in enumerate(names) if len(name) > _DIGITS]
                digests[copies] = _digests(names[place].encode() for place in copies)
            table = table.append_column(ROW, pa.array(names, pa.string()))
        else:
            digests = _row_digests(table, self.data.row_id)
        if self.data.entity is not None:
            digests = _row_digests(table, [self.data.entity])
        places = 1 + (digests[:, :8].copy().view(">u8")[:, 0] % _LENGTH).astype(np.int64)
        return table.append_column(LOT, pa.array(places, pa.int64()).cast(pa.timestamp("us", "UTC")))

    def _named(self, digests: Digests) -> list[str]:
        text, names, copies = digests.tobytes().hex(), [], self._copies
        for digest in (text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS)):
            copy = copies[digest] = copies.get(digest, 0) + 1
            names.append(digest if copy == 1 else f"{digest}-{copy}")
        return names


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


def _digests(rows: Iterable[bytes]) -> Digests:
    """Return the first 16 bytes of the SHA-256 of each, as an array of shape (n_rows, 16)."""
    sha256 = hashlib.sha256
    whole = b"".join([sha256(row).digest() for row in rows])
    return np.frombuffer(whole, np.uint8).reshape(-1, 32)[:, : _DIGITS // 2].copy()
