from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from include.evaluation.gains import CONFIDENCES, Family
from include.evaluation.uncertainty.max_t import critical_values


def family(deviations: np.ndarray, units: int = 10_000) -> Family:
    return Family("roc_auc", "origin", critical_values(deviations, np.full(len(deviations), units)))


def test_of_independent_levels_the_largest_deviation_is_that_of_sidak() -> None:
    found = family(np.random.default_rng(0).normal(size=(30, 40_000)))
    for levels in (1, 5, 30):
        assert found.critical_value(levels, 0.95) == pytest.approx(norm.ppf(0.95 ** (1 / levels)), abs=0.05)


def test_levels_that_move_together_cost_nothing() -> None:
    found = family(np.tile(np.random.default_rng(1).normal(size=20_000), (30, 1)))
    assert found.critical_value(30, 0.95) == pytest.approx(norm.ppf(0.95), abs=0.05)


def test_more_levels_and_more_confidence_ask_for_more() -> None:
    critical = np.array(family(np.random.default_rng(2).normal(size=(10, 2000))).critical)
    assert (np.diff(critical, axis=0) >= 0).all() and (np.diff(critical, axis=1) >= 0).all()


def test_few_units_are_given_the_room_that_they_need() -> None:
    deviations = np.random.default_rng(3).normal(size=(3, 2000))
    assert family(deviations, 12).critical_value(3, 0.95) > 1.05 * family(deviations).critical_value(3, 0.95)


def test_a_resample_without_a_value_in_one_level_counts_for_the_others() -> None:
    deviations = np.random.default_rng(4).normal(size=(2, 2000))
    deviations[1, :50] = np.nan
    assert np.isfinite(family(deviations).critical).all()


def test_what_the_resamples_cannot_tell_is_not_told() -> None:
    found = family(np.random.default_rng(5).normal(size=(2, 200)))
    assert found.critical_value(2, 0.99) is not None
    assert found.critical_value(2, 0.999) is None and found.critical_value(3, 0.9) is None
    assert found.critical_value(2, CONFIDENCES[0]) is not None
