"""Pool rare levels, those of few people, into one level that is shown instead of them.

What is kept for ever (evidence, cards, reports of checks, domains, references of the watch) outlives an erasure, so it must
not name a level that tells of a few people alone: the threshold rule of statistical disclosure control, `data.pool_levels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.config.sections.data import Data

Array = NDArray[Any]

OTHER_LEVELS = "(other levels)"
"""What levels of too few people are shown as, together."""


@dataclass(frozen=True, eq=False)
class RareLevels:
    """Tells which levels too few people of some rows have.

    Parameters
    ----------
    fewest : int or None
        So many people must have a level for it to be named; None names all.
    people : array of int of shape (n_rows,), optional
        Whose each row is; None of rows that are a person each.
    """

    fewest: int | None
    people: Array | None = None

    @classmethod
    def of(cls, data: Data, rows: pd.DataFrame | pa.Table) -> RareLevels:
        """Return those of rows that have the columns `data.people`; rows without a value there are one person's."""
        if data.pool_levels is None:
            return ALL_NAMED
        if not data.people:
            return cls(data.pool_levels.below)
        column = rows[data.people[0]]
        people, _ = pd.factorize(column.to_pandas() if isinstance(rows, pa.Table) else column)
        return cls(data.pool_levels.below, people)

    def at(self, rows: Array) -> RareLevels:
        """Return those of some of the rows, by their places or a mask."""
        return self if self.people is None else RareLevels(self.fewest, self.people[rows])

    def among(self, codes: Array, levels: int) -> NDArray[np.bool_]:
        """Tell for each level whether it is rare; one that no row has is not.

        Parameters
        ----------
        codes : array of int of shape (n_rows,)
            Each row's level; below zero none.
        levels : int
            How many there are.
        """
        if self.fewest is None:
            return np.zeros(levels, dtype=bool)
        known = codes >= 0
        codes = codes[known].astype(np.int64)
        if self.people is not None:
            people = self.people[known].astype(np.int64) + 1  # a gap is -1
            width = int(people.max(initial=0)) + 1
            codes = np.unique(codes * width + people) // width
        counts = np.bincount(codes, minlength=levels)
        return (counts > 0) & (counts < self.fewest)


def pooled_by(data: Data) -> dict[str, list[int | str]]:
    """Return the part of a cache key that names the pooling of levels; empty without pooling, as in earlier releases."""
    return {} if data.pool_levels is None else {"pooled": [data.pool_levels.below, *data.people]}


ALL_NAMED = RareLevels(None)
"""Where no level is rare."""
