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
from include.evaluation.metrics.metric_values import share_of, terms_by_role, values_on
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import Resampling, effective_units
from include.evaluation.uncertainty.intervals import interval_of
from include.training.metrics.definitions import ratio, sign
from include.training.metrics.multiclass import classes_in

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
        rates, told = {}, {}
        for role, scored in models.items():
            rates[role], told[role] = _rates(target, scored, parts, resampling)
        shown = tuple(
            GroupRates(
                name,
                len(rows),
                {
                    role: {
                        rate: interval_of(
                            of_role[rate][place],
                            "the group lacks rows of a class",
                            resampling.present(rows),
                            *told[role][rate][place],
                        )
                        for rate in _RATES
                    }
                    for role, of_role in rates.items()
                },
            )
            for place, (name, rows) in enumerate(zip(levels.names, parts, strict=True))
        )
        for measure in PARITIES:
            scores = {role: _parity_interval(measure, of_role, told[role], units) for role, of_role in rates.items()}
            found.append(Fairness(groups, measure, None, scores, shown if measure == PARITIES[0] else ()))
    each = [values_on(target, models, metrics, rows, resampling) for rows in parts]
    columns = [terms_by_role(target, models, metrics, rows) for rows in parts]
    classes = classes_in(models["challenger"].score)
    for metric in metrics:
        worst = {}
        for role in models:
            counts = [
                share_of(metric, role, classes, own, resampling.group_of[rows])
                for own, rows in zip(columns, parts, strict=True)
            ]
            fewest = None if None in counts else min(count for count in counts if count is not None)
            worst[role] = _worst(metric, [of_group[role, metric] for of_group in each], units, fewest)
        found.append(Fairness(groups, "group_minimum", metric, worst))
    return tuple(found)


def _rates(
    target: Array, scored: Scored, parts: list[Array], resampling: Resampling
) -> tuple[dict[str, Array], dict[str, list[tuple[float, int]]]]:
    """Return each rate as an array of shape (n_groups, 1 + n_resamples), and by how many units each group's is told."""
    said = np.asarray(scored.said, dtype=float)
    rates: dict[str, list[Array]] = {name: [] for name in _RATES}
    told: dict[str, list[tuple[float, int]]] = {name: [] for name in _RATES}
    for rows in parts:
        called, own = said[rows], target[rows]
        columns = [called, np.ones(len(rows)), called * own, own, called * (1 - own), 1 - own]
        sums, without = resampling.sums_and_left_out(columns, rows)
        for place, name in enumerate(_RATES):
            over, under = 2 * place, 2 * place + 1
            rates[name].append(ratio(sums[over], sums[under]))
            few = effective_units(ratio(without[over], without[under]), without.shape[1])
            told[name].append((few, int(np.count_nonzero(without[under] != sums[under, 0]))))
    return {name: np.stack(of_groups) for name, of_groups in rates.items()}, told


def _parity_interval(
    measure: str, rates: Mapping[str, Array], told: Mapping[str, list[tuple[float, int]]], units: int
) -> Measured:
    """Return a disparity with its interval, as wide as the group allows whose rates the fewest units tell."""
    own = [one for name in (_RATES[1:] if measure == PARITIES[2] else _RATES[:1]) for one in told[name]]
    found = interval_of(_parity(measure, rates), _UNDEFINED[measure], units, min(few for few, _ in own))
    if measure != PARITIES[1] and found.low == found.high == found.value == 0:
        # In every group it is all or none: what is said of a share of the smallest bounds the difference.
        return interval_of(np.zeros(rates[_RATES[0]].shape[1]), "", units, share_of=min(count for _, count in own))
    return found


def _parity(measure: str, rates: Mapping[str, Array]) -> Array:
    if measure == "equalized_odds_difference":
        return np.asarray(np.maximum(*(np.ptp(rates[name], axis=0) for name in _RATES[1:])))
    selected = rates["selection_rate"]
    if measure == "demographic_parity_difference":
        return np.asarray(np.ptp(selected, axis=0))
    return ratio(selected.min(axis=0), selected.max(axis=0))


def _worst(metric: str, values: list[Array], units: int, fewest: int | None) -> Measured:
    together = np.stack(values)
    worst = together.min(axis=0) if sign(metric) > 0 else together.max(axis=0)
    return interval_of(worst, "a group has no value", units, share_of=fewest)
