"""The promises of docs/gate.md, on few pairs; docs/gate-error.md has them on thousands.

Seeds are fixed. Tolerances are three Monte-Carlo standard errors of the promised share.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from benchmarks.gate_error import CONFIDENCE, WORLDS, Line, equal, planted, sliced, tied, verdicts


def shares(one: Callable[[int], dict[str, float]], pairs: int) -> dict[str, float]:
    with threadpool_limits(1):  # each product is small: two threads would wait for one another
        found = [one(seed) for seed in range(pairs)]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def slack(promised: float, pairs: int) -> float:
    return 3 * (promised * (1 - promised) / pairs) ** 0.5


PAIRS = 600
"""So many that three standard errors of 5 % are 2.7 %: twice the promised error is not taken for it."""


@pytest.fixture(scope="module")
def same() -> dict[str, float]:
    return shares(partial(equal, n=400), PAIRS)


def test_equal_models_are_promoted_and_rejected_as_often_as_alpha_and_no_more(same) -> None:
    for outcome in ("promoted", "rejected"):
        assert same[outcome] == pytest.approx(0.05, abs=slack(0.05, PAIRS))


def test_intervals_hold_the_truth_as_often_as_they_say(same) -> None:
    for name in ("covered", "covered_recall", "closed_form"):
        assert same[name] == pytest.approx(0.95, abs=0.01 + slack(0.95, PAIRS))


def test_the_least_detectable_gain_is_promoted_and_the_same_loss_at_the_margin_is_not(same) -> None:
    least = float(ndtri(CONFIDENCE) + ndtri(0.8)) * same["error"]
    better = shares(partial(planted, n=400, gain=least, margin=None), PAIRS)
    # At least 80 %; a better model's AUC varies a little less than that of two equal ones, by which the gain was chosen.
    assert 0.8 - slack(0.8, PAIRS) <= better["promoted"] <= 0.9
    worse = shares(partial(planted, n=400, gain=-least, margin=least), PAIRS)
    assert worse["promoted"] == pytest.approx(0.05, abs=slack(0.05, PAIRS))


def test_a_weak_slice_of_three_percent_rejects_while_the_whole_rises() -> None:
    weak = shares(partial(sliced, n=30_000, levels=5, weak=0.03, loss=0.15, gain=0.02), 8)
    assert weak["overall_rises"] == weak["rejected"] == 1.0


def test_thirty_levels_at_their_limit_reject_by_chance_no_more_often_than_alpha() -> None:
    noise = shares(partial(sliced, n=3000, levels=30, weak=0.0, loss=0.03, gain=-0.03), 100)
    assert noise["rejected"] <= 0.05 + slack(0.05, 100)
    assert noise["naive"] > 0.5  # each by its own bound: one minus 0.95 to the thirtieth is 0.79


def test_days_that_favour_one_model_deceive_rows_and_not_days() -> None:
    assert shares(partial(tied, n=6000, days=30, of="row"), 50)["promoted"] > 0.12
    assert shares(partial(tied, n=3000, days=30, of="day"), 500)["promoted"] <= 0.05 + slack(0.05, 500)


def test_a_promise_is_kept_within_the_error_of_the_simulation_and_not_beyond() -> None:
    kept = [Line("", 1, 1000, share, 0, 0.05, "").kept for share in (0.0, 0.05, 0.07, 0.08)]
    assert kept == [True, True, True, False]


@pytest.mark.parametrize("world", [world for world in WORLDS if world.n == 200], ids=lambda world: world.rows)
def test_the_bounds_of_every_metric_err_no_more_than_they_say_where_rows_and_positives_are_few(world) -> None:
    pairs = 500
    found = shares(lambda seed: verdicts(seed, world), pairs // 50)
    for metric in world.metrics:
        for outcome in ("promoted", "rejected"):
            assert found[f"{metric} {outcome}"] <= 0.05 + slack(0.05, pairs)
    pooled = np.mean([found[f"{metric} {outcome}"] for metric in world.metrics for outcome in ("promoted", "rejected")])
    assert pooled <= 0.05 + slack(0.05, 2 * pairs)


def test_bounds_of_the_first_edition_were_too_narrow_where_positives_are_few() -> None:
    found = shares(partial(verdicts, world=WORLDS[1]), 10)
    before = found["brier promoted before"] + found["brier rejected before"]
    assert before > 0.1 + 0.02 > found["brier promoted"] + found["brier rejected"]
