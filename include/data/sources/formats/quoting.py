"""Detect text after the closing quote of a CSV field, which parsers silently append to it."""

from __future__ import annotations

import numpy as np

_QUOTE, _NEWLINE, _RETURN = ord('"'), ord("\n"), ord("\r")


class QuotedFields:
    """Looks through a CSV text, chunk by chunk, for quoted fields that go on behind their closing quote: ``"a"b``.

    A quote within a quoted field is doubled. A quote within a field that does not begin with one is a character as any other.

    Parameters
    ----------
    delimiter : str
        What stands between two fields.
    """

    def __init__(self, delimiter: str) -> None:
        self._ends = np.array([ord(delimiter), _NEWLINE, _RETURN, _QUOTE], np.uint8)
        self._starts = self._ends[:2]
        self._last = _NEWLINE  # the byte before the chunk
        self._open = False
        self._quoted = False  # whether the field of the last quote began with a quote

    def look(self, chunk: bytes) -> int | None:
        """Return the place in ``chunk`` of the first byte that follows a closing quote and may not; None without one."""
        if not chunk:
            return None
        if self._last == _QUOTE and self._quoted and not self._open and chunk[0] not in self._ends:
            return 0
        if _QUOTE not in chunk:
            self._last = chunk[-1]
            return None
        values = np.frombuffer(chunk, np.uint8)
        quotes = np.flatnonzero(values == _QUOTE)
        opening = (np.arange(len(quotes)) % 2 == 0) != self._open
        before = np.where(quotes > 0, values[quotes - 1], self._last)
        # An opening quote right behind a closing one is the second of a doubled quote: its field is the one before.
        decides = opening & (before != _QUOTE)
        known = np.concatenate([[self._quoted], np.isin(before, self._starts)])
        latest = np.maximum.accumulate(np.where(decides, np.arange(1, len(quotes) + 1), 0))
        quoted = known[latest]
        after = values[np.minimum(quotes + 1, len(values) - 1)]
        wrong = ~opening & quoted & ~np.isin(after, self._ends) & (quotes + 1 < len(values))
        self._last, self._open, self._quoted = chunk[-1], bool(opening[-1]), bool(quoted[-1])
        return int(quotes[wrong.argmax()]) + 1 if wrong.any() else None
