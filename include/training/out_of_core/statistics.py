"""Statistics of columns from their partitions: sums and extremes that merge, and exact order statistics in three passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.training.out_of_core.parted_rows import PartedRows
from include.training.preprocessing.category_encoder import LevelCounts, count_levels, join_counts

Array = np.ndarray[Any, Any]

_PASSES = ((42, 22), (20, 22), (0, 20))
"""Which bits of a value's 64 each pass counts: the lowest, and how many."""
_TOP = np.uint64(1 << 63)


@dataclass(frozen=True)
class ColumnValues:
    """Columns of a group, as the steps of its preparation that are learned by now give them to the next.

    Parameters
    ----------
    columns : sequence of str
    steps : sequence of fitted transformers
    """

    columns: Sequence[str]
    steps: Sequence[Any]

    def of(self, frame: pd.DataFrame) -> Any:
        """Return the columns of rows after the steps."""
        values: Any = frame[list(self.columns)]
        for step in self.steps:
            values = step.transform(values)
        return values


@dataclass(frozen=True)
class Moments:
    """What merges of columns: each field but the number of rows is an array of one item a column.

    Parameters
    ----------
    rows : int
    known : array of int
        How many rows have a value.
    low, high, mean : array of float
        NaN of a column without any value.
    squares : array of float
        Sum of squared distances from the mean.
    """

    rows: int
    known: Array
    low: Array
    high: Array
    mean: Array
    squares: Array

    @property
    def variance(self) -> Array:
        """The mean squared distance from the mean."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.squares / self.known)

    def joined(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows (Chan, Golub and LeVeque, 1983)."""
        known = self.known + other.known
        with np.errstate(invalid="ignore"):
            gap = np.where((self.known > 0) & (other.known > 0), other.mean - self.mean, 0.0)
            mean = np.where(self.known > 0, self.mean, other.mean) + gap * other.known / known
            squares = self.squares + other.squares + gap**2 * self.known * other.known / known
        return Moments(
            self.rows + other.rows,
            known,
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            mean,
            np.where(known > 0, squares, 0.0),
        )


def moments(rows: PartedRows, values: ColumnValues) -> Moments:
    """Return the moments of columns."""
    parts = rows.ask(_moments, values)
    merged: Moments = next(parts)
    for part in parts:
        merged = merged.joined(part)
    return merged


def _moments(frame: pd.DataFrame, values: ColumnValues) -> Moments:
    matrix = np.asarray(values.of(frame), dtype=np.float64)
    present = ~np.isnan(matrix)
    known, empty = present.sum(axis=0), ~present.any(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(present, matrix, 0.0).sum(axis=0) / known
    distances = np.where(present, matrix - np.where(empty, 0.0, mean), 0.0)
    mean = mean + np.divide(distances.sum(axis=0), known, out=np.zeros(len(known)), where=known > 0)
    distances = np.where(present, matrix - np.where(empty, 0.0, mean), 0.0)
    low = np.where(empty, np.nan, np.where(present, matrix, np.inf).min(axis=0))
    high = np.where(empty, np.nan, np.where(present, matrix, -np.inf).max(axis=0))
    return Moments(len(matrix), known, low, high, mean, (distances**2).sum(axis=0))


def missing_shares(rows: PartedRows, values: ColumnValues) -> Array:
    """Return the share of rows in which each column has no value."""
    return np.asarray(np.sum(list(rows.ask(_missing, values)), axis=0) / len(rows))


def _missing(frame: pd.DataFrame, values: ColumnValues) -> Array:
    return np.asarray(np.asarray(pd.isna(values.of(frame))).sum(axis=0))


def levels(rows: PartedRows, values: ColumnValues) -> list[LevelCounts]:
    """Return the levels of each column with their rows."""
    counted = zip(*rows.ask(_levels, values), strict=True)
    return [join_counts(parts) for parts in counted]


def _levels(frame: pd.DataFrame, values: ColumnValues) -> list[LevelCounts]:
    columns = values.of(frame)
    return [count_levels(columns[name]) for name in columns]


def modes(rows: PartedRows, values: ColumnValues) -> Array:
    """Return the most frequent value of each column, of equally frequent ones the lowest; NaN of one without any."""
    found = []
    for parts in zip(*rows.ask(_counts, values), strict=True):
        numbers, which = np.unique(np.concatenate([value for value, _ in parts]), return_inverse=True)
        counts = np.bincount(which, weights=np.concatenate([count for _, count in parts]), minlength=len(numbers))
        found.append(numbers[np.argmax(counts)] if len(numbers) else np.nan)
    return np.array(found)


def _counts(frame: pd.DataFrame, values: ColumnValues) -> list[tuple[Array, Array]]:
    matrix = np.asarray(values.of(frame), dtype=np.float64)
    return [np.unique(column[~np.isnan(column)], return_counts=True) for column in matrix.T]


def quantiles(rows: PartedRows, values: ColumnValues, known: Array, shares: Sequence[float]) -> Array:
    """Return exact quantiles, interpolated as numpy does it; NaN of a column without any value.

    The values next to a quantile are found digit by digit: each pass counts, among the values that begin as it does, which
    digits come next. So no column is ever in one place.

    Parameters
    ----------
    values : ColumnValues
    known : array of int
        How many rows have a value, by column.
    shares : sequence of float
        From 0 to 1.

    Returns
    -------
    array of shape (n_shares, n_columns)
    """
    places = [[share * (int(count) - 1) for share in shares] if count else [] for count in known]
    # Of each column: by rank, the bits that are known of the value, and its rank among those that begin with them.
    asked = [{rank: (0, rank) for at in column for rank in {int(at), int(np.ceil(at))}} for column in places]
    for low, width in _PASSES:
        begun = [sorted({bits for bits, _ in ranks.values()}) for ranks in asked]
        merged: list[dict[int, list[tuple[Array, Array]]]] = [{bits: [] for bits in column} for column in begun]
        for part in rows.ask(_digits, values, low, width, begun):
            for column, counted in zip(merged, part, strict=True):
                for bits, pair in counted.items():
                    column[bits].append(pair)
        asked = [
            {rank: _next(column[bits], bits, within, width) for rank, (bits, within) in ranks.items()}
            for ranks, column in zip(asked, merged, strict=True)
        ]
    found = np.full((len(shares), len(places)), np.nan)
    for number, (wanted, ranks) in enumerate(zip(places, asked, strict=True)):
        for row, at in enumerate(wanted):
            first, second, part = _value(ranks[int(at)][0]), _value(ranks[int(np.ceil(at))][0]), at - int(at)
            gap = second - first
            found[row, number] = first + gap * part if part < 0.5 else second - gap * (1 - part)
    return found


def _next(pairs: list[tuple[Array, Array]], bits: int, within: int, width: int) -> tuple[int, int]:
    digits, which = np.unique(np.concatenate([digit for digit, _ in pairs]), return_inverse=True)
    counts = np.bincount(which, weights=np.concatenate([count for _, count in pairs])).astype(np.int64)
    ends = np.cumsum(counts)
    place = int(np.searchsorted(ends, within, side="right"))
    return (bits << width) | int(digits[place]), within - int(ends[place] - counts[place])


def _digits(
    frame: pd.DataFrame, values: ColumnValues, low: int, width: int, begun: list[list[int]]
) -> list[dict[int, tuple[Array, Array]]]:
    matrix, found = np.asarray(values.of(frame), dtype=np.float64), []
    for column, beginnings in zip(matrix.T, begun, strict=True):
        keys = _keys(column[~np.isnan(column)])
        heads = keys >> np.uint64(low)
        mask = np.uint64((1 << width) - 1)
        own = {}
        for bits in beginnings:
            some = heads if low + width == 64 else heads[(heads >> np.uint64(width)) == np.uint64(bits)]
            own[bits] = np.unique(some & mask, return_counts=True)
        found.append(own)
    return found


def _keys(values: Array) -> Array:
    """Return whole numbers of 64 bits in the order of the values; both zeros are one."""
    bits = (np.ascontiguousarray(values) + 0.0).view(np.uint64)
    return np.where(bits & _TOP, ~bits, bits | _TOP)


def _value(key: int) -> float:
    bits = key ^ (1 << 63) if key >> 63 else key ^ ((1 << 64) - 1)
    return float(np.array([bits], dtype=np.uint64).view(np.float64)[0])
