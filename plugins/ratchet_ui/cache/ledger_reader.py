"""A ledger that is read on from where it was read last, and folded again only when there is a new event."""

from __future__ import annotations

import threading

from include.registry.history.summary import History, history
from include.registry.ledger import Ledger
from include.registry.timeline import fold
from include.storage.log import Entry


class LedgerReader:
    """One model's ledger, read on from where it was read last."""

    def __init__(self, ledger: Ledger, shown: str) -> None:
        self._ledger = ledger
        self._shown = shown
        self._lock = threading.Lock()
        self._history: tuple[int, History] | None = None

    def read(self) -> tuple[tuple[Entry, ...], History]:
        """Return the events and the history that they tell; folded again only when there is a new event."""
        with self._lock:
            entries = self._ledger.entries()
            if self._history is None or self._history[0] != len(entries):
                self._history = len(entries), history(self._shown, fold(entries))
            return entries, self._history[1]
