from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evaluation.report.forest import WIDTH, Forest, bars
from include.evaluation.report.scales import Scale
from include.evaluation.report.timelines import timeline

reals = st.floats(-1e6, 1e6, allow_nan=False)


@given(reals, st.floats(1e-6, 1e6))
def test_ticks_are_few_ascending_and_inside(low: float, length: float) -> None:
    scale = Scale(low, low + length, 0, 100)
    at = [tick.at for tick in scale.ticks()]
    assert 2 <= len(at) <= 11 and at == sorted(at) and 0 <= at[0] <= at[-1] <= 100


@given(st.lists(st.tuples(reals, st.floats(0, 1e3)), max_size=20))
def test_a_forest_always_shows_zero_and_stays_in_its_box(intervals: list[tuple[float, float]]) -> None:
    forest = Forest.of([(low, low + length / 2, low + length) for low, length in intervals])
    assert 0 < forest.zero < WIDTH
    for low, length in intervals:
        drawn = forest.interval(low, low + length / 2, low + length)
        assert 0 <= drawn.low <= drawn.at <= drawn.high <= WIDTH


def test_an_interval_is_told_by_whether_it_excludes_zero() -> None:
    forest = Forest.of([(-1, 0, 1)])
    assert [forest.interval(*i).style for i in ((0.1, 0.2, 0.3), (-0.3, -0.2, -0.1), (-0.1, 0.1, 0.2))] == [
        "better",
        "worse",
        "unclear",
    ]


def test_a_bar_below_zero_ends_at_zero() -> None:
    gain, loss = bars([(1.0, 0.1), (-0.5, 0.0)])
    assert loss.start + loss.width == pytest.approx(gain.start)


def test_a_timeline_keeps_the_order_of_time() -> None:
    drawn = timeline(
        [
            ("challenger", "a", "2024-01-01T00:00:00Z", "2024-05-01T00:00:00Z"),
            ("holdout", "b", "2024-05-02T00:00:00Z", "2024-06-01T00:00:00Z"),
        ]
    )
    first, second = drawn.windows
    assert first.start + first.width <= second.start
    assert next(tick.label for tick in drawn.ticks) == "1 Jan 2024"


def test_every_estimate_is_inside_even_where_its_interval_is_cut() -> None:
    intervals = [(0.01, 0.02, 0.03), (0.0, 0.01, 0.02), (0.15, 0.16, 0.17), (-5.0, 0.05, 5.0)]
    forest = Forest.of(intervals)
    assert all(6 < forest.scale(estimate) < WIDTH - 6 for _, estimate, _ in intervals)
    assert forest.scale(-5.0) == 6
