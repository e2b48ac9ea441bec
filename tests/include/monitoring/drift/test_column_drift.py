"""Effects are those that their definitions say, and what changed is ranked by what it does to the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import wasserstein_distance

from include.config.sections.watch import Levels
from include.monitoring.drift.column_drift import moved_slices, rank
from include.monitoring.drift.drift_series import series_of
from include.monitoring.drift.effect_sizes import Effect, effect_of_sketches, population_stability, total_variation
from include.monitoring.drift.periods import reference_of
from include.monitoring.sketches.counting import sketch
from include.monitoring.sketches.layouts import Layout, WatchedColumn, learn_layout
from tests.include.monitoring.days import TRAIN, observed, reference

NONE = Effect(0.0, 0.0, 0.0, 0.0, 0.0)


def test_distances_of_counts_are_those_of_their_definitions() -> None:
    before, after = np.array([500, 300, 200]), np.array([200, 300, 500])
    assert total_variation(before, after) == pytest.approx(0.3)
    assert population_stability(before, after) == pytest.approx(2 * 0.3 * np.log(2.5), rel=0.01)
    assert population_stability(before, 10 * before) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(population_stability(np.array([100, 0]), np.array([50, 50])))


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0, 30.0])
def test_the_wasserstein_distance_is_that_of_the_rows_in_standard_deviations(shift: float) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.lognormal(2, 0.5, 4000), rng.lognormal(2, 0.5, 4000) + shift
    layout = learn_layout([pa.table({"x": one})], (WatchedColumn("x", "input", "number"),))
    sketches = [sketch([pa.table({"x": values})], layout).columns["x"] for values in (one, other)]
    found = effect_of_sketches(sketches[0], sketches[1], layout["x"]).wasserstein
    assert found == pytest.approx(wasserstein_distance(one, other) / one.std(), rel=0.05, abs=0.02)


def test_an_effect_matters_from_its_level_on() -> None:
    levels = Levels(psi=0.2, share=0.05)
    assert NONE.beyond(levels) == ()
    assert Effect(0.2, 0.0, None, 0.0, 0.0).beyond(levels) == ("psi",)
    assert Effect(0.0, 0.0, 0.0, -0.06, 0.05).beyond(levels) == ("missing", "outside")


def test_the_shape_of_like_rows_is_zero_on_average_however_few_they_are() -> None:
    series = series_of(reference(), [observed(day).period for day in range(20)])
    for row, (column, statistic) in enumerate(series.names):
        if statistic == "shape" and column in ("distance", "origin", "dest"):
            error = series.values[row].std() / np.sqrt(len(series.values[row]))
            assert abs(series.values[row].mean()) < 4 * error


def test_a_period_of_the_reference_is_scored_as_one_that_is_watched() -> None:
    watched = [observed(day).period for day in range(20)]
    series = series_of(reference(), watched)
    for row in range(len(series.names)):
        before, after = series.values[row][:TRAIN], series.values[row][TRAIN:]
        spread = np.sqrt(before.var() / len(before) + after.var() / len(after)) + 1e-9
        assert abs(before.mean() - after.mean()) < 4 * spread


def test_false_alarms_are_divided_by_half_between_what_the_model_says_and_what_it_reads() -> None:
    series = series_of(reference(), [observed(0).period])
    said = [column in ("score", "") for column, _ in series.names]
    assert series.shares.sum() == pytest.approx(1) and series.shares[said].sum() == pytest.approx(0.5)


def test_what_changed_is_ranked_by_drift_times_importance() -> None:
    small, large = Effect(0.1, 0.1, 0.2, 0, 0), Effect(0.9, 0.5, 1.0, 0, 0)
    found = rank({"idle": large, "key": small, "unasked": small}, {"key": 0.2, "idle": 0.01, "noise": -0.01})
    assert [one.column for one in found] == ["key", "idle", "unasked"]
    assert found[0].matters == pytest.approx(0.1 * 0.2 / 0.21)


def test_slices_whose_predictions_moved_come_first_and_small_ones_not_at_all() -> None:
    rng = np.random.default_rng(1)
    layout = learn_layout([pa.table({"p": rng.random(5000)})], (WatchedColumn("p", "prediction", "number"),))

    def said(rows: int, shift: float = 0.0) -> object:
        return sketch([pa.table({"p": np.clip(rng.random(rows) + shift, 0, 1)})], Layout(layout.columns)).columns["p"]

    before = {("origin", name): said(1000) for name in ("EWR", "JFK")} | {("origin", "LGA"): said(20)}
    now = {("origin", "EWR"): said(1000), ("origin", "JFK"): said(800, 0.3), ("origin", "LGA"): said(20, 0.9)}
    found = moved_slices(layout["p"], before, now)  # type: ignore[arg-type]
    assert [one.level for one in found] == ["JFK", "EWR"]
    assert found[0].mean is not None and found[0].mean_before is not None
    assert found[0].mean - found[0].mean_before == pytest.approx(0.26, abs=0.03)


def test_a_period_of_the_reference_is_outside_as_far_as_the_others_had_no_such_rows() -> None:
    days = [[1.0, 5.0], [2.0, 9.0, 9.0], [0.5, 6.0], [3.0]]
    levels = [["a"], ["a", "b", "b"], ["a", "c"], ["c"]]
    tables = [
        pa.table({"x": values, "y": (names * 3)[: len(values)]}) for values, names in zip(days, levels, strict=True)
    ]
    layout = learn_layout(tables, (WatchedColumn("x", "input", "number"), WatchedColumn("y", "input", "level")))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    listed = [
        (start + timedelta(days=number), start + timedelta(days=number + 1), sketch([table], layout))
        for number, table in enumerate(tables)
    ]
    made = reference_of(layout, listed, "m")
    assert [one.counts["x"][-1] for one in made.periods] == [0, 2, 1, 0]
    assert [one.counts["y"][-1] for one in made.periods] == [0, 2, 0, 0]
    assert all(made.sketch.columns[name].outside == 0 for name in ("x", "y"))
