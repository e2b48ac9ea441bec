"""Fairness metrics: the disparities that Fairlearn defines, for every model, with intervals.

The rates of each group come from the same resamples as everything else, so that disparities are resampled as a whole. The values
are Fairlearn's (a test holds them equal); Fairlearn has no sums to resample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.evaluation.gains import Fairness, GroupRates, Measured, Role
from include.evaluation.metrics.metric_values import values_on
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import Resampling
from include.evaluation.uncertainty.intervals import interval_of
from include.training.metrics.definitions import ratio, sign

Array = NDArray[Any]

PARITIES = ("demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference")
_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")

_UNDEFINED = {
    "demographic_parity_difference": "a group has no rows",
    "demographic_parity_ratio": "nobody is called positive",
    "equalized_odds_difference": "a group lacks rows of a class",
}


def fairness_of(
    target: Array,
    models: Mapping[Role, Scored],
    groups: str,
    levels: SliceLevels,
    metrics: tuple[str, ...],
    resampling: Resampling,
    *,
    binary: bool,
) -> tuple[Fairness, ...]:
    """Measure how alike the levels of one slice are treated.

    Parameters
    ----------
    groups : str
        The slice whose levels are the groups.
    metrics : tuple of str
        Metrics whose worst group is looked for.
    binary : bool
        Whether there are two classes, without which there is no positive prediction.
    """
    parts = [np.flatnonzero(levels.codes == code) for code in range(len(levels.names))]
    units = min(resampling.present(rows) for rows in parts)
    found = []
    if binary:
        rates = {role: _rates(target, scored, parts, resampling) for role, scored in models.items()}
        shown = tuple(
            GroupRates(
                name,
                len(rows),
                {
                    role: {
                        rate: interval_of(
                            of_role[rate][place], "the group lacks rows of a class", resampling.present(rows)
                        )
                        for rate in _RATES
                    }
                    for role, of_role in rates.items()
                },
            )
            for place, (name, rows) in enumerate(zip(levels.names, parts, strict=True))
        )
        for measure in PARITIES:
            scores = {
                role: interval_of(_parity(measure, of_role), _UNDEFINED[measure], units)
                for role, of_role in rates.items()
            }
            found.append(Fairness(groups, measure, None, scores, shown if measure == PARITIES[0] else ()))
    each = [values_on(target, models, metrics, rows, resampling) for rows in parts]
    for metric in metrics:
        worst = {role: _worst(metric, [of_group[role, metric] for of_group in each], units) for role in models}
        found.append(Fairness(groups, "group_minimum", metric, worst))
    return tuple(found)


def _rates(target: Array, scored: Scored, parts: list[Array], resampling: Resampling) -> dict[str, Array]:
    """Return each rate as an array of shape (n_groups, 1 + n_resamples)."""
    said = np.asarray(scored.said, dtype=float)
    rates: dict[str, list[Array]] = {name: [] for name in _RATES}
    for rows in parts:
        called, own = said[rows], target[rows]
        columns = [called, np.ones(len(rows)), called * own, own, called * (1 - own), 1 - own]
        sums = resampling.sums(columns, rows)
        for place, name in enumerate(_RATES):
            rates[name].append(ratio(sums[2 * place], sums[2 * place + 1]))
    return {name: np.stack(of_groups) for name, of_groups in rates.items()}


def _parity(measure: str, rates: Mapping[str, Array]) -> Array:
    if measure == "equalized_odds_difference":
        return np.asarray(np.maximum(*(np.ptp(rates[name], axis=0) for name in _RATES[1:])))
    selected = rates["selection_rate"]
    if measure == "demographic_parity_difference":
        return np.asarray(np.ptp(selected, axis=0))
    return ratio(selected.min(axis=0), selected.max(axis=0))


def _worst(metric: str, values: list[Array], units: int) -> Measured:
    together = np.stack(values)
    worst = together.min(axis=0) if sign(metric) > 0 else together.max(axis=0)
    return interval_of(worst, "a group has no value", units)
