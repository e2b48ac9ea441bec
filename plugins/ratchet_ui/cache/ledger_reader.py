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
        self._known: tuple[tuple[Entry, ...], History] | None = None

    def read(self) -> tuple[tuple[Entry, ...], History]:
        """Return the events and the history that they tell, in one call of the store where there is no new event."""
        with self._lock:
            # An empty ledger is read as if for the first time: an anchor may remember events that were removed.
            if self._known is None or not self._known[0] or self._ledger.has_news():
                entries = self._ledger.entries()
                self._known = entries, history(self._shown, fold(entries))
            return self._known
