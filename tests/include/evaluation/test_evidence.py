from __future__ import annotations

import json
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evaluation.evidence import Evidence
from include.evaluation.gains import PROBABILITIES, Gain
from tests.include.evaluation.examples import example_evidence

NORMAL = tuple((p, NormalDist(0.01, 0.002).inv_cdf(p)) for p in PROBABILITIES)


def gain(quantiles: tuple[tuple[float, float], ...] = NORMAL) -> Gain:
    return Gain("roc_auc", "incumbent", None, 100, 0.01, quantiles)


def test_evidence_survives_json() -> None:
    evidence = example_evidence()
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence


@given(st.floats(0.5, 0.9995))
def test_bounds_between_kept_probabilities_follow_the_normal_quantile(confidence: float) -> None:
    assert gain().bound(confidence) == pytest.approx(NormalDist(0.01, 0.002).inv_cdf(1 - confidence), abs=1e-9)
    assert gain().upper(confidence) == pytest.approx(NormalDist(0.01, 0.002).inv_cdf(confidence), abs=1e-9)


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_kept_probabilities_are_returned_exactly(probability: float) -> None:
    assert gain().upper(probability) == pytest.approx(dict(NORMAL)[probability], abs=1e-12)


def test_a_confidence_beyond_the_resamples_has_no_bound() -> None:
    assert gain().bound(0.99999) is None


def test_an_undefined_gain_has_no_bound() -> None:
    assert gain(()).bound(0.95) is None and gain(()).upper(0.95) is None


def test_a_gain_is_found_by_metric_opponent_and_slice() -> None:
    evidence = example_evidence()
    found = evidence.gain("roc_auc", "incumbent", ("origin", "EWR"))
    assert found is not None and found.slice == ("origin", "EWR")
    assert evidence.gain("roc_auc", "incumbent", ("origin", "???")) is None
