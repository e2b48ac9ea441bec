"""Notes of evidence: caveats that a reader needs beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from include.evaluation.evidence import EQUAL_ROWS, SAY_SEPARATE, Units
from include.evaluation.gains import Gain, Role
from include.evaluation.holdout_rows import HoldoutRows
from include.evaluation.unknown_classes import say_unknown

DISAGREEMENT = 0.2
"""The relative difference between the widths of two intervals that is not reported; with 200 resamples it is about 5 % by chance."""
NEGLIGIBLE = 0.0005
"""A difference in AUC between widths that is not reported."""


def notes_of(
    judged: HoldoutRows, own: tuple[Any, ...] | None, units: Units, gains: tuple[Gain, ...], against: Role
) -> tuple[str, ...]:
    """Return the caveats that a reader needs beside the numbers, one sentence each.

    Parameters
    ----------
    judged : HoldoutRows
    own : tuple or None
        The challenger's classes.
    units : Units
        What was resampled.
    gains : tuple of Gain
    against : Role
        The model whose gains are compared with DeLong's closed form.
    """
    rows = len(judged.frame)
    return (
        *_of_unknown(judged, rows, own),
        *_of_equal_rows(units, rows),
        *of_closed_form(gains, against, units.of),
    )


def _of_unknown(judged: HoldoutRows, rows: int, own: tuple[Any, ...] | None) -> Iterator[str]:
    if judged.unknown:
        counted = judged.classes != own
        yield say_unknown(
            judged.unknown, "challenger", f"{rows:,} holdout rows" if counted else "holdout", counted=counted
        )


def _of_equal_rows(units: Units, rows: int) -> Iterator[str]:
    if units.of == EQUAL_ROWS:
        yield (
            f"Of {rows:,} holdout rows {units.count:,} are different. Rows without an id that are equal in all columns count as one "
            f"thing that stands several times, on one side and in every interval. {SAY_SEPARATE}."
        )


def of_closed_form(gains: tuple[Gain, ...], against: Role, of: str) -> Iterator[str]:
    """Say so where the bootstrap and DeLong's closed form disagree by more than the resamples leave open."""
    for gain in gains:
        if gain.against != against or gain.delong is None or gain.interval is None:
            continue
        low, _, high = gain.interval
        width, closed = high - low, gain.delong[1] - gain.delong[0]
        if abs(width - closed) <= DISAGREEMENT * max(width, closed, NEGLIGIBLE / DISAGREEMENT):
            continue
        facts = f"{low:+.4f} to {high:+.4f}, and by DeLong's closed form {gain.delong[0]:+.4f} to {gain.delong[1]:+.4f}"
        why = (
            "they should agree: there may be too few rows of one class to judge by"
            if of == "row"
            else f"the closed form takes every row for independent, the bootstrap only each {of}"
        )
        yield f"The two-sided 95 % interval of the gain in ROC AUC over the {gain.against} is {facts}; {why}."
