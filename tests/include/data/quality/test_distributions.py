from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.data.quality import check as checking
from include.data.quality.check import check
from include.data.quality.check_report import load_report
from include.data.quality.distribution_charts import HEIGHT, charts
from include.data.quality.distributions import FEWEST_ROWS, Distributions, _counted, _quantiles
from include.data.stored_partitions import SLOT
from include.storage.content import get_content
from tests.include.data.quality import checked_model as parcels


def of(frame: pd.DataFrame, train: Any) -> dict[str, Any]:
    found = Distributions([name for name in frame if name != SLOT])
    found.add(frame.assign(**{SLOT: frame[SLOT].astype("category")}), np.asarray(train))
    return {one["column"]: one for one in found.found()}


def test_shares_are_those_of_all_values_and_quantiles_are_of_each_partition() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 400), rng.normal(5, 1, 400), [np.nan] * 10])
    slots = ["2024-01"] * 400 + ["2024-02"] * 410
    found = of(pd.DataFrame({"x": x, SLOT: slots}), np.arange(810) < 400)["x"]
    assert np.allclose([sum(found["train"]), sum(found["holdout"])], 1, atol=1e-4)
    assert len(found["train"]) == len(found["edges"]) + 1
    assert [one["slot"] for one in found["periods"]] == ["2024-01", "2024-02"]
    assert np.isclose(found["periods"][1]["middle"], np.median(x[400:800]))
    inside = np.histogram(x[:400], found["edges"])[0] / 400
    assert np.allclose(found["train"][1:-1], inside, atol=0.02)


def test_few_rows_show_neither_a_level_nor_a_quantile() -> None:
    rare = FEWEST_ROWS - 1
    frame = pd.DataFrame({"who": ["many"] * 200 + ["Ada Lovelace"] * rare, "x": [1.5] * 200 + [77.25] * rare})
    frame[SLOT] = ["2024-01"] * 200 + ["2024-02"] * rare
    found = of(frame, np.arange(len(frame)) < 220)
    assert [one["level"] for one in found["who"]["levels"]] == ["many"]
    assert found["who"]["others"] == {"levels": 1, "train": 20, "holdout": rare - 20}
    assert [one["slot"] for one in found["x"]["periods"]] == ["2024-01"]
    few = of(frame.tail(rare), [True] * rare)
    assert "x" not in few and few["who"]["levels"] == []


def test_parts_add_up_to_what_all_rows_are_together(local_store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = parcels.model_with()
    snapshot = parcels.snapshot_of(local_store, parcels.rows(), model)
    whole = load_report(local_store, "parcels", check(local_store, model, Path("unused"), snapshot).report)
    monkeypatch.setattr(checking, "PART", 100)
    other = parcels.model_with(max_quarantined=0.5)
    parts = load_report(local_store, "parcels", check(local_store, other, Path("unused"), snapshot).report)
    assert whole["distributions"] == parts["distributions"]
    assert {one["column"] for one in whole["distributions"]} == {"size", "place", "label"}


def test_the_page_draws_each_column_and_names_no_rare_level(local_store) -> None:
    frame = parcels.rows(place=lambda rows: rows["place"].where(rows["id"] % 40 != 7, "moon"))
    model = parcels.model_with()
    report = check(local_store, model, Path("unused"), parcels.snapshot_of(local_store, frame, model))
    page = get_content(local_store, "parcels/checks", ".html", report.page).decode()
    for said in (
        "distribution of size",
        "distribution of place",
        "quantiles of size over time",
        "1 others",
        "of holdout",
    ):
        assert said in page
    assert "moon" not in page and "moon" not in local_store.get(f"parcels/checks/{report.report}.json").decode()


def test_bars_are_shares_of_their_own_window() -> None:
    levels = [{"level": "a", "train": 300, "holdout": 10}, {"level": "b", "train": 100, "holdout": 30}]
    (drawn,) = charts([{"column": "x", "levels": levels, "others": {"levels": 0, "train": 0, "holdout": 0}}])
    a, b = drawn["bars"]
    assert (a["train"]["share"], b["holdout"]["share"]) == (0.75, 0.75)
    assert a["train"]["height"] == b["holdout"]["height"] == HEIGHT
    assert np.isclose(a["holdout"]["height"], HEIGHT / 3, atol=0.01)


def test_levels_are_counted_without_a_text_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = pd.Series(["b", "a", None, "c", "a", "b", "c", "d"])
    columns = {
        "text": levels,
        "category": levels.astype(pd.CategoricalDtype(pd.Index(["e", "d", "c", "b", "a"], dtype="str"))),
        "numbers": pd.Series([2, 1, None, 3, 1, 2, 3, 4]).astype("category"),
        "truth": pd.Series([False, True, None, True, False, True, False, False], dtype="boolean"),
        "whole": pd.Series([True, False] * 4),
    }
    made = []
    astype = pd.Series.astype
    monkeypatch.setattr(pd.Series, "astype", lambda self, kind: made.append(len(self)) or astype(self, kind))
    counted = {name: list(_counted(column).items()) for name, column in columns.items()}
    # Of equally frequent levels that which came first stands first.
    assert counted["text"] == counted["category"] == [("b", 2), ("a", 2), ("c", 2), ("d", 1)]
    assert counted["numbers"] == [("2.0", 2), ("1.0", 2), ("3.0", 2), ("4.0", 1)]
    assert counted["truth"] == [("False", 4), ("True", 3)]
    assert counted["whole"] == [("True", 4), ("False", 4)]
    assert made == [7, 7]  # of texts that are no categories, and of categories that are no texts


class Counted(np.ndarray):
    """An array that counts the values that are taken out of arrays of its kind."""

    taken = 0

    def __getitem__(self, key: Any) -> Any:
        Counted.taken += np.size(key)
        return super().__getitem__(key)


def test_each_row_is_taken_a_few_times_however_many_partitions_there_are() -> None:
    values, train = np.arange(2000.0), np.arange(2000) % 2 == 0
    slots = pd.Series(np.repeat(np.arange(500), 4)).astype(str).astype("category")
    found = Distributions(["x"])
    Counted.taken = 0
    rows = np.argsort(slots.cat.codes.to_numpy(), kind="stable").view(Counted)
    found._add_numbers("x", values.view(Counted), slots.cat, rows, train.view(Counted))
    assert Counted.taken < 10 * len(values)
    for window, points in ((train, found._points["x"][0]), (~train, found._points["x"][1])):
        expected = {slot: values[window & (slots == slot).to_numpy()].tolist() for slot in slots.cat.categories}
        assert {slot: kept.tolist() for slot, _, kept in points} == expected


def test_quantiles_of_ordered_values_are_those_of_numpy_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    for rows in (1, 2, 201, 999, 20_000):
        for values in (rng.normal(size=rows), rng.gamma(1, 1e9, rows), rng.normal(size=rows).round(1), np.ones(rows)):
            shares = np.array([0.0, 0.05, 0.333, 0.5, 0.95, 1.0])
            assert _quantiles(np.sort(values), shares).tolist() == np.quantile(values, shares).tolist()
