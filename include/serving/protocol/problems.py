"""Problems of a request's rows: how many there are, and what is said of the first of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from include.errors import RequestError

Problem = dict[str, object]

SHOWN = 20
"""How many problems of a request are named."""
LONGEST_NAME = 64
"""How much is shown of a name that a caller gave."""


class Problems:
    """Counts what is wrong with a request, and describes as much of it as is shown.

    A body of foreign names has hundreds of thousands of problems, and each description looks for a near spelling.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[Problem] = []

    def add(self, describe: Callable[..., Problem], *facts: Any) -> None:
        """Count a problem; ``describe`` is called with the facts unless enough are shown."""
        if self.count < SHOWN:
            self.shown.append(describe(*facts))
        self.count += 1

    def error(self) -> RequestError:
        """Return the error that refuses the request."""
        more = f", of which {SHOWN} are named" if self.count > SHOWN else ""
        count = f"{self.count} problem{'s' if self.count > 1 else ''}"
        return RequestError(f"The rows are not as the model asks: {count}{more}.", problems=self.shown)


def problem(row: int | None, field: str | None, expected: str, found: str, close: str | None = None) -> Problem:
    """Return what is said of one problem.

    Parameters
    ----------
    row : int or None
        The row's place in the request; None if it is about a column.
    field : str or None
        The column's name.
    expected, found : str
        In words, without a value.
    close : str, optional
        A spelling that may be meant.
    """
    return {"row": row, "field": field, "expected": expected, "found": found, "nearest": close}


def beginning(name: str) -> str:
    """Return as much of a caller's own name as is shown."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
