"""The verdict of one rule of the gate, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RuleResult(StrEnum):
    """What one rule says."""

    PASS = "pass"  # noqa: S105 (not a password)
    FAIL = "fail"
    OPEN = "open"
    """The rows are too few to tell."""
    UNVERIFIED = "unverified"
    """A slice, not required, with too few rows to verify it by."""


@dataclass(frozen=True)
class Verdict:
    """One rule's answer with its reason."""

    rule: str
    answer: RuleResult
    reason: str
