"""Distributions of each column in training window, holdout and each partition, as counts and quantiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.sections.data import Data
from include.data.stored_partitions import SLOT

Array = NDArray[Any]
FEWEST_ROWS = 50
"""Of fewer rows no quantile is kept, and a level with fewer is not named."""
MOST_COLUMNS, MOST_LEVELS = 60, 12
_COUNTED = 10_000
"""Levels of a column that are counted; one with more is an id or prose, and left out."""
_BINS, _POINTS = 20, 200
_MIDDLES = (np.arange(_POINTS) + 0.5) / _POINTS
_QUANTILES = (0.05, 0.5, 0.95)

Points = tuple[str, int, Array]
"""A partition, how many of its rows have a value, and their quantiles."""


class Distributions:
    """Distributions of columns, from rows that come in parts of whole partitions.

    Parameters
    ----------
    columns : iterable of str
        The columns; those that the rows lack are ignored, and at most `MOST_COLUMNS` are counted.
    data : Data, optional
        Says how many people must have a level for it to be named, and by which column they are counted.
    """

    def __init__(self, columns: Iterable[str], data: Data | None = None) -> None:
        self._fewest = None if data is None or data.pool_levels is None else data.pool_levels.below
        self._entity = None if data is None else (*data.people, None)[0]
        self._people: dict[str, dict[str, set[Any]]] = {}
        self._columns = list(dict.fromkeys(columns))[:MOST_COLUMNS]
        self._points: dict[str, tuple[list[Points], list[Points]]] = {}
        self._periods: dict[str, list[dict[str, Any]]] = {}
        self._levels: dict[str, tuple[Counter[str], Counter[str]]] = {}
        self._left: set[str] = set()

    def add(self, frame: pd.DataFrame, train: Array) -> None:
        """Count rows; ``train`` tells which of them are in the training window."""
        slots = frame[SLOT].cat
        # Each partition's rows together, so that many partitions cost no more than the rows that they hold.
        rows = np.argsort(slots.codes.to_numpy(), kind="stable")
        for name in self._columns:
            if name not in frame or name in self._left:
                continue
            values = frame[name]
            if pd.api.types.is_datetime64_any_dtype(values.dtype):
                self._left.add(name)
            elif pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
                self._add_numbers(name, values.to_numpy(dtype=float, na_value=np.nan), slots, rows, train)
            else:
                if self._entity is not None:
                    self._add_people(name, values, frame[self._entity])
                self._add_levels(name, values, train)

    def _add_numbers(self, name: str, values: Array, slots: Any, rows: Array, train: Array) -> None:
        there = rows[np.isfinite(values[rows])]
        ends = np.searchsorted(slots.codes.to_numpy()[there], np.arange(len(slots.categories)), side="right")
        for slot, mine in zip(slots.categories, np.split(there, ends[:-1]), strict=True):
            windows = [np.sort(values[mine[window[mine]]]) for window in (train, ~train)]
            for number, own in enumerate(windows):
                if len(own):
                    # The number of quantiles that represent a partition's rows, independent of the other rows.
                    points = own if len(own) <= _POINTS else _quantiles(own, _MIDDLES)
                    self._points.setdefault(name, ([], []))[number].append((str(slot), len(own), points))
            if len(mine) >= FEWEST_ROWS:
                both = (
                    np.sort(np.concatenate(windows), kind="stable") if all(map(len, windows)) else max(windows, key=len)
                )
                low, middle, high = _quantiles(both, np.array(_QUANTILES)).tolist()
                period = {"slot": str(slot), "low": low, "middle": middle, "high": high}
                self._periods.setdefault(name, []).append(period)

    def _add_levels(self, name: str, values: pd.Series[Any], train: Array) -> None:
        counts = self._levels.setdefault(name, (Counter(), Counter()))
        for counter, window in zip(counts, (train, ~train), strict=True):
            counter.update(_counted(values[window]))
        if len(counts[0] | counts[1]) > _COUNTED:
            self._left.add(name)
            del self._levels[name]
            self._people.pop(name, None)

    def _add_people(self, name: str, values: pd.Series[Any], people: pd.Series[Any]) -> None:
        """Remember who has each level, of as many as it takes to name it."""
        assert self._fewest is not None  # noqa: S101 (else nobody is counted)
        known = self._people.setdefault(name, {})
        pairs = pd.DataFrame({"level": values.astype(str).where(values.notna()), "person": people}).drop_duplicates()
        for level, who in pairs.dropna(subset="level").groupby("level", observed=True)["person"]:
            mine = known.setdefault(str(level), set())
            mine.update("" if pd.isna(one) else one for one in who.head(self._fewest))

    def _is_rare(self, name: str, level: str, rows: int) -> bool:
        """Tell whether a level has too few rows, or too few people have it."""
        people = rows if self._entity is None else len(self._people[name][level])
        return rows < FEWEST_ROWS or (self._fewest is not None and people < self._fewest)

    def found(self) -> list[dict[str, Any]]:
        """Return the distributions as plain JSON, in the order of the columns."""
        return [found for name in self._columns if (found := self._of(name)) is not None]

    def _of(self, name: str) -> dict[str, Any] | None:
        if name in self._points:
            return self._of_numbers(name)
        if name not in self._levels:
            return None
        train, holdout = self._levels[name]
        both = train + holdout
        common = [level for level, count in both.most_common(MOST_LEVELS) if not self._is_rare(name, level, count)]
        return {
            "column": name,
            "levels": [{"level": one, "train": train[one], "holdout": holdout[one]} for one in sorted(common)],
            "others": {
                "levels": len(both) - len(common),
                "train": train.total() - sum(train[one] for one in common),
                "holdout": holdout.total() - sum(holdout[one] for one in common),
            },
        }

    def _of_numbers(self, name: str) -> dict[str, Any] | None:
        parts = [sorted(one, key=lambda found: found[0]) for one in self._points[name]]
        values = [np.concatenate([points for *_, points in one] or [np.array([])]) for one in parts]
        weights = [np.concatenate([np.full(len(p), n / len(p)) for _, n, p in one] or [np.array([])]) for one in parts]
        every, weight = np.concatenate(values), np.concatenate(weights)
        if weight.sum() < FEWEST_ROWS:
            return None
        order = np.argsort(every, kind="stable")
        reached = np.cumsum(weight[order]) / weight.sum()
        low, high = (every[order][np.searchsorted(reached, share)] for share in (0.01, 0.99))
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        shares = [_shares(edges, *pair) for pair in zip(values, weights, strict=True)]
        periods = sorted(self._periods.get(name, ()), key=lambda one: one["slot"])
        return {
            "column": name,
            "edges": edges.tolist(),
            "train": shares[0],
            "holdout": shares[1],
            "periods": periods,
        }


def _quantiles(ordered: Array, shares: Array) -> Array:
    """Return what ``np.quantile`` does, of values in ascending order: it would sort them again."""
    place = shares * (len(ordered) - 1)
    below = np.floor(place).astype(int)
    part, low, high = place - below, ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    found: Array = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return found


def _counted(values: pd.Series[Any]) -> dict[str, int]:
    """Return how many rows have each level, as its text: the most frequent first, of equally frequent ones that which came first."""
    levels: Any = None
    values = values.dropna()
    if isinstance(values.dtype, pd.CategoricalDtype) and isinstance(values.cat.categories.dtype, pd.StringDtype):
        # Their numbers are counted, and so are truth values as they are: no text is made for a row.
        levels, values = values.cat.categories, values.cat.codes
    elif not pd.api.types.is_bool_dtype(values.dtype):
        values = values.astype(str)
    found = values.value_counts()
    names = found.index if levels is None else levels[found.index]
    return {str(level): int(count) for level, count in zip(names, found, strict=True) if count}


def _shares(edges: Array, values: Array, weights: Array) -> list[float]:
    """Return the share of rows in each bin, the first and the last of them open."""
    place = np.searchsorted(edges, values, side="right")
    place = np.where(values == edges[-1], _BINS, place)
    counts = np.bincount(place, weights, minlength=_BINS + 2)
    return [round(share, 6) for share in (counts / (counts.sum() or 1)).tolist()]
