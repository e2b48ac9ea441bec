"""Rows on both sides are found by their ids, and where times alone tell the sides apart nothing else is looked at."""

from __future__ import annotations

import pandas as pd
import pytest

from include.leakage.shared_rows import shared_rows


def ids(first: str, *, days: int, names: str = "abc") -> pd.DataFrame:
    """Return a row a day for each name."""
    times = pd.date_range(first, periods=days, tz="UTC").repeat(len(names))
    return pd.DataFrame({"name": pd.Categorical(list(names) * days), "at": times})


def test_windows_that_share_no_instant_are_told_apart_by_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "include.leakage.shared_rows.row_digests", lambda frame: pytest.fail("digests of rows that times tell apart")
    )
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


@pytest.mark.parametrize("dtype", ["float64", "Int64", "object"])
@pytest.mark.parametrize("learned", [[1, 2, 3, 4, 5, 6, 7], [False, True]])
def test_a_gap_on_one_side_hides_no_entity_of_the_other(learned: list, dtype: str) -> None:
    judged = pd.DataFrame({"id": range(100, 100 + len(learned)), "who": learned})
    gappy = pd.Series([*learned, None], dtype="boolean" if learned[0] is False and dtype != "object" else dtype)
    known = pd.DataFrame({"id": range(len(gappy)), "who": gappy})
    wire = shared_rows(known, judged, ["id"], "who")
    assert wire.state == "tripped" and wire.reason.startswith(f"{len(learned)} holdout rows")
    assert shared_rows(judged, known, ["id"], "who").state == "tripped"


def test_numbers_beyond_the_exact_floats_stay_apart_and_meet_themselves() -> None:
    big = 2**53
    learned = pd.DataFrame({"id": pd.array([big, big + 1, None], dtype="Int64")})
    assert shared_rows(learned, pd.DataFrame({"id": [big + 2, big + 3]}), ["id"]).state == "clear"
    assert shared_rows(learned, pd.DataFrame({"id": [big + 1, 5]}), ["id"]).reason.startswith("1 of 2")
    assert shared_rows(learned, pd.DataFrame({"id": [float(big), 5.5]}), ["id"]).reason.startswith("1 of 2")
