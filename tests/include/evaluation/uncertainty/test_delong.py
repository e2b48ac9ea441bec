from __future__ import annotations

import numpy as np
import pytest

from include.evaluation.uncertainty.delong import delong_interval
from include.training.metrics.definitions import row_terms


def test_the_interval_is_that_of_comparing_every_pair() -> None:
    rng = np.random.default_rng(0)
    target = (rng.random(300) < 0.3).astype(float)
    scores = [np.round(target + rng.normal(size=300), 1) for _ in range(2)]  # with ties
    terms = [row_terms(("auc_positive", "auc_negative"), target, score, None) for score in scores]
    found = delong_interval(
        0.01,
        (terms[0]["auc_positive"] - terms[1]["auc_positive"])[target == 1],
        (terms[0]["auc_negative"] - terms[1]["auc_negative"])[target == 0],
    )
    pairs = [np.sign(s[target == 1][:, None] - s[target == 0][None, :]) / 2 + 0.5 for s in scores]
    difference = pairs[0] - pairs[1]
    by_positive, by_negative = difference.mean(axis=1), difference.mean(axis=0)
    variance = by_positive.var(ddof=1) / len(by_positive) + by_negative.var(ddof=1) / len(by_negative)
    assert found == pytest.approx((0.01 - 1.959964 * variance**0.5, 0.01 + 1.959964 * variance**0.5))


def test_one_row_of_a_class_has_no_variance() -> None:
    assert delong_interval(0.0, np.zeros(1), np.zeros(10)) is None
