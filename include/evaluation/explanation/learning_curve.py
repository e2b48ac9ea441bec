"""Learning curve: the challenger's recipe fitted to fewer rows, to estimate whether more rows would help."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from include.errors import RatchetError
from include.evaluation.compared_models import score_rows
from include.evaluation.explanation.results import LearningPoint
from include.evaluation.gains import Measured
from include.evaluation.metrics.metric_values import values_on
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import Resampling
from include.evaluation.uncertainty.intervals import interval_of
from include.training.fit_inputs import FitInputs
from include.training.fit_pipeline import fit_model, fit_with_threshold
from include.training.metrics.costs import RowCosts
from include.training.metrics.definitions import sign
from include.training.metrics.multiclass import classes_in, definition, pinball
from include.training.metrics.scoring import LABEL_METRICS

log = logging.getLogger(__name__)

Array = NDArray[Any]


def learning_curve(
    shares: Sequence[float],
    learned: FitInputs,
    frame: pd.DataFrame,
    target: Array,
    scored: Scored,
    metric: str,
    resampling: Resampling,
    *,
    costs: RowCosts | None = None,
    seed: int,
    threads: int,
) -> tuple[LearningPoint, ...]:
    """Fit the challenger's recipe, with the settings that it has, to shares of its training rows.

    The rows are drawn at random, each share a part of the next larger one: the newest rows alone would differ from all of
    them in age as well as in number, and the curve would not tell which of the two made the difference.

    Parameters
    ----------
    frame : DataFrame
        The holdout's rows, which every fit is measured on.
    target : array of shape (n_rows,)
    scored : Scored
        The challenger's answers for them: the last point.
    metric : str
        The primary metric.
    costs : RowCosts, optional
        What the holdout's rows cost, for the metric `cost`.
    """
    rows, recipe, fit = learned.rows, learned.recipe, learned.fit
    every = np.arange(len(target))

    def values(answers: Scored) -> Array:
        return values_on(target, {"challenger": answers}, (metric,), every, resampling)["challenger", metric]

    def measured(drawn: Array) -> Measured:
        return interval_of(drawn, definition(metric, classes_in(scored.score)).undefined, resampling.present())

    whole, order = values(scored), np.random.default_rng(seed).permutation(len(rows))
    points = []
    for share in shares:
        part = rows.at(np.sort(order[: max(1, round(share * len(rows)))]))
        try:
            if rows.classes is not None and len(np.unique(part.target)) < len(rows.classes):
                raise RatchetError("a class has no row among them")
            with threadpool_limits(limits={"openmp": threads, "blas": 1}):
                if metric in LABEL_METRICS and recipe.threshold is not None:
                    pipeline, threshold = fit_with_threshold(recipe, fit.params, part, threads=threads)
                else:
                    pipeline, threshold = fit_model(recipe, fit.params, part, threads=threads), fit.threshold
            answers = score_rows(pipeline, replace(fit, threshold=threshold), frame)
            if metric == "pinball":
                answers = replace(answers, slice_terms={metric: pinball(target, answers.score, recipe.quantile)})
            if metric == "cost" and costs is not None:
                priced = costs.of(answers.score, answers.threshold)
                answers = replace(answers, terms={metric: priced}, slice_terms={metric: priced})
            own = values(answers)
        except RatchetError as error:
            points.append(LearningPoint(share, len(part), Measured(None, None, None, error.message), None))
            continue
        gain = measured(sign(metric) * (whole - own))
        points.append(LearningPoint(share, len(part), measured(own), gain))
        log.info("Fitted to %s rows, %s is %s", f"{len(part):,}", metric, points[-1].score.value)
    return (*points, LearningPoint(1.0, len(rows), measured(whole), None))
