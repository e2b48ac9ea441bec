"""The space of settings that a search looks in: its grid, draws from it, and its form for Optuna."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from include.config.sections.training import Range, Values

Settings = dict[str, Any]


def grid_of(space: dict[str, Range | Values], trials: int) -> Iterator[Settings]:
    """Yield the settings of a grid: of an estimator's own space as many of the most important ones as fit."""
    points = {name: points_of(values) for name, values in space.items()}
    size = math.prod(len(values) for values in points.values())
    # Only the estimator's own space can be larger: then as many of the most important settings as fit.
    while size > trials and len(points) > 1:
        size //= len(points.popitem()[1])
    name, values = next(iter(points.items()))
    points[name] = values[:trials]
    for combination in itertools.product(*points.values()):
        yield dict(zip(points, combination, strict=True))


def points_of(values: Range | Values) -> list[Any]:
    """Return the values of a setting that a grid tries: of a range its ends and its middle."""
    if not isinstance(values, Range):
        return list(values)
    middle = math.sqrt(values.low * values.high) if values.log else (values.low + values.high) / 2
    points = [values.low, middle, values.high]
    return list(dict.fromkeys(round(point) for point in points)) if values.integer else points


def draw(values: Range | Values, rng: np.random.Generator) -> Any:
    """Draw a value of a setting."""
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    low, high = (values.low - 0.5, values.high + 0.5) if values.integer else (values.low, values.high)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if values.log else float(rng.uniform(low, high))
    return min(max(round(drawn), int(values.low)), int(values.high)) if values.integer else drawn


def in_space(space: dict[str, Range | Values], settings: Settings) -> Settings | None:
    """Return settings as Optuna names them, if they lie in the space; it can't learn from others."""
    found = {}
    for name, values in space.items():
        value = settings.get(name)
        if isinstance(values, Range):
            if not isinstance(value, int | float) or not values.low <= value <= values.high:
                return None
            found[name] = value
        elif value not in values:
            return None
        else:
            found[name] = list(values).index(value)
    return found


def distributions_of(space: dict[str, Range | Values]) -> dict[str, Any]:
    """Return a space as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def one(values: Range | Values) -> Any:
        if not isinstance(values, Range):
            return CategoricalDistribution(range(len(values)))
        if values.integer:
            return IntDistribution(int(values.low), int(values.high), log=values.log)
        return FloatDistribution(values.low, values.high, log=values.log)

    return {name: one(values) for name, values in space.items()}
