"""Running sums are those of exact arithmetic, rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from include.data.joins.exact_sums import window_sums

FLOATS = st.floats(-1e300, 1e300) | st.sampled_from([5e-324, -5e-324, 1e16, -1e16, 0.1, 2.0**-1060, -0.0])


def sums(values: list[Any], signs: list[int], dtype: str) -> list[float]:
    places = np.arange(len(values) + 1)
    found: list[float] = window_sums(np.array(values, dtype), np.array(signs, "int64"), places).tolist()
    return found


@example([(2.0**53, 1), (1.0, 1), (2.0**-60, 1)])
@example([(2.0**53, 1), (1.0, 1), (2.0**-50, 1)])
@given(st.lists(st.tuples(FLOATS, st.sampled_from([1, -1, 0])), max_size=30))
def test_sums_of_floats_are_those_of_exact_arithmetic_rounded_once(terms: list[tuple[float, int]]):
    values, signs = [value for value, _ in terms], [sign for _, sign in terms]
    products = [value * sign for value, sign in terms]
    assert sums(values, signs, "float64") == [math.fsum(products[:end]) for end in range(len(terms) + 1)]


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.sampled_from([1, -1, 0])), max_size=30))
def test_sums_of_integers_are_rounded_once_and_never_overflow(terms: list[tuple[int, int]]):
    values, signs = [value for value, _ in terms], [sign for _, sign in terms]
    wanted = [float(sum(v * s for v, s in terms[:end])) for end in range(len(terms) + 1)]
    assert sums(values, signs, "int64") == wanted


def test_a_sum_does_not_know_what_was_added_and_taken_off_before_it():
    terms = [0.1, 0.2, 0.3]
    alone = sums(terms, [1, 1, 1], "float64")[-1]
    among = sums([1e22, 1e22, 7e-300, 7e-300, *terms], [1, -1, 1, -1, 1, 1, 1], "float64")[-1]
    assert alone == among == math.fsum(terms)
