"""The report of a reproduction: its outcome, and each difference from the record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How the reproduced model compares with the recorded one."""

    IDENTICAL = "IDENTICAL"
    """The model files have the same bytes."""
    EQUAL = "EQUAL"
    """Other bytes, but predictions on the holdout within the tolerance."""
    DIFFERENT = "DIFFERENT"
    IMPOSSIBLE = "IMPOSSIBLE"
    """It could not be trained again, or not be compared."""


class Kind(StrEnum):
    """Of what sort a difference is."""

    ROWS = "rows"
    SETTING = "setting"
    LIBRARY = "library"
    CODE = "code"
    PLATFORM = "platform"
    RECORD = "record"
    """The record does not agree with itself, or is damaged."""


@dataclass(frozen=True)
class ReproductionDifference:
    """One thing that is not as it was.

    ``bears`` tells whether the model made again depends on it. Rows, code and settings of today do not: it was made from
    those on record; they would make a difference to the next retraining.
    """

    kind: Kind
    name: str
    recorded: str
    found: str
    bears: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.recorded} -> {self.found}"


@dataclass(frozen=True)
class Predictions:
    """Both models on the holdout rows, in the unit of the prediction."""

    rows: int
    largest: float
    """The largest absolute difference."""
    beyond: int
    """Rows that differ by more than the tolerance."""
    tolerance: float
    proof: str = "holdout"
    """The rows that they were compared on: all of the `holdout`, or the stored `golden rows` where the model file can't be used."""


@dataclass(frozen=True)
class Reproduction:
    """The report."""

    model: str
    version: str
    candidate: str
    outcome: Outcome
    why: str | None
    """For `IMPOSSIBLE`: what stood in the way."""
    recorded_file: str
    made_file: str | None
    predictions: Predictions | None
    differences: tuple[ReproductionDifference, ...]

    @property
    def reproduced(self) -> bool:
        """Whether the record gives its model again, and agrees with itself."""
        damaged = any(one.kind is Kind.RECORD for one in self.differences)
        return self.outcome in (Outcome.IDENTICAL, Outcome.EQUAL) and not damaged

    @property
    def sentence(self) -> str:
        """What matters most."""
        record = [one for one in self.differences if one.kind is Kind.RECORD]
        bearing = [one for one in self.differences if one.bears and one.kind is not Kind.RECORD]
        aside = len(self.differences) - len(record) - len(bearing)
        said = {
            Outcome.IDENTICAL: "Trained again from its record, it is the same model, byte for byte.",
            Outcome.EQUAL: "Trained again from its record, it is another file that predicts the same.",
            Outcome.DIFFERENT: "Trained again from its record, it is another model.",
            Outcome.IMPOSSIBLE: f"It can't be reproduced: {self.why}",
        }[self.outcome]
        if record:
            said += f" Its record is not sound: {'; '.join(map(str, record))}."
        if bearing:
            said += f" Not as it was: {'; '.join(map(str, bearing))}."
        elif self.outcome is Outcome.DIFFERENT and not record:
            said += " Everything that is on record of it is as it was."
        if aside:
            said += f" Changed since, with no bearing on it: {aside} more."
        return said

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "reproduced": self.reproduced, "sentence": self.sentence}
