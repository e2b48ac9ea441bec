from __future__ import annotations

import pytest

from include.config.training import Range, Search
from include.errors import ConfigError
from include.training.record import CrossValidated, Trial
from include.training.search import best_of, search

SPACE = {
    "x": Range(low=0.001, high=10, log=True),
    "n": Range(low=1, high=9, integer=True),
    "layers": ([8], [16, 8]),
}


def run(method: str, trials: int, space: dict | None = None, declared: dict | None = None, seed: int = 0) -> tuple:
    def evaluate(each: list, share: float) -> list[Trial]:
        return [trial(settings, share) for settings in each]

    def trial(settings: dict, share: float) -> Trial:
        score = -abs(settings.get("x", 10) - 1) - abs(settings.get("n", 9) - 5)
        return Trial(settings, CrossValidated("roc_auc", score, 0.0, (score,)), 0.0, share)

    declared_search = Search(method=method, trials=trials, space=space)
    return search(declared_search, space or SPACE, declared or {}, evaluate, greater_is_better=True, seed=seed)


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_a_search_is_that_of_its_seed_stays_in_its_space_and_begins_with_what_is_declared(method: str) -> None:
    one, same, other = (run(method, 15, declared={"x": 3.0}, seed=seed) for seed in (1, 1, 2))
    assert one == same != other
    assert one[0].params == {"x": 3.0}
    assert len(one) == 15
    for trial in one[1:]:
        assert 0.001 <= trial.params["x"] <= 10
        assert trial.params["n"] in range(1, 10)
        assert isinstance(trial.params["n"], int)
        assert trial.params["layers"] in ([8], [16, 8])


def test_bayesian_search_finds_what_is_good() -> None:
    assert best_of(run("bayesian", 40), greater_is_better=True).cv.mean > -1


def test_a_grid_tries_every_combination_over_the_declared_settings() -> None:
    trials = run("grid", 6, space={"x": (0.1, 1.0, 2.0), "n": (4, 5)}, declared={"x": 7, "y": 0})
    assert len({(trial.params["x"], trial.params["n"]) for trial in trials}) == 6
    assert all(trial.params["y"] == 0 for trial in trials)
    assert best_of(trials, greater_is_better=True).params == {"x": 1.0, "n": 5, "y": 0}


def test_a_declared_grid_that_is_larger_than_its_trials_is_an_error_that_counts() -> None:
    with pytest.raises(ConfigError, match="6: 3 of x x 2 of n"):
        run("grid", 5, space={"x": (0.1, 1.0, 2.0), "n": (4, 5)})


def test_a_grid_over_an_estimator_s_own_space_takes_the_most_important_settings_that_fit() -> None:
    assert len(run("grid", 10)) == 9
    assert len(run("grid", 2)) == 2


def test_nothing_to_search_is_said() -> None:
    declared = Search(method="random")
    with pytest.raises(ConfigError, match="nothing to search"):
        search(declared, {}, {}, lambda settings, share: None, greater_is_better=True, seed=0)  # type: ignore[arg-type,return-value]
