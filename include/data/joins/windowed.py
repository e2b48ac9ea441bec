"""Counts and sums over the rows of a second source in a span of time before each row, as far as they were known then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.joins.exact_sums import window_sums
from include.data.joins.point_in_time import Partners, arrivals

Array = np.ndarray[Any, Any]


class WindowTotals:
    """Totals over the partners that each row could see, and that are younger than a span.

    A partner counts from when it is seen until it is corrected or too old: it is added at the one instant and taken off at
    the other, so that a running total over both, in the order of time, is the total of the window. Sums are exact, so
    nothing is left over of what was taken off.
    """

    def __init__(self, known: Partners, over: int) -> None:
        """Sort what is added and taken off.

        Parameters
        ----------
        over : int
            The span in microseconds; a partner exactly this old is outside.
        """
        until = np.minimum(known.seen_until, known.valid_from + over)
        self._counted = np.flatnonzero((known.seen_from < until) & (known.partner_keys >= 0))
        keys = np.tile(known.partner_keys[self._counted], 2)
        instants = np.concatenate([known.seen_from[self._counted], until[self._counted]])
        self._arrivals = arrivals(known, keys, instants)
        ones = np.ones(len(self._counted), np.int64)
        self._signs = np.concatenate([ones, -ones])[self._arrivals.order]
        self._lacking = known.keys < 0

    def count(self) -> pa.Array:
        """Return how many there are; missing where a row's own key is."""
        return self._nullable(self._total(self._signs), self._lacking)

    def sum(self, values: pa.ChunkedArray) -> pa.Array:
        """Return the sum of their values, 0 without any; missing where a row's own key is."""
        return self._nullable(self._sums(values)[0], self._lacking)

    def mean(self, values: pa.ChunkedArray) -> pa.Array:
        """Return the mean of their values; missing without any."""
        sums, counts = self._sums(values)
        return self._nullable(sums / np.maximum(counts, 1), self._lacking | (counts == 0))

    def _sums(self, values: pa.ChunkedArray) -> tuple[Array, Array]:
        values = values.cast(pa.int64()) if pa.types.is_boolean(values.type) else values
        there = np.tile(values.is_valid().to_numpy()[self._counted], 2)[self._arrivals.order]
        plain = np.tile(pc.fill_null(values, 0).to_numpy()[self._counted], 2)[self._arrivals.order]
        signs = self._signs * there
        return window_sums(plain, signs, self._arrivals.before), self._total(signs)

    def _total(self, signs: Array) -> Array:
        total: Array = np.concatenate([[0], np.cumsum(signs)])[self._arrivals.before]
        return total

    @staticmethod
    def _nullable(values: Array, missing: Array) -> pa.Array:
        return pa.array(values, mask=missing)
