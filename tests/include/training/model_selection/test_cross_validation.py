from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.durations import Duration
from include.config.sections.training import CrossValidation
from include.errors import TrainingError
from include.training.model_selection.cross_validation import folds, time_series

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = st.lists(st.integers(0, 2000), min_size=1, max_size=120)


def series(hours: list[int]) -> pd.Series:
    return pd.Series([START + timedelta(hours=hour) for hour in hours]).astype("datetime64[us, UTC]")


@settings(deadline=None, max_examples=150)
@given(HOURS, st.integers(1, 6), st.sampled_from(["0s", "1h", "2d", "1mo"]))
def test_no_validating_row_is_older_than_a_fitted_one_and_the_gap_holds(hours: list[int], count: int, gap: str) -> None:
    times, delay = series(hours), Duration.parse(gap)
    validated: list[int] = []
    try:
        for fitted, validating in time_series(times, folds=count, gap=delay):
            assert not set(fitted) & set(validating)
            newest, oldest = times.iloc[fitted].max(), times.iloc[validating].min()
            assert newest.to_pydatetime() + delay < oldest.to_pydatetime()
            assert times.iloc[fitted].max() < oldest
            validated += list(validating)
    except TrainingError:
        return
    assert len(set(validated)) == len(validated)
    assert times.idxmax() in validated or times.max() == times.iloc[validated].max()


def test_one_fold_validates_on_the_newest_fifth_and_row_order_does_not_matter() -> None:
    hours = list(range(100))
    ((fitted, validating),) = time_series(series(hours), folds=1, gap=Duration("0s"))
    assert (len(fitted), validating.tolist()) == (80, list(range(80, 100)))
    ((fitted, validating),) = time_series(series(hours[::-1]), folds=1, gap=Duration("0s"))
    assert validating.tolist() == list(range(20))


def test_a_gap_that_leaves_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(TrainingError, match="fold 1 of 3 is empty"):
        list(time_series(series(list(range(100))), folds=3, gap=Duration("1y")))


def divided(kind: str, target: np.ndarray, groups: pd.Series | None = None, seed: int = 0, count: int = 3) -> list:
    cv = CrossValidation(kind=kind, folds=count, group="g" if kind == "group" else None)
    times = series(list(range(len(target))))
    return list(folds(cv, times=times, target=target, groups=groups, label_delay=Duration("0s"), seed=seed))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from("abcdef"), min_size=6, max_size=60).filter(lambda names: len(set(names)) >= 3))
def test_groups_stay_together_and_every_row_validates_once(names: list[str]) -> None:
    groups = pd.Series(names).astype("category")
    found = divided("group", np.zeros(len(names)), groups)
    for fitted, validating in found:
        assert not set(groups.iloc[fitted]) & set(groups.iloc[validating])
    assert sorted(np.concatenate([validating for _, validating in found])) == list(range(len(names)))


@pytest.mark.parametrize("kind", ["k_fold", "stratified"])
def test_folds_are_those_of_the_seed(kind: str) -> None:
    target = np.arange(60) % 4 == 0
    one, same, other = (divided(kind, target.astype(int), seed=seed) for seed in (1, 1, 2))
    assert [validating.tolist() for _, validating in one] == [validating.tolist() for _, validating in same]
    assert [validating.tolist() for _, validating in one] != [validating.tolist() for _, validating in other]
    assert sorted(np.concatenate([validating for _, validating in one])) == list(range(60))


def test_stratified_folds_have_the_same_share_of_positives() -> None:
    target = (np.arange(60) < 15).astype(int)
    assert [target[validating].sum() for _, validating in divided("stratified", target)] == [5, 5, 5]


def test_a_rare_class_makes_fewer_stratified_folds_and_is_in_each() -> None:
    target = (np.arange(60) < 3).astype(int)
    assert [target[validating].sum() for _, validating in divided("stratified", target, count=5)] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["k_fold", "stratified"])
def test_equal_rows_of_a_table_are_on_one_side_of_every_fold(kind: str) -> None:
    units = series([0, 1, 2, 0, 3, 1, 4, 5, 6, 7, 0, 8])
    target = (units.dt.hour % 2 == 0).to_numpy().astype(int)
    cv = CrossValidation(kind=kind, folds=3)
    found = list(folds(cv, times=units, target=target, groups=None, label_delay=Duration("0s"), seed=0, units=units))
    for fitted, validating in found:
        assert not set(units.iloc[fitted]) & set(units.iloc[validating])
    assert sorted(np.concatenate([validating for _, validating in found])) == list(range(12))
    assert len(found) == 3


def test_units_of_one_row_are_folds_of_rows() -> None:
    target = (np.arange(60) % 4 == 0).astype(int)
    cv = CrossValidation(kind="stratified", folds=3)
    units = series(list(range(59, -1, -1)))
    made = list(folds(cv, times=units, target=target, groups=None, label_delay=Duration("0s"), seed=0, units=units))
    for (fitted, validating), (own, others) in zip(made, divided("stratified", target), strict=True):
        assert (fitted.tolist(), validating.tolist()) == (own.tolist(), others.tolist())


def test_more_folds_than_the_rows_allow_is_said() -> None:
    with pytest.raises(TrainingError, match="more folds"):
        divided("stratified", np.array([0, 0, 0, 0, 1]))
    with pytest.raises(TrainingError, match="more folds"):
        divided("group", np.zeros(4), pd.Series(list("aabb")))
    with pytest.raises(TrainingError, match="no group"):
        divided("group", np.zeros(4), pd.Series(["a", "b", "c", None]))
