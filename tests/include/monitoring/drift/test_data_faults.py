"""Broken data is named, and drift is not called broken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from include.config.sections.watch import Watch
from include.monitoring.alarm_history import alarm_history
from include.monitoring.drift.data_faults import faults_in
from tests.include.monitoring.days import DAY, Change, observed, reference, sketched

Columns = dict[str, np.ndarray]


def scaled(name: str, factor: float, share: float = 1.0) -> Change:
    def change(columns: Columns) -> None:
        some = np.arange(len(columns[name])) < share * len(columns[name])
        columns[name] = np.where(some, columns[name] * factor, columns[name])

    return change


def swapped(one: str, other: str) -> Change:
    def change(columns: Columns) -> None:
        columns[one], columns[other] = columns[other], columns[one]

    return change


def recoded(name: str, code: object) -> Change:
    def change(columns: Columns) -> None:
        values = columns[name].copy()
        gaps = np.array([value != value for value in values])
        if not gaps.any():
            gaps = np.arange(len(values)) < 30
        values[gaps] = code
        columns[name] = values

    return change


def constant(columns: Columns) -> None:
    columns["distance"] = np.full(len(columns["distance"]), 700.0)


FAULTS: dict[str, tuple[Change, str, tuple[str, ...]]] = {
    "x 1000": (scaled("fare", 1000), "unit_change", ("fare",)),
    "cents": (scaled("fare", 100), "unit_change", ("fare",)),
    "kilometres": (scaled("distance", 1.609344), "unit_change", ("distance",)),
    "a third in another unit": (scaled("distance", 1000, share=0.3), "unit_change", ("distance",)),
    "swapped numbers": (swapped("fare", "distance"), "swapped_columns", ("fare", "distance")),
    "swapped levels": (swapped("origin", "dest"), "swapped_columns", ("origin", "dest")),
    "-999 for missing": (recoded("fare", -999.0), "new_missing_code", ("fare",)),
    "unknown for a level": (recoded("dest", "unknown"), "new_missing_code", ("dest",)),
    "one value": (constant, "constant", ("distance",)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_columns(name: str) -> None:
    change, kind, columns = FAULTS[name]
    found = faults_in(reference(), sketched(3, change, 3000 if name == "kilometres" else 300))
    assert [(one.kind, set(one.columns)) for one in found] == [(kind, set(columns))]
    assert "unknown" not in found[0].said and "700" not in found[0].said


@pytest.mark.parametrize(("code", "named"), [(-999.0, "the value -999, new"), (5000.0, "one value, new")])
def test_a_new_number_in_place_of_gaps_is_named_only_if_it_is_a_usual_code(code: float, named: str) -> None:
    (found,) = faults_in(reference(), sketched(3, recoded("fare", code), 300))
    assert found.kind == "new_missing_code" and found.said.startswith(named) and "5000" not in found.said


def test_too_few_rows_are_not_called_swapped() -> None:
    assert faults_in(reference(), sketched(3, swapped("fare", "distance"), 20)) == ()


def moved(columns: Columns) -> None:
    columns["fare"] = columns["fare"] * 1.4 + 10


def new_level(columns: Columns) -> None:
    columns["dest"] = np.where(np.arange(len(columns["dest"])) % 4 == 0, "DEN", columns["dest"])


def other_mix(columns: Columns) -> None:
    columns["origin"] = np.random.default_rng(0).choice(
        ["EWR", "JFK", "LGA"], len(columns["origin"]), p=[0.1, 0.2, 0.7]
    )


def half_as_much_again(columns: Columns) -> None:
    columns["distance"] = columns["distance"] * 1.5 + 100


def fewer_gaps(columns: Columns) -> None:
    fare = columns["fare"]
    columns["fare"] = np.where(np.isnan(fare), np.nanmedian(fare) + np.linspace(-5, 5, len(fare)), fare)


@pytest.mark.parametrize("change", [None, moved, half_as_much_again, new_level, other_mix, fewer_gaps])
def test_what_the_world_does_is_no_fault(change: Change | None) -> None:
    assert all(faults_in(reference(), sketched(day, change, rows)) == () for day in range(5) for rows in (100, 2000))


def kinds(*changes: Change | None) -> list[tuple[str, str]]:
    days = [observed(day, change) for day, change in enumerate(changes)]
    return [(one.kind, one.subject) for one in alarm_history(reference(), days, Watch(), DAY).alarms]


def half(columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name][::2]


def twice(columns: Columns) -> None:
    for name in columns:
        columns[name] = np.r_[columns[name], columns[name]]


def as_yesterday(day: int) -> Callable[[Columns], None]:
    from tests.include.monitoring.days import TRAIN, rows_of

    def change(columns: Columns) -> None:
        before = rows_of(TRAIN + day - 1)
        for name in columns:
            if name != "id":
                columns[name] = before[name].to_numpy(zero_copy_only=False)

    return change


def test_half_of_the_rows_are_told_of() -> None:
    assert kinds(None, None, half, None) == [("data_fault", "rows_lost")]


def test_rows_that_come_twice_are_told_of() -> None:
    assert kinds(None, twice, None) == [("data_fault", "duplicated_rows")]


def test_a_feed_that_is_frozen_is_told_of() -> None:
    assert kinds(None, None, as_yesterday(2), None) == [("data_fault", "frozen_feed")]


def test_a_fault_that_goes_on_is_told_once_and_is_no_drift() -> None:
    broken = scaled("fare", 1000)
    assert kinds(*[None] * 3, *[broken] * 20) == [("data_fault", "unit_change fare")]


def test_a_fault_that_comes_back_after_a_week_is_told_again() -> None:
    broken = scaled("fare", 1000)
    assert len(kinds(broken, *[None] * 8, broken)) == 2
