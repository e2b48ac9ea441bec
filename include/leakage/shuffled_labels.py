"""Leakage check: train on shuffled labels; a model with skill has seen the labels that it predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import rankdata

from include.errors import RatchetError
from include.leakage.inputs import LeakageInputs
from include.leakage.sampling import MIN_SAMPLE, halves, sample
from include.leakage.tripwire import NO_TARGET, Tripwire
from include.training.estimators.predictions import class_probabilities, predicted_values
from include.training.training_rows import TrainingRows

MAX_SHUFFLED_ROWS = 5_000
FALSE_ALARM = 1e-5
"""How often the tripwire is tripped by chance alone, at most."""

_NAME = "shuffled_labels"
Array = np.ndarray[Any, Any]


def ask(inputs: LeakageInputs) -> Tripwire:
    """Fit the recipe of one training to shuffled labels."""
    if inputs.model.data.target is None:
        return Tripwire(_NAME, "not_asked", NO_TARGET)
    return shuffled_labels(inputs.learned.rows, inputs.refit, seed=inputs.seed)


def shuffled_labels(rows: TrainingRows, fit: Callable[[TrainingRows], Any], *, seed: int) -> Tripwire:
    """Fit the recipe to each half of a sample of training rows whose labels are shuffled, and score the other half.

    The labels of the other half are shuffled as well, so that nothing that is learned inside the fitted half can tell them.
    Skill is a rank statistic (Mann-Whitney's for each class, Spearman's for values) in its standard errors under no skill.

    Parameters
    ----------
    fit : callable
        Fits the challenger's recipe, all of it, to rows.
    """
    drawn = sample(rows, MAX_SHUFFLED_ROWS, seed)
    if rows.classes is not None and np.bincount(drawn.target, minlength=len(rows.classes)).min() < MIN_SAMPLE:
        return Tripwire(
            _NAME,
            "unknown",
            f"in {len(rows):,} training rows there are fewer than {MIN_SAMPLE} of a class",
            "A longer `data.windows.train` brings more rows of the rare class",
        )
    target = np.random.default_rng(seed).permutation(drawn.target)
    drawn = replace(drawn, target=target)
    classes = 1 if rows.classes is None else len(rows.classes)
    said = np.empty((len(drawn), classes))
    one, other = halves(drawn, seed)
    try:
        for learned, asked in ((one, other), (other, one)):
            said[asked] = _said(fit(drawn.at(learned)), drawn.at(asked), rows.classes)
    except (RatchetError, ValueError) as error:
        why = error.message if isinstance(error, RatchetError) else str(error).partition("\n")[0]
        return Tripwire(
            _NAME,
            "unknown",
            f"the recipe can't be fitted to half of {len(drawn):,} rows with shuffled labels: {why}",
            "More training rows, or fewer folds in `training.cross_fitting`, let it be asked",
        )
    asked_of = [0] if rows.classes is None else [1] if classes == 2 else list(range(classes))
    skills = [_ranked(said[:, k], target if rows.classes is None else target == k, rows.classes) for k in asked_of]
    skill, deviation = max(skills, key=lambda pair: pair[1])
    limit = NormalDist().inv_cdf(1 - FALSE_ALARM / len(skills))
    metric = "rank correlation" if rows.classes is None else "ROC AUC"
    facts = f"on {len(drawn):,} rows with shuffled labels the recipe reaches {metric} {skill:.4f}"
    if deviation > limit:
        return Tripwire(
            _NAME,
            "tripped",
            f"{facts}, {deviation:.1f} standard errors above no skill",
            "There was nothing to learn, so it must have seen the labels that it was asked for: something learns outside "
            "the rows that it is fitted to, such as a selection or encoding made before rows are divided, or an estimator "
            "that remembers rows from one fit to the next. Look at what comes into the recipe by dotted path, and at files "
            "that `features.py` reads",
        )
    return Tripwire(_NAME, "clear", f"{facts}, as no skill would ({deviation:+.1f} standard errors, limit {limit:.1f})")


def _said(model: Any, asked: TrainingRows, classes: tuple[Any, ...] | None) -> Array:
    if classes is None:
        return predicted_values(model, asked.frame)[:, None]
    return class_probabilities(model, asked.frame, len(classes))


def _ranked(said: Array, wanted: Array, classes: tuple[Any, ...] | None) -> tuple[float, float]:
    """Return the statistic, and how many standard errors it is above no skill."""
    if np.ptp(said) == 0:
        return (0.0 if classes is None else 0.5), 0.0
    ranks, count = rankdata(said), len(said)
    # A chance similarity of the two halves affects both directions at once, so two halves carry no more information than one.
    error = np.sqrt(2)
    if classes is None:
        correlation = float(np.corrcoef(ranks, rankdata(wanted))[0, 1])
        return correlation, correlation * float(np.sqrt(count - 1) / error)
    positive = int(wanted.sum())
    negative = count - positive
    auc = (float(ranks[wanted].sum()) - positive * (positive + 1) / 2) / (positive * negative)
    return auc, (auc - 0.5) / float(error * np.sqrt((count + 1) / (12 * positive * negative)))
