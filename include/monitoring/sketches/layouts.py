"""Layouts of sketches: what is counted of each column, learned once on a champion's training rows.

Numbers are counted by the leading bits of their distance from the layout's median, in scales: sign, power of two, and
sixteenths of it. That is fine near the median, within 6 % of the distance everywhere, and reaches from a hundredth of a scale to
ten million of them, so that a change of unit is as well in sight as a shift by a tenth of a standard deviation. No edges
are searched: a cell is a shift of bits away from its number.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.config.sections.data import Data
from include.data.rare_levels import ALL_NAMED, RareLevels
from include.monitoring.sketches.arrow_values import Kind, column_of, values_of, whole
from include.storage.content import digest_json
from include.training.preprocessing.category_encoder import factorize_texts

Array = NDArray[Any]
Role = Literal["input", "derived", "prediction", "contribution", "label", "slice"]

SIXTEENTHS = 19  # bits of a float32 below sign, exponent and the first four of the fraction
NEAREST = (127 - 6) << 4
"""Distances below 2^-6 scales are one cell."""
OUTERMOST = ((127 + 24) << 4) - NEAREST
"""Those from 2^24 scales on are one cell, too."""
NUMBER_CELLS = 2 * OUTERMOST + 1
BUCKETS = 64
"""The number of buckets for levels that the layout does not list: they are counted by a hash, and no text is kept."""
CODES = frozenset(
    {"", "-", "--", "?", ".", "-99", "-999", "-9999", "9999", "na", "n/a", "#n/a", "nan", "nil", "none", "null", "\\n"}
    | {"unknown", "unk", "missing", "(missing)", "undefined", "not available", "not applicable"}
)
"""Texts that mean "no value" somewhere; where the layout does not list one, it is counted in a cell for all of these."""
MOST_LEVELS = 1_000
"""A column with more levels lists the most frequent ones, and nothing of it is called unknown."""


@dataclass(frozen=True)
class WatchedColumn:
    """A column that is watched, and as what.

    ``text`` is counted by its length, ``time`` by its distance from the row's event time in seconds.
    """

    name: str
    role: Role
    kind: Kind


@dataclass(frozen=True)
class ColumnLayout:
    """What is counted of one column.

    Parameters
    ----------
    centre, scale : float
        Median, and the standard deviation that the quartiles would have if the column were normal.
    low, high : float or None
        The extremes of the reference rows: what lies beyond is outside the domain.
    levels : tuple of str
        Known levels, the most frequent first.
    complete : bool
        Whether these are all levels of the reference rows.
    """

    name: str
    role: Role
    kind: Kind
    centre: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    complete: bool = True

    @property
    def cells(self) -> int:
        """How many cells the column has; of levels the known ones, one for codes that mean no value, and the buckets."""
        return len(self.levels) + 1 + BUCKETS if self.kind == "level" else NUMBER_CELLS

    @cached_property
    def places(self) -> dict[str, int]:
        """The cells of known levels."""
        return {text: number for number, text in enumerate(self.levels)}

    def place(self, text: str) -> int:
        """Return the cell of a level."""
        if (known := self.places.get(text)) is not None:
            return known
        return len(self.levels) + (0 if text.strip().lower() in CODES else 1 + zlib.crc32(text.encode()) % BUCKETS)

    @cached_property
    def edges(self) -> Array:
        """The cells' limits in the column's own unit, ascending: an array of shape (NUMBER_CELLS + 1,)."""
        steps = np.arange(OUTERMOST) + NEAREST
        far = np.ldexp(1 + (steps & 15) / 16, (steps >> 4) - 127)
        edges: Array = self.centre + self.scale * np.r_[-np.inf, -far[::-1], far, np.inf]
        return edges

    @cached_property
    def middles(self) -> Array:
        """A value for each cell, in the column's own unit; of the outermost cells their finite limit."""
        edges = np.clip(self.edges, self.edges[1], self.edges[-2])
        middles: Array = (edges[:-1] + edges[1:]) / 2
        return middles


@dataclass(frozen=True)
class Layout:
    """What is counted of a table."""

    columns: tuple[ColumnLayout, ...]
    event_time: str | None = None
    row_id: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Sketches of one digest can be merged and compared."""
        return digest_json(self.to_json())

    def __getitem__(self, name: str) -> ColumnLayout:
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        columns = [{**vars(column)} for column in self.columns]
        for column in columns:
            for cached in ("edges", "middles", "places"):
                column.pop(cached, None)
            column["levels"] = list(column["levels"])
        return {"columns": columns, "event_time": self.event_time, "row_id": list(self.row_id)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Layout:
        """Read what `to_json` wrote."""
        columns = tuple(ColumnLayout(**one | {"levels": tuple(one["levels"])}) for one in value["columns"])
        return cls(columns, value["event_time"], tuple(value["row_id"]))


def learn_layout(
    tables: Iterable[pa.Table | pa.RecordBatch],
    columns: Sequence[WatchedColumn],
    *,
    event_time: str | None = None,
    row_id: Sequence[str] = (),
    data: Data | None = None,
) -> Layout:
    """Return what is counted of a table, learned on reference rows.

    Parameters
    ----------
    tables : iterable of pyarrow tables or record batches
        The reference rows; their order has no influence.
    columns : sequence of WatchedColumn
    event_time : str, optional
        The column that freshness is read from, and that ``time`` columns are measured from.
    row_id : sequence of str
        The columns that name a row, for duplicates.
    data : Data, optional
        Says by which column people are counted, if levels that few of them have are not to be listed.

    Raises
    ------
    DataError
        When a column is missing, or is not of the kind that it is said to be.
    """
    table = pa.concat_tables(
        [pa.Table.from_batches([one]) if isinstance(one, pa.RecordBatch) else one for one in tables],
        promote_options="permissive",
    )
    rare = ALL_NAMED if data is None else RareLevels.of(data, table)
    return Layout(tuple(_learned(table, column, event_time, rare) for column in columns), event_time, tuple(row_id))


def _learned(table: pa.Table, column: WatchedColumn, event_time: str | None, rare: RareLevels) -> ColumnLayout:
    values = whole(column_of(table, column.name))
    made = ColumnLayout(column.name, column.role, column.kind)
    if column.kind == "level":
        return replace(made, **_levels_of(values, rare))
    times = whole(column_of(table, event_time)) if column.kind == "time" else None
    numbers = values_of(values, column.name, column.kind, times).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return made
    quarter, centre, three_quarters = np.quantile(numbers, (0.25, 0.5, 0.75))
    spread = (three_quarters - quarter) / 1.349 or numbers.std() or 1.0
    return replace(made, centre=float(centre), scale=float(spread), low=float(numbers.min()), high=float(numbers.max()))


def _levels_of(values: pa.Array, rare: RareLevels) -> Mapping[str, Any]:
    rows, texts = factorize_texts(values.to_pandas())
    # A category may be listed twice as text, such as 7 and 7.0, and need not have a row.
    levels, which = np.unique(texts, return_inverse=True)
    codes = np.append(which, -1)[rows]
    counts = pd.Series(np.bincount(codes[codes >= 0], minlength=len(levels)), index=levels)
    listed = counts[(counts > 0) & ~rare.among(codes, len(levels))]
    complete = len(listed) == (counts > 0).sum() and len(listed) <= MOST_LEVELS
    counts = listed.sort_index().sort_values(ascending=False, kind="stable")
    return {"levels": tuple(map(str, counts.index[:MOST_LEVELS])), "complete": bool(complete)}
