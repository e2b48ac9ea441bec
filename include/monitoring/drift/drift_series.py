"""Series that change detection follows: each column's statistics, period by period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.monitoring.drift.periods import Period, Reference

Array = NDArray[Any]

STATISTICS = ("location", "shape", "missing", "outside")
"""What is followed of each column.

``location``: the mean share of reference rows that lie below a row's bin; of levels, those that are more frequent count as lower.
``shape``: the population stability index, less what so few rows would show by chance. ``missing``, ``outside``: shares of rows.
"""
TABLE = ("volume", "duplicates", "lag")
"""What is followed of the rows together: their number, the share that comes twice, how long before its end the newest one of a period happened."""


@dataclass(frozen=True, eq=False)
class Series:
    """What detectors follow.

    Parameters
    ----------
    names : tuple of (column, statistic)
        Of the table as a whole the column is an empty text.
    values : array of shape (n_series, n_periods)
        The reference's periods first.
    two_sided : array of bool of shape (n_series,)
    shares : array of shape (n_series,)
        How false alarms are divided: one half between predictions, labels and the table, one half between the other columns and contributions.
    distance_of : array of int of shape (n_series,)
        For a shape the place of the same column's location, -1 for others.
    """

    names: tuple[tuple[str, str], ...]
    values: Array
    two_sided: Array
    shares: Array
    distance_of: Array


def series_of(reference: Reference, periods: Sequence[Period], *, of_rows: bool = True) -> Series:
    """Return the series of every column and statistic over the reference's periods and those that are watched.

    A period of the reference is compared with the others of it: it would be too much like a whole that it is a part of.
    ``of_rows`` says whether those of the rows as a whole are among them.
    """
    names: list[tuple[str, str]] = []
    values: list[Array] = []
    outer: list[bool] = []
    listed = [*reference.periods, *periods]
    own = np.arange(len(listed)) < len(reference.periods)
    for column in reference.layout.columns:
        if column.role == "slice":
            continue
        table = np.array([one.counts[column.name] for one in listed], dtype=float).reshape(len(listed), -1)
        found = _statistics(reference.bins[column.name].reference, table, own)
        names += [(column.name, statistic) for statistic in STATISTICS]
        values += [found[statistic] for statistic in STATISTICS]
        outer += [column.role in ("prediction", "label")] * len(STATISTICS)
    if of_rows:
        rows = np.array([one.rows for one in listed], dtype=float)
        names += [("", statistic) for statistic in TABLE]
        values += [
            np.where(rows > 0, np.log(np.maximum(rows, 1)), np.nan),
            _stable(np.array([one.duplicates for one in listed])),
            np.array([one.lag for one in listed]),
        ]
        outer += [True] * len(TABLE)
    first = np.array(outer)
    shares = np.where(first, 1 / first.sum(), 1 / max((~first).sum(), 1)) / (1 if first.all() else 2)
    two_sided = np.array([statistic not in ("shape", "duplicates", "lag") for _, statistic in names])
    place = {name: number for number, name in enumerate(names)}
    distance_of = np.array([place[column, "location"] if one == "shape" else -1 for column, one in names])
    return Series(tuple(names), np.array(values), two_sided, shares, distance_of)


def _statistics(reference: Array, table: Array, own: Array) -> dict[str, Array]:
    """Return each statistic of a column over periods.

    Parameters
    ----------
    reference : array of shape (n_bins,)
    table : array of shape (n_periods, n_bins + 2)
    own : array of bool of shape (n_periods,)
        Which periods are a part of the reference.
    """
    bins, missing, outside = table[:, :-2], table[:, -2], table[:, -1]
    known = bins.sum(axis=1)
    rows = known + missing
    middle = (np.cumsum(reference) - reference / 2) / max(reference.sum(), 1)
    beside = reference - np.where(own[:, None], bins, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        location = bins @ middle / known
        shares, expected = bins / known[:, None], beside / beside.sum(axis=1, keepdims=True)
        # Eight times the squared Hellinger distance is the index to second order, and stays finite where a bin is empty.
        shape = 8 * (1 - np.sqrt(shares * expected).sum(axis=1)) - ((beside > 0).sum(axis=1) - 1) / known
        return {
            "location": location,
            "shape": shape,
            "missing": _stable(missing / rows),
            "outside": _stable(outside / rows),
        }


def _stable(share: Array) -> Array:
    """Return shares on the scale on which their sampling error does not depend on them."""
    stable: Array = np.arcsin(np.sqrt(np.clip(share, 0, 1)))
    return stable
