"""Observations of a champion and the alarms that follow from them, as the watch log stores them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from include.monitoring.drift.data_faults import DataFault
from include.monitoring.drift.effect_sizes import Effect
from include.monitoring.drift.periods import Period
from include.storage.content import digest_json


@dataclass(frozen=True)
class Observed:
    """What was observed of one interval under one champion.

    ``faults`` are those of single columns; ``backfilled`` says that the interval was observed as history, by a backfill.
    """

    version: str
    period: Period
    faults: tuple[DataFault, ...] = ()
    backfilled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        faults = [one.to_json() for one in self.faults]
        return {**self.period.to_json(), "version": self.version, "faults": faults, "backfilled": self.backfilled}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Observed:
        """Read what `to_json` wrote."""
        faults = tuple(DataFault.from_json(one) for one in value["faults"])
        return cls(value["version"], Period.from_json(value), faults, value["backfilled"])


AlarmKind = Literal["drift", "data_fault", "performance"]


@dataclass(frozen=True)
class Alarm:
    """A change of a champion's inputs, labels or performance; each is notified once.

    Parameters
    ----------
    version : str
        The champion.
    kind : {"drift", "data_fault", "performance"}
    after, until : datetime
        The interval at whose end it was raised.
    since : datetime
        When the change began, as far as it is seen.
    subject : str
        The column; the fault's kind and columns; the metric. Empty for the rows as a whole.
    said : str
        A sentence without a row's value.
    effect : Effect or None
        Of drift in a column: from the reference's periods of the same weekdays to those since it began.
    backfilled : bool
    """

    version: str
    kind: AlarmKind
    after: datetime
    until: datetime
    since: datetime
    subject: str
    said: str
    effect: Effect | None = None
    backfilled: bool = False

    @property
    def key(self) -> str:
        """What tells it from other alarms: raised again for the same interval, it is the same."""
        return f"{self.version} {self.until:%Y%m%dT%H%M%SZ} {self.kind} {self.subject}"

    @property
    def id(self) -> str:
        """Its name in addresses."""
        return digest_json(self.key)[:12]
