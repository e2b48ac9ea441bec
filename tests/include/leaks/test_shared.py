"""Rows on both sides are found by their ids, and where times alone tell the sides apart nothing else is looked at."""

from __future__ import annotations

import pandas as pd
import pytest

from include.leaks import shared
from include.leaks.shared import shared_rows


def ids(first: str, *, days: int, names: str = "abc") -> pd.DataFrame:
    """Return a row a day for each name."""
    times = pd.date_range(first, periods=days, tz="UTC").repeat(len(names))
    return pd.DataFrame({"name": pd.Categorical(list(names) * days), "at": times})


def test_windows_that_share_no_instant_are_told_apart_by_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "row_digests", lambda frame: pytest.fail("digests of rows that times tell apart"))
    wire = shared_rows(ids("2024-01-01", days=9), ids("2024-01-10", days=4), ["name", "at"])
    assert (wire.state, wire.reason) == ("clear", "none is shared, of 27 training and 12 holdout rows by name, at")


@pytest.mark.parametrize(("first", "shared_ones"), [("2024-01-09", 3), ("2024-01-01", 12)])
def test_a_row_on_both_sides_is_found_where_times_meet(first: str, shared_ones: int) -> None:
    wire = shared_rows(ids("2024-01-01", days=9), ids(first, days=4), ["name", "at"])
    assert wire.state == "tripped"
    assert wire.reason.startswith(f"{shared_ones} of 12 holdout rows have an id (name, at)")


def test_texts_and_ids_with_gaps_are_looked_at_row_by_row() -> None:
    learned, judged = (pd.DataFrame({"id": column}) for column in ([1.0, None], [7.0, None]))
    assert shared_rows(learned, judged, ["id"]).state == "tripped"
    learned, judged = (pd.DataFrame({"id": column}) for column in (["a", "b"], ["c", "b"]))
    assert shared_rows(learned, judged, ["id"]).state == "tripped"
