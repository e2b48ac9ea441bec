"""Training and holdout windows: the instants that a run trains on and is evaluated on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from include.config.durations import Duration
from include.config.sections.data import Windows
from include.config.sections.sources import Slot
from include.data.slots import slots_between
from include.storage.content import from_iso, to_iso

WindowName = Literal["train", "holdout", "both"]
RESOLUTION = timedelta(microseconds=1)
"""Event times are kept to the microsecond."""


@dataclass(frozen=True)
class Window:
    """The instants t with ``after < t <= until``."""

    after: datetime
    until: datetime

    def slots(self, length: Slot) -> tuple[str, ...]:
        """Return the slots that hold any instant of the window, ascending."""
        return tuple(slots_between(self.after + RESOLUTION, self.until, length))

    def to_json(self) -> dict[str, str]:
        """Return the bounds as ISO 8601 text."""
        return {"after": to_iso(self.after), "until": to_iso(self.until)}

    @classmethod
    def from_json(cls, value: dict[str, str]) -> Window:
        """Read what `to_json` wrote."""
        return cls(from_iso(value["after"]), from_iso(value["until"]))


@dataclass(frozen=True)
class Split:
    """Two windows that share no instant; every label of ``train`` is known before ``holdout`` begins."""

    train: Window
    holdout: Window

    def windows(self, name: WindowName) -> tuple[Window, ...]:
        """Return the windows that ``name`` means."""
        return {"train": (self.train,), "holdout": (self.holdout,), "both": (self.train, self.holdout)}[name]

    def slots(self, length: Slot) -> tuple[str, ...]:
        """Return the slots that either window needs, ascending."""
        return tuple(sorted({*self.train.slots(length), *self.holdout.slots(length)}))

    def to_json(self) -> dict[str, Any]:
        """Return both windows as JSON."""
        return {"train": self.train.to_json(), "holdout": self.holdout.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Split:
        """Read what `to_json` wrote."""
        return cls(Window.from_json(value["train"]), Window.from_json(value["holdout"]))


def split_at(as_of: datetime, windows: Windows, label_delay: Duration) -> Split:
    """Return the windows of a run that stands at ``as_of``.

    A row counts at an instant if its event time plus ``label_delay`` lies at or before it: the holdout is the newest
    rows that count at ``as_of``, the training window the newest that count at the holdout's start.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"an instant needs a time zone: {as_of!r}")
    until = as_of - label_delay
    after = until - windows.holdout
    train_until = after - label_delay
    return Split(train=Window(train_until - windows.train, train_until), holdout=Window(after, until))
