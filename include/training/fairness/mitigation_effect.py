"""Effect of an unfairness mitigation: one recipe with and without it, measured on validation rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from include.training.estimators.predictions import Array, class_probabilities, positive_probability
from include.training.fairness.group_thresholds import group_names
from include.training.fit_pipeline import fit_with_threshold
from include.training.metrics.scoring import DEFAULT_THRESHOLD, score_of
from include.training.model_selection.cross_validation import Fold
from include.training.model_selection.out_of_fold import can_be_fitted
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows


def measure_mitigation(
    recipe: Recipe,
    settings: dict[str, Any],
    rows: TrainingRows,
    divided: list[Fold],
    threads: int,
) -> dict[str, dict[str, float | None]] | None:
    """Return Fairlearn's disparities and the primary metric, without the mitigation and with it; None where there is none.

    Validating rows of all folds are taken together. Costs one more fit a fold, twice.

    Parameters
    ----------
    recipe : Recipe
        With a mitigation.
    settings : dict
        The estimator's settings.
    rows : TrainingRows
    divided : list of Fold
        Positions of fitted and validating rows.
    threads : int
        Threads of one fit.
    """
    if recipe.fairness is None or len(rows.classes or ()) != 2:
        return None
    groups = group_names(rows.frame[recipe.fairness.column])
    # As in validation, a fold that has too few rows of a class to be fitted says nothing.
    least = recipe.least_rows + (recipe.threshold is not None and not recipe.learns_from_scores)
    divided = [fold for fold in divided if can_be_fitted(rows, least, fold[0])]
    return {
        "before": _measured(replace(recipe, fairness=None), settings, rows, divided, groups, threads),
        "after": _measured(recipe, settings, rows, divided, groups, threads),
    }


def _measured(
    recipe: Recipe,
    settings: dict[str, Any],
    rows: TrainingRows,
    divided: list[Fold],
    groups: Array,
    threads: int,
) -> dict[str, float | None]:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    scores, said, at = [], [], []
    for fitted, validating in divided:
        model, cut = fit_with_threshold(recipe, settings, rows.at(fitted), threads=threads)
        answered = positive_probability(class_probabilities(model, rows.at(validating).frame, 2))
        scores.append(answered)
        said.append(answered >= (DEFAULT_THRESHOLD if cut is None else cut))
        at.append(validating)
    if not at:
        return {}
    places, called = np.concatenate(at), np.concatenate(said)
    target, of = rows.target[places], groups[places]
    costs = None if rows.costs is None else rows.costs.at(places)
    return {
        recipe.metric: score_of(recipe.metric, target, np.concatenate(scores), costs=costs),
        "demographic_parity_difference": float(demographic_parity_difference(target, called, sensitive_features=of)),
        "equalized_odds_difference": float(equalized_odds_difference(target, called, sensitive_features=of)),
    }
