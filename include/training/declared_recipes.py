"""Recipes of a declaration: one for each candidate and each baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from include.config.model import BASELINES, ModelConfig
from include.config.names import ENSEMBLES, SIMPLE_BASELINE
from include.config.sections.features import Features
from include.config.sections.training import (
    Candidate,
    Imbalance,
    Search,
)
from include.data.rare_levels import pooled_by
from include.errors import ConfigError, did_you_mean
from include.training.estimators.construction import check_settings
from include.training.estimators.registry import CONSTANT
from include.training.metrics.scoring import check_metric
from include.training.recipe import Recipe

STABILITY_REFITS = 10
"""How often a clustering is fitted again to tell its stability."""

_TRIVIAL: dict[str, dict[str, Any]] = {
    "classification": {"strategy": "prior"},
    "regression": {"strategy": "mean"},
    "clustering": {},
}
_CLUSTERS = Search(method="grid", trials=7, space={"n_clusters": tuple(range(2, 9))})


def recipe_of(model: ModelConfig, name: str) -> Recipe:
    """Return the recipe of a candidate, or of the baseline ``trivial`` or ``simple``.

    ``simple`` is a logistic or ridge regression on the same features, scaled in any case: without, it would be a weak
    opponent for no good reason. For clustering it is k-means, with as many of two to eight clusters as validate best, on
    features as they are declared: there the scale of columns is a part of the question. ``trivial`` then clusters by chance.

    Raises
    ------
    ConfigError
        When there is no such candidate, or it names an estimator, setting or metric that does not exist.
    """
    training, features = model.training, model.features
    own: dict[str, Any] = {"params": {}, "early_stopping": False, "search": None, "cv": None}
    imbalance = training.imbalance
    if name == "trivial":
        own |= {"estimator": CONSTANT, "params": dict(_TRIVIAL[model.task])}
        features, imbalance = features.model_copy(update={"select": ()}), Imbalance(method="none")
    elif name == "simple":
        own |= {"estimator": SIMPLE_BASELINE[model.task]}
        if model.task == "clustering":
            own |= {"search": _CLUSTERS, "cv": training.cv}
        else:
            features = _scaled(features)
    else:
        chosen = _candidate(model, name)
        own |= {"estimator": chosen.estimator, "params": dict(chosen.params), "search": chosen.search}
        own |= {"early_stopping": chosen.early_stopping, "cv": training.cv}
        own |= {"coverage": training.intervals.coverage if training.intervals else None}
        own |= {"calibration": chosen.calibration, "fairness": chosen.fairness}
        if chosen.estimator in ENSEMBLES:
            names = [one.name for one in training.candidates if one.estimator not in ENSEMBLES]
            joined = [recipe_of(model, member) for member in chosen.members or names]
            own |= {"members": tuple(joined), "best": chosen.best}
    check_metric(model.gate.primary.metric, model.task)
    by_cost = training.threshold is not None and training.threshold.objective == "cost"
    priced = model.evaluation.cost if by_cost or model.gate.primary.metric == "cost" else None
    recipe = Recipe(
        model=model.name,
        name=name,
        task=model.task,
        features=features,
        target=model.data.target,
        event_time=model.data.event_time,
        row_id=model.data.row_id,
        label_delay=str(model.data.label_delay),
        metric=model.gate.primary.metric,
        seed=training.seed,
        cross_fitting=training.cross_fitting or training.cv,
        imbalance=imbalance,
        weights=None if name == "trivial" else training.weights,
        threshold=training.threshold,
        quantile=model.evaluation.quantile,
        positive=model.data.positive,
        transform=None if name == "trivial" or training.target is None else training.target.transform,
        exposure=training.exposure,
        costs=priced.matrix if priced else None,
        cost_function=(priced.function, priced.columns) if priced and priced.function else None,
        pooled=tuple(pooled_by(model.data).get("pooled", ())) or None,
        refits=STABILITY_REFITS if "stability" in model.metrics else 0,
        engine=training.engine,
        **own,
    )
    if not recipe.members:
        _check_monotone(recipe)
        check_settings(recipe.estimator, model.task, recipe.params | (recipe.space if recipe.search else {}))
    return recipe


def _check_monotone(recipe: Recipe) -> None:
    """Raise `ConfigError` unless each column of ``monotone_constraints`` stays one number on its way to the estimator."""
    declared = recipe.params.get("monotone_constraints")
    if declared is None:
        return
    able = {
        column
        for group in recipe.features.numeric
        if group.degree == 1 and not group.indicator and group.max_missing is None
        for column in group.columns
    }
    good = isinstance(declared, dict) and set(declared) <= able and all(s in (-1, 0, 1) for s in declared.values())
    if not good or recipe.features.select or recipe.reduced:
        raise ConfigError(
            "`monotone_constraints` can't be held",
            expected="{column: 1 or -1} of `features.numeric` columns without `degree`, `indicator` and `max_missing`, and no "
            f"`select` or `exponentiated_gradient`: {', '.join(sorted(able)) or 'there are none'}",
            found=declared,
            where=f"{recipe.model}: candidate {recipe.name}: params",
            remedy="name such columns only, or move them to a group of their own",
        )


def equivalent_candidates(model: ModelConfig) -> dict[str, str]:
    """Return the candidate that is fitted just as a baseline is, by the baseline's name, where there is one: it need not be fitted twice."""
    found: dict[str, str] = {}
    for baseline in BASELINES:
        wanted = recipe_of(model, baseline)
        for candidate in model.training.candidates:
            try:
                recipe = recipe_of(model, candidate.name)
            except ConfigError:  # said where that candidate is fitted
                continue
            # Without a search the folds only measure a fit, and do not affect it.
            if replace(recipe, name=baseline, cv=wanted.cv) == wanted:
                found.setdefault(baseline, candidate.name)
    return found


def _candidate(model: ModelConfig, name: str) -> Candidate:
    candidates = {candidate.name: candidate for candidate in model.training.candidates}
    if name in candidates:
        return candidates[name]
    raise ConfigError(
        f"there is no candidate `{name}`",
        expected=", ".join([*candidates, "trivial", "simple"]),
        where=f"{model.name}: training.candidates",
        remedy=did_you_mean(name, candidates),
    )


def _scaled(features: Features) -> Features:
    def scaled(groups: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            group.model_copy(update={"scale": "standard"}) if group.scale == "none" else group for group in groups
        )

    return features.model_copy(update={"numeric": scaled(features.numeric), "dates": scaled(features.dates)})
