from __future__ import annotations

import numpy as np
import pytest

from include.evaluation.uncertainty import bootstrap
from include.evaluation.uncertainty.bootstrap import blocks, draw, effective_units, expanded, widened
from include.training.metrics.definitions import DEFINITIONS, row_terms


def auc_gain(resampling: bootstrap.Resampling, target: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    metric = DEFINITIONS["roc_auc"]
    values = []
    for score in (a, b):
        terms = row_terms(metric.terms, target, score, 0.5)
        sums = resampling.sums(list(terms.values()))
        values.append(metric.combine(dict(zip(terms, sums, strict=True))))
    return values[0] - values[1]


def two_models(rng: np.random.Generator, n: int, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    target = (rng.random(n) < 0.3).astype(float)
    common = rng.normal(size=n)
    a, b = (skill * target + common + 0.5 * rng.normal(size=n) for _ in range(2))
    return target, a, b


def delong_standard_error(target: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The closed form of DeLong et al. (1988), by comparing every pair."""
    v10, v01 = [], []
    for score in (a, b):
        pairs = np.sign(score[target == 1][:, None] - score[target == 0][None, :]) / 2 + 0.5
        v10.append(pairs.mean(axis=1))
        v01.append(pairs.mean(axis=0))
    s10, s01 = np.cov(v10), np.cov(v01)
    s = s10 / len(v10[0]) + s01 / len(v01[0])
    return float(np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1]))


@pytest.mark.parametrize("groups", [10_000, 500], ids=["rows", "random groups"])
def test_the_paired_auc_bound_agrees_with_delong(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "MAX_GROUPS", groups)
    target, a, b = two_models(np.random.default_rng(1), 3000)
    gains = auc_gain(draw(np.arange(3000), resamples=4000, seed=2), target, a, b)
    expected = delong_standard_error(target, a, b)
    assert gains[1:].std() == pytest.approx(expected, rel=0.08 if groups == 500 else 0.05)
    bound = np.quantile(gains[1:], 0.05)
    assert bound == pytest.approx(gains[0] - 1.645 * expected, abs=0.2 * expected)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "f1"])
def test_intervals_cover_the_truth_as_often_as_they_say(name: str) -> None:
    """300 samples of 400 rows: 95 % intervals must cover within 4 points (Monte-Carlo error is 1.3)."""
    rng = np.random.default_rng(3)
    metric = DEFINITIONS[name]

    def terms_of(n: int) -> list[np.ndarray]:
        target, a, _ = two_models(rng, n)
        return list(row_terms(metric.terms, target, a, 0.8).values())

    truth = float(metric.combine({t: c.sum() for t, c in zip(metric.terms, terms_of(400_000), strict=True)}))
    covered = 0
    for seed in range(300):
        sums = draw(np.arange(400), resamples=400, seed=seed).sums(terms_of(400))
        values = metric.combine(dict(zip(metric.terms, sums, strict=True)))[1:]
        low, high = np.quantile(values, [0.025, 0.975])
        covered += low <= truth <= high
    assert covered / 300 == pytest.approx(0.95, abs=0.04)


def test_rows_of_a_cluster_are_resampled_together() -> None:
    """One hundred copies of each row say no more than the row itself."""
    rng = np.random.default_rng(4)
    target, a, b = two_models(rng, 300)
    copied = [np.repeat(x, 100) for x in (target, a, b)]
    once = auc_gain(draw(np.arange(300), resamples=3000, seed=5), target, a, b)[1:].std()
    clustered = auc_gain(draw(np.repeat(np.arange(300), 100), resamples=3000, seed=5), *copied)[1:].std()
    ignored = auc_gain(draw(np.arange(30_000), resamples=500, seed=5), *copied)[1:].std()
    assert clustered == pytest.approx(once, rel=0.02)
    assert ignored < 0.2 * once


def test_sums_of_some_rows_are_those_of_the_rows_alone() -> None:
    resampling = draw(np.arange(50), resamples=200, seed=6)
    column, rows = np.arange(50.0), np.array([3, 7, 20])
    sums = resampling.sums([column[rows]], rows)
    assert sums[0, 0] == column[rows].sum()
    np.testing.assert_allclose(sums[0, 1:], column[rows] @ resampling.weights[rows])


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second = (draw(np.arange(20_000), resamples=200, seed=7) for _ in range(2))
    assert np.array_equal(first.weights, second.weights) and np.array_equal(first.group_of, second.group_of)


def test_weights_have_mean_and_variance_one() -> None:
    weights = draw(np.arange(2000), resamples=1000, seed=8).weights
    assert weights.mean() == pytest.approx(1, abs=0.005) and weights.var() == pytest.approx(1, abs=0.01)


def test_blocks_are_stretches_of_time_and_a_row_at_the_end_of_one_belongs_to_it() -> None:
    assert blocks(np.array([1.0, 9.0, 10.0, 11.0, 40.0]), 10.0).tolist() == [0, 0, 0, 1, 2]


def test_intervals_of_few_units_are_wider_and_of_many_as_they_are() -> None:
    from scipy.stats import t

    assert widened(np.array([1.645]), 11)[0] == pytest.approx(t.isf(0.05, 10), rel=1e-3)
    places = np.array([0.05, 0.5, 0.95])
    assert expanded(places, 12)[0] < 0.04 and expanded(places, 12)[1] == 0.5
    assert expanded(places, 12).sum() == pytest.approx(1.5)
    np.testing.assert_allclose(expanded(places, 10_000), places, atol=1e-4)


def test_bounds_of_twelve_days_hold_as_often_as_they_say() -> None:
    """1,000 histories of twelve days with a gain of their own: a bound of 95 % misses in 5 % (Monte-Carlo error 0.7)."""
    rng = np.random.default_rng(9)
    missed = {"expanded": 0, "plain": 0}
    for seed in range(1000):
        day = rng.normal(size=12)
        rows = np.repeat(day, 5) + 0.1 * rng.normal(size=60)
        sums = draw(np.repeat(np.arange(12), 5), resamples=400, seed=seed).sums([rows, np.ones(60)])
        means = sums[0, 1:] / np.maximum(sums[1, 1:], 1)
        missed["expanded"] += np.quantile(means, expanded(np.array([0.05]), 12)[0]) > 0
        missed["plain"] += np.quantile(means, 0.05) > 0
    assert 36 <= missed["expanded"] <= 64 and missed["plain"] > missed["expanded"]


def test_units_of_equal_weight_are_counted_by_what_a_value_hangs_on():
    rng = np.random.default_rng(3)
    normal = rng.standard_normal(100_000)
    assert effective_units(normal, 100_000) == pytest.approx(100_000, rel=0.05)
    few = np.zeros(200)
    few[:4] = [1.0, -1.0, 1.0, -1.0]
    assert (
        8 < effective_units(few, 200) < 10
    )  # twice four, and one: an influence of plus or minus one has no tails of its own
    one = np.zeros(200)
    one[0] = 1.0
    assert 2 <= effective_units(one, 200) < 4
    assert effective_units(np.full(50, 3.0), 50) == 50
    assert effective_units(np.r_[np.nan, normal[:99]], 100) <= 100


def test_sums_without_each_group_are_those_of_the_other_rows():
    rng = np.random.default_rng(5)
    units, rows = rng.integers(0, 40, 300), np.flatnonzero(rng.random(300) < 0.5)
    column = rng.standard_normal(300)
    resampling = draw(np.unique(units, return_inverse=True)[1], resamples=20, seed=1)
    sums, without = resampling.sums_and_left_out([column[rows]], rows)
    np.testing.assert_array_equal(sums, resampling.sums([column[rows]], rows))
    here = resampling.group_of[rows]
    expected = [column[rows][here != group].sum() for group in np.unique(here)]
    np.testing.assert_allclose(without[0], expected)
