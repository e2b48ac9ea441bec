from __future__ import annotations

import numpy as np
import pytest

from include.config.sections.training import Range, Search
from include.errors import ConfigError, TrainingError
from include.training.fit_record import CrossValidated, Trial
from include.training.model_selection.candidate_selection import ranked
from include.training.model_selection.search import best_of, search

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
        return Trial(settings, CrossValidated("roc_auc", score, 0.0, (score,)), share)

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


@pytest.mark.parametrize(
    ("scores", "greater", "lesser"),
    [
        ([(None, None, 1.0), (0.8, 0.8, 0.8)], [1, 0], [1, 0]),
        ([(None, 0.7, 0.7), (None, 0.6, 0.9)], [1, 0], [0, 1]),  # undefined for all: the fold says nothing
        ([(0.2, 0.8, None), (None, 0.9, 0.99)], [1, 0], [0, 1]),  # on the fold that both have
        ([(), (0.1, 0.1), (), (0.3, 0.1)], [3, 1, 0, 2], [1, 3, 0, 2]),
        ([(0.5, 0.5), (0.5, 0.5)], [0, 1], [0, 1]),
        ([(0.9, None), (None, 0.5), (0.4, 0.4)], [2, 0, 1], [2, 1, 0]),
    ],
)
def test_all_are_compared_on_the_same_folds_and_one_without_a_value_is_behind(scores, greater, lesser) -> None:
    assert ranked(scores, greater_is_better=True) == greater
    assert ranked(scores, greater_is_better=False) == lesser


def searched(method: str, fails, trials: int = 12, seed: int = 0) -> tuple[Trial, ...]:
    """Search for x near 1; settings that ``fails`` says so of have no score."""

    def evaluate(each: list, share: float) -> list[Trial]:
        return [
            Trial(one, None, share, failed="undefined")
            if fails(one.get("x", 3.0))
            else Trial(
                one,
                CrossValidated("roc_auc", -abs(one.get("x", 3.0) - 1), 0.0, (-abs(one.get("x", 3.0) - 1),)),
                share,
            )
            for one in each
        ]

    space = {"x": (0.5, 1.0, 2.0, 4.0)} if method == "grid" else {"x": Range(low=0.0, high=4.0)}
    declared = Search(method=method, trials=trials, space=space)
    return search(declared, space, {}, evaluate, greater_is_better=True, seed=seed)


@pytest.mark.parametrize("method", ["grid", "random", "halving", "bayesian"])
def test_trials_without_a_score_end_no_search_and_win_none(method: str) -> None:
    trials = searched(method, lambda x: x > 1.2)
    assert any(trial.failed for trial in trials) and any(trial.cv for trial in trials)
    best = best_of(trials, greater_is_better=True)
    whole = [trial.cv.mean for trial in trials if trial.cv and trial.share == 1]
    assert best.cv is not None and best.cv.mean == max(whole)
    with pytest.raises(TrainingError, match=r"none of \d+ trials"):
        best_of(
            tuple(trial for trial in searched(method, lambda x: True) if trial.share == 1)[:12], greater_is_better=True
        )


def test_bayesian_search_keeps_away_from_settings_that_have_no_score() -> None:
    late = searched("bayesian", lambda x: x > 1.2, trials=40)[20:]
    assert sum(trial.failed is not None for trial in late) < 10  # of numbers drawn at random, fourteen would have none


def test_numbers_on_a_log_scale_are_drawn_and_spaced_by_their_logarithm() -> None:
    space = {"x": Range(low=1e-4, high=1e4, log=True), "n": Range(low=1, high=10_000, integer=True, log=True)}
    # The first ten trials of a Bayesian search are drawn at random; later ones go where it is good.
    for method, trials in (("random", 200), ("bayesian", 10)):
        tried = run(method, trials, space=space)[1:]
        assert 0.3 < np.mean([trial.params["x"] < 1 for trial in tried]) < 0.7
        assert 0.3 < np.mean([trial.params["n"] < 100 for trial in tried]) < 0.7
    grid = run("grid", 9, space={"x": space["x"]})
    assert [trial.params["x"] for trial in grid] == pytest.approx([1e-4, 1e0, 1e4])
    plain = run("grid", 9, space={"x": Range(low=1, high=9)})
    assert [trial.params["x"] for trial in plain] == [1, 5, 9]


def test_bayesian_search_goes_by_what_it_is_told() -> None:
    space = {"x": Range(low=0.0, high=1.0)}

    def late(sign: float) -> float:
        def evaluate(each: list, share: float) -> list[Trial]:
            scores = [sign * one.get("x", 0.5) for one in each]
            return [
                Trial(one, CrossValidated("roc_auc", score, 0.0, (score,)), share)
                for one, score in zip(each, scores, strict=True)
            ]

        declared = Search(method="bayesian", trials=30, space=space)
        trials = search(declared, space, {}, evaluate, greater_is_better=True, seed=0)
        return float(np.mean([trial.params["x"] for trial in trials[15:]]))

    assert late(1.0) > 0.75 and late(-1.0) < 0.25
    lesser = search(
        Search(method="bayesian", trials=30, space=space),
        space,
        {},
        lambda each, share: [
            Trial(one, CrossValidated("brier", one.get("x", 0.5), 0.0, (one.get("x", 0.5),)), share) for one in each
        ],
        greater_is_better=False,
        seed=0,
    )
    assert np.mean([trial.params["x"] for trial in lesser[15:]]) < 0.25


def test_a_trial_on_few_rows_is_not_compared_with_those_on_all_of_them() -> None:
    few, most, whole = (
        Trial({"x": share}, CrossValidated("roc_auc", score, 0.0, (score,)), share)
        for share, score in ((0.1, 0.9), (0.3, 0.8), (1.0, 0.7))
    )
    assert best_of((few, most, whole), greater_is_better=True) is whole
    assert best_of((few, most), greater_is_better=True) is most
