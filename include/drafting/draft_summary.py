"""The summary of a draft: what was found in the rows, and what a person should check in the model.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from include.drafting.declaration import MANY_ALIKE
from include.drafting.periods import Periods

_MOST_SHOWN = 20
_RARE = 10
"""Rows; of a class with fewer, training and judging have next to nothing."""


@dataclass(frozen=True)
class Draft:
    """What was written, and what a person should look at in it."""

    path: Path
    task: str
    target: str
    rows: int
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    left_out: dict[str, str]
    """Columns that are not features, with the reason."""
    row_id: tuple[str, ...]
    repeated: float
    """The share of rows that equal one before them, where nothing else names a row."""
    classes: dict[str, int]
    """Rows of each class, the largest first; empty for a regression."""
    unlabelled: int
    periods: Periods | None
    date_columns: tuple[str, ...]
    """Columns of times, when none of them is the event time."""
    doubtful: tuple[str, ...]
    """Columns of numbers such as `1,234`, of which the draft takes one of two meanings."""
    levels_of_numbers: dict[str, str]
    """Columns that are taken for levels though most of their texts look like numbers, and why."""

    def lines(self) -> Iterator[str]:
        """Yield the summary line by line."""
        yield f"{self.path}: {self.task} of `{self.target}`, {self.rows:,} rows"
        if self.classes:
            shown = [f"{name} {rows:,}" for name, rows in list(self.classes.items())[:_MOST_SHOWN]]
            more = f", and {len(self.classes) - len(shown)} more" if len(self.classes) > len(shown) else ""
            yield f"  classes, by rows: {', '.join(shown)}{more}"
            if rare := [name for name, rows in self.classes.items() if rows < _RARE]:
                yield f"  almost nothing can be learned about {', '.join(rare)}: fewer than {_RARE} rows"
        if self.unlabelled:
            yield f"  {self.unlabelled:,} rows have no `{self.target}`; nothing is learned from them"
        for what, columns in (("numbers", self.numeric), ("levels", self.categorical)):
            if columns:
                yield f"  {what}: {', '.join(columns)}"
        for column in self.doubtful:
            yield f"  {column}: is the mark of its numbers that of decimals, or of thousands? See its line in the draft"
        for column, why in self.levels_of_numbers.items():
            yield f"  {column} is taken for levels ({why})"
        for column, why in self.left_out.items():
            yield f"  left out: {column} ({why})"
        named = ", ".join(f"`{column}`" for column in self.row_id)
        yield f"  a row is named by {named or 'its values'}"
        if self.repeated:
            taken = "different things that are alike" if self.repeated >= MANY_ALIKE else "one thing that stands twice"
            yield f"  {self.repeated:.1%} of the rows equal one before them; they are taken for {taken} (`data.equal_rows`)"
        if self.periods is not None:
            one = self.periods
            yield (
                f"  as of {one.end:%Y-%m-%d %H:%M} UTC, the newest rows: {one.train_rows:,} teach ({one.train}), "
                f"{one.holdout_rows:,} judge ({one.holdout})"
            )
        if self.date_columns:
            options = " or ".join(f"--event-time {column}" for column in self.date_columns)
            yield f"  a table without time; if rows happen in time, remove the folder and say {options}"
