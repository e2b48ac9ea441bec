"""Search for settings: grid, random, successive halving, or Bayesian by Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from include.config.sections.training import Range, Search, Values
from include.errors import ConfigError, TrainingError
from include.training.fit_record import Trial
from include.training.model_selection.candidate_selection import ranked
from include.training.model_selection.expected_gain import expected_gain
from include.training.model_selection.search_space import distributions_of, draw, grid_of, in_space, points_of

log = logging.getLogger(__name__)

Settings = dict[str, Any]
Evaluate = Callable[[list[Settings], float], list[Trial]]
"""Scores each of some settings on a share of the fitted rows."""
Enough = Callable[[list[Trial]], bool]
"""Whether to take no further trial after these."""
_FACTOR = 3


def search(
    method: Search,
    space: dict[str, Range | Values],
    declared: Settings,
    evaluate: Evaluate,
    *,
    greater_is_better: bool,
    seed: int,
    at_once: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Trial, ...]:
    """Try settings and return every trial in its order; one that has no score ends no search.

    All but a grid try the declared settings first, so that a search never ends with worse than those. One trial at least
    is made of all rows, however few minutes there are.

    Parameters
    ----------
    space : dict
        The values of each setting; the most important first where it is an estimator's own space.
    evaluate : function of a list of settings and a share to a list of Trial
        Scores settings by cross-validation, fitted to a share of the rows.
    at_once : int
        How many settings to hand over at a time; the Bayesian search learns from each trial before the next, and hands over one.
    clock : function
        Seconds, for `Search.minutes`.

    Raises
    ------
    ConfigError
        When there is nothing to search, or a declared grid is larger than ``trials``.
    """
    check_search(method, space)
    deadline = math.inf if method.minutes is None else clock() + 60 * method.minutes

    began = 1 + len(method.start)

    def over() -> bool:
        return clock() >= deadline

    def enough(trials: list[Trial]) -> bool:
        if method.least_gain is None:
            return False
        scores = [(one.cv.mean if greater_is_better else -one.cv.mean) if one.cv else None for one in trials]
        before = [one for one in scores[:began] if one is not None]
        drawn = [one for one in scores[began:] if one is not None]
        gain = expected_gain(drawn, method.trials - len(trials), max(before, default=None))
        if gain < method.least_gain:
            log.info("search: the trials left are expected to gain %.2g, less than %g", gain, method.least_gain)
        return gain < method.least_gain

    first = [declared, *(declared | one for one in method.start)]
    if method.method == "bayesian":
        trials = _bayesian(
            method.trials, space, first, evaluate, over, enough, greater_is_better=greater_is_better, seed=seed
        )
        return _said(trials, method.trials)
    if method.method == "grid":
        settings = list(grid_of(space, method.trials))
    else:
        rng = np.random.default_rng(seed)
        drawn = ({name: draw(values, rng) for name, values in space.items()} for _ in range(method.trials - began))
        settings = [{}, *method.start, *drawn]
    tried = [declared | one for one in settings]
    if method.method == "halving":
        return _halving(tried, evaluate, over, at_once, greater_is_better=greater_is_better)
    return _said(_each(tried, evaluate, over, at_once, enough=enough), len(tried))


def _each(
    tried: list[Settings],
    evaluate: Evaluate,
    over: Callable[[], bool],
    at_once: int,
    *,
    share: float = 1.0,
    enough: Enough | None = None,
) -> list[Trial]:
    trials: list[Trial] = []
    for start in range(0, len(tried), at_once):
        if trials and over():
            break
        for one in evaluate(tried[start : start + at_once], share):
            trials.append(one)
            if enough is not None and enough(trials):  # after the same trial, however many were made at once
                return trials
    return trials


def _said(trials: list[Trial], wanted: int) -> tuple[Trial, ...]:
    if len(trials) < wanted:
        log.info("search: ended after %d of %d trials", len(trials), wanted)
    return tuple(trials)


def _halving(
    tried: list[Settings], evaluate: Evaluate, over: Callable[[], bool], at_once: int, *, greater_is_better: bool
) -> tuple[Trial, ...]:
    """Try all on few rows and the best third on three times as many (Jamieson and Talwalkar, 2016)."""
    declared, rounds = tried[0], int(math.log(len(tried) + 0.5, _FACTOR))
    trials: list[Trial] = []
    for left in range(rounds, -1, -1):
        if left and trials and over():
            log.info("search: the minutes are over with %d rounds to go", left + 1)
            continue
        made = _each(tried, evaluate, over, at_once, share=float(_FACTOR) ** -left)
        trials += made
        order = ranked([trial.folds for trial in made], greater_is_better=greater_is_better)
        best = [made[place].params for place in order[: max(1, len(tried) // _FACTOR)]]
        # The declared settings go all the way, or the search might end with worse.
        tried = best if declared in best else [*best, declared]
    return tuple(trials)


def best_of(trials: tuple[Trial, ...], *, greater_is_better: bool) -> Trial:
    """Return the best of the trials that were given the most rows, by their scores on the same folds; of equals the first.

    Raises
    ------
    TrainingError
        When none of them has a score.
    """
    most = max(trial.share for trial in trials)
    whole = [trial for trial in trials if trial.share == most]
    best = whole[ranked([trial.folds for trial in whole], greater_is_better=greater_is_better)[0]]
    if best.cv is None:
        raise TrainingError(
            f"none of {len(whole)} trials has a score",
            found=f"of the first: {best.failed}",
            where="search",
            remedy="other `params` or another `search.space`; the log tells why each trial has none",
        )
    return best


def check_search(method: Search, space: dict[str, Range | Values]) -> None:
    """Raise `ConfigError` when there is nothing to search, or a declared grid is larger than ``trials``."""
    if not space:
        raise ConfigError(
            "there is nothing to search",
            expected="a `space` of settings",
            where="search",
            remedy="this estimator has no settings worth a search: remove `search`, or declare `space`",
        )
    points = {name: len(points_of(values)) for name, values in space.items()}
    size = math.prod(points.values())
    if method.method == "grid" and method.space is not None and size > method.trials:
        raise ConfigError(
            "the grid is larger than `trials`",
            expected=f"at most {method.trials} settings",
            found=f"{size}: " + " x ".join(f"{count} of {name}" for name, count in points.items()),
            where="search",
            remedy=f"`trials: {size}`, fewer values, or `method: random` or `bayesian`",
        )


def _bayesian(
    trials: int,
    space: dict[str, Range | Values],
    first: list[Settings],
    evaluate: Evaluate,
    over: Callable[[], bool],
    enough: Enough,
    *,
    greater_is_better: bool,
    seed: int,
) -> list[Trial]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    declared, done = first[0], evaluate(first[:1], 1.0)
    for settings in first[1:]:
        (trial,) = evaluate([settings], 1.0)
        done.append(trial)
        if trial.cv is not None and (inside := in_space(space, settings)) is not None:
            distributions = distributions_of(space)
            study.add_trial(optuna.trial.create_trial(params=inside, distributions=distributions, value=trial.cv.mean))
    for _ in range(trials - len(first)):
        if over() or enough(done):
            break
        asked = study.ask(distributions_of(space))
        # Optuna's choices must be plain values: a list such as [64, 32] is named by its place.
        settings = {
            name: asked.params[name] if isinstance(values, Range) else values[asked.params[name]]
            for name, values in space.items()
        }
        (trial,) = evaluate([declared | settings], 1.0)
        done.append(trial)
        known = [sum(value is not None for value in one.folds) for one in done]
        if trial.cv is not None and known[-1] == max(known):
            study.tell(asked, trial.cv.mean)
        else:
            # One without a value where others have one is not compared with them: the sampler takes it for the worst.
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
    return done
