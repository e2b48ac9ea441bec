from __future__ import annotations

from include.evaluation.gains import Measured
from include.monitoring.performance.estimate_reliability import judge_estimator, reservations


def test_an_estimator_is_judged_by_the_labels_that_came() -> None:
    wrong = [(Measured(0.8, 0.78, 0.82), Measured(0.7 + 0.001 * (n % 3), None, None)) for n in range(12)]
    judged = judge_estimator(wrong)
    assert (judged.intervals, judged.covered) == (12, 0)
    said = reservations(0.2, judged)
    assert len(said) == 4 and "too high" in said[-1] and "20%" in said[1]
    right = [(Measured(0.8, 0.78, 0.82), Measured(0.8 + 0.005 * (-1) ** n, None, None)) for n in range(12)]
    assert len(reservations(0.0, judge_estimator(right))) == 1
