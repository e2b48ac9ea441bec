"""A search begins with what was good before, and ends when further trials are not worth it."""

from __future__ import annotations

from itertools import combinations
from math import isinf
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from include.config.sections.training import Range, Search
from include.training.fit_record import CrossValidated, Trial
from include.training.model_selection.expected_gain import LEAST_TRIALS, expected_gain
from include.training.model_selection.search import best_of, search

SPACE: dict[str, Any] = {"x": Range(low=0.0, high=1.0), "kind": ("a", "b")}


def run(method: Search, *, at_once: int = 1, declared: dict[str, Any] | None = None, greater: bool = True) -> Any:
    def evaluate(each: list[dict[str, Any]], share: float) -> list[Trial]:
        scores = [(1 if greater else -1) * -((one.get("x", 1.0) - 0.3) ** 2) for one in each]
        metric = "roc_auc" if greater else "brier"
        return [
            Trial(one, CrossValidated(metric, score, 0.0, (score,)), share)
            for one, score in zip(each, scores, strict=True)
        ]

    return search(method, SPACE, declared or {}, evaluate, greater_is_better=greater, seed=0, at_once=at_once)


def test_half_of_the_draws_is_the_mean_over_all_halves() -> None:
    drawn = np.random.default_rng(0).random(9).tolist()
    half = np.mean([max(part) for part in combinations(drawn, 4)])
    assert np.isclose(expected_gain(drawn, 10), 10 * (max(drawn) - half) / 5)
    floor = sorted(drawn)[6]
    kept = [max(one, floor) for one in drawn]
    half = np.mean([max(part) for part in combinations(kept, 4)])
    assert np.isclose(expected_gain(drawn, 10, best=floor), 10 * (max(drawn) - half) / 5)
    assert expected_gain(drawn, 10, best=1.0) == 0 and isinf(expected_gain(drawn[: LEAST_TRIALS - 1], 10))


@pytest.mark.parametrize("shape", ["uniform", "normal", "exponential"])
def test_it_bounds_what_further_draws_gain_on_average(shape: str) -> None:
    rng = np.random.default_rng(1)
    draws = getattr(rng, shape)(size=(3000, 40))
    bounds = [expected_gain(one[:12].tolist(), 28) for one in draws]
    gained = draws.max(axis=1) - draws[:, :12].max(axis=1)
    error = np.std(np.array(bounds) - gained) / np.sqrt(len(draws))
    assert np.mean(bounds) > np.mean(gained) - 3 * error


@pytest.mark.parametrize("method", ["random", "bayesian", "halving"])
def test_a_search_starts_from_what_was_good_before_and_ends_no_worse(method: str) -> None:
    start = ({"x": 0.31, "kind": "b"}, {"x": 5.0})
    made = run(Search(method=method, trials=12, start=start), declared={"x": 0.9, "y": 1})
    assert [one.params for one in made[:3]] == [
        {"x": 0.9, "y": 1},
        {"x": 0.31, "kind": "b", "y": 1},
        {"x": 5.0, "y": 1},
    ]
    assert best_of(made, greater_is_better=True).cv.mean >= -((0.31 - 0.3) ** 2)
    if method != "halving":
        assert len(made) == 12


@pytest.mark.parametrize("method", ["random", "bayesian"])
@pytest.mark.parametrize("greater", [True, False])
def test_a_search_ends_when_the_trials_left_are_not_worth_it(method: str, greater: bool) -> None:
    whole = run(Search(method=method, trials=60), greater=greater)
    ended = run(Search(method=method, trials=60, least_gain=0.02), greater=greater)
    assert LEAST_TRIALS < len(ended) < 60 and whole[: len(ended)] == ended, "the same trials, fewer of them"
    lost = abs(best_of(whole, greater_is_better=greater).cv.mean - best_of(ended, greater_is_better=greater).cv.mean)
    assert lost < 0.02
    remembered = run(
        Search(method=method, trials=60, least_gain=0.02, start=({"x": 0.3, "kind": "a"},)), greater=greater
    )
    assert len(remembered) == 2 + LEAST_TRIALS, "nothing beats what was good before"


def test_it_ends_after_the_same_trial_however_many_are_made_at_once() -> None:
    method = Search(method="random", trials=60, least_gain=0.02)
    assert run(method) == run(method, at_once=7)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"method": "grid", "start": [{"x": 1}]}, "a grid tries all"),
        ({"method": "halving", "least_gain": 0.1}, "`random` or `bayesian`"),
        ({"method": "random", "trials": 1, "start": [{"x": 1}]}, "expected more `trials`"),
        ({"method": "random", "least_gain": 0}, "greater than 0"),
    ],
)
def test_what_does_not_fit_is_refused(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Search.model_validate(facts)


def test_a_declaration_without_them_is_stored_as_before() -> None:
    assert set(Search(method="random").model_dump(mode="json")) == {"method", "trials", "minutes", "space", "cv"}
