"""Search for settings: grid, random, or Bayesian by Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from include.config.training import Range, Search, Values
from include.errors import ConfigError
from include.training.record import Trial

Settings = dict[str, Any]
Evaluate = Callable[[Settings], Trial]


def search(
    method: Search,
    space: dict[str, Range | Values],
    declared: Settings,
    evaluate: Evaluate,
    *,
    greater_is_better: bool,
    seed: int,
) -> tuple[Trial, ...]:
    """Try settings and return every trial in its order.

    Random and Bayesian search try the declared settings first, so that a search never ends with worse than those.

    Parameters
    ----------
    space : dict
        The values of each setting; the most important first where it is an estimator's own space.
    evaluate : function of settings to Trial
        Scores settings by cross-validation.

    Raises
    ------
    ConfigError
        When there is nothing to search, or a declared grid is larger than ``trials``.
    """
    if not space:
        raise ConfigError(
            "there is nothing to search",
            expected="a `space` of settings",
            where="search",
            remedy="this estimator has no settings worth a search: remove `search`, or declare `space`",
        )
    if method.method == "grid":
        grid = _grid(space, method.trials, declared_space=method.space is not None)
        return tuple(evaluate(declared | settings) for settings in grid)
    if method.method == "random":
        rng = np.random.default_rng(seed)
        drawn = ({name: _draw(values, rng) for name, values in space.items()} for _ in range(method.trials - 1))
        return tuple(evaluate(declared | settings) for settings in itertools.chain([{}], drawn))
    return _bayesian(method.trials, space, declared, evaluate, greater_is_better=greater_is_better, seed=seed)


def best_of(trials: tuple[Trial, ...], *, greater_is_better: bool) -> Trial:
    """Return the trial with the best mean; of equals the first."""
    return (max if greater_is_better else min)(trials, key=lambda trial: trial.cv.mean)


def _grid(space: dict[str, Range | Values], trials: int, *, declared_space: bool) -> Iterator[Settings]:
    points = {name: _points(values) for name, values in space.items()}
    size = math.prod(len(values) for values in points.values())
    if declared_space and size > trials:
        raise ConfigError(
            "the grid is larger than `trials`",
            expected=f"at most {trials} settings",
            found=f"{size}: " + " x ".join(f"{len(values)} of {name}" for name, values in points.items()),
            where="search",
            remedy=f"`trials: {size}`, fewer values, or `method: random` or `bayesian`",
        )
    if not declared_space:
        # The estimator's own space: as many of the most important settings as fit.
        while size > trials and len(points) > 1:
            size //= len(points.popitem()[1])
        name, values = next(iter(points.items()))
        points[name] = values[:trials]
    for combination in itertools.product(*points.values()):
        yield dict(zip(points, combination, strict=True))


def _points(values: Range | Values) -> list[Any]:
    if not isinstance(values, Range):
        return list(values)
    middle = math.sqrt(values.low * values.high) if values.log else (values.low + values.high) / 2
    points = [values.low, middle, values.high]
    return list(dict.fromkeys(round(point) for point in points)) if values.integer else points


def _draw(values: Range | Values, rng: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    low, high = (values.low - 0.5, values.high + 0.5) if values.integer else (values.low, values.high)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if values.log else float(rng.uniform(low, high))
    return min(max(round(drawn), int(values.low)), int(values.high)) if values.integer else drawn


def _bayesian(
    trials: int,
    space: dict[str, Range | Values],
    declared: Settings,
    evaluate: Evaluate,
    *,
    greater_is_better: bool,
    seed: int,
) -> tuple[Trial, ...]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if greater_is_better else "minimize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    done = [evaluate(declared)]
    for _ in range(trials - 1):
        asked = study.ask(_distributions(space))
        # Optuna's choices must be plain values: a list such as [64, 32] is named by its place.
        settings = {
            name: asked.params[name] if isinstance(values, Range) else values[asked.params[name]]
            for name, values in space.items()
        }
        trial = evaluate(declared | settings)
        study.tell(asked, trial.cv.mean)
        done.append(trial)
    return tuple(done)


def _distributions(space: dict[str, Range | Values]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def one(values: Range | Values) -> Any:
        if not isinstance(values, Range):
            return CategoricalDistribution(range(len(values)))
        if values.integer:
            return IntDistribution(int(values.low), int(values.high), log=values.log)
        return FloatDistribution(values.low, values.high, log=values.log)

    return {name: one(values) for name, values in space.items()}
