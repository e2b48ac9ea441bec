"""Parameters of metrics from the declaration: the quantile of the pinball loss, costs, prediction intervals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.code import code_files
from include.config.model import ModelConfig
from include.evaluation.metrics.business_cost import costs_of
from include.evaluation.scored_rows import Scored
from include.storage.store import ObjectStore
from include.training.metrics.multiclass import pinball
from include.training.provenance import code_on_record, keep_code


def with_declared_terms(
    model: ModelConfig,
    folder: Path,
    frame: pd.DataFrame,
    target: NDArray[Any],
    scored: Scored,
    classes: tuple[Any, ...] | None,
) -> Scored:
    """Return a model's predictions with the terms of metrics that need more than target and score.

    Parameters
    ----------
    folder : Path
        Folder with the code of a cost function.
    frame : pd.DataFrame
        The rows' columns, as a cost function sees them.
    target : array of shape (n_rows,)
    scored : Scored
        The model's answers for the same rows.
    classes : tuple or None
        The target's classes in order; None when the task has none.
    """
    terms = {}
    if "pinball" in model.metrics:
        terms["pinball"] = pinball(target, scored.score, model.evaluation.quantile)
    if "interval_coverage" in model.metrics:
        terms["covered"] = covered(target, scored)
    if model.evaluation.cost is not None:
        said = scored.score if scored.said is None else scored.said
        terms["cost"] = costs_of(model.evaluation.cost, folder, frame, target, said, classes)
    return replace(scored, terms=terms, slice_terms=terms) if terms else scored


def covered(target: NDArray[Any], scored: Scored) -> NDArray[Any]:
    """Return 1 for each row whose target lies between the bounds of its prediction, else 0; NaN without bounds."""
    if scored.interval is None:
        return np.full(len(target), np.nan)
    lower, upper = scored.interval
    return np.asarray((target >= scored.score + lower) & (target <= scored.score + upper), dtype=float)


def keep_code_of_costs(store: ObjectStore, model: ModelConfig, folder: Path) -> str | None:
    """Keep the code behind a cost function as it is today, and return its digest: with other code, other costs. None without a function."""
    function = _function(model)
    return None if function is None else keep_code(store, model.name, code_files(folder, function.partition(":")[0]))


@contextmanager
def code_of_costs(store: ObjectStore, model: ModelConfig, folder: Path, digest: str | None) -> Iterator[Path]:
    """Yield a folder with the code that `keep_code_of_costs` kept; raises `ObjectMissing`, `ObjectCorrupt`.

    Parameters
    ----------
    folder : Path
        The model's folder as it is now; used when the cost is no function or nothing was kept.
    digest : str or None
        Digest under which the code was kept.
    """
    function = _function(model)
    if function is None or digest is None:
        yield folder
        return
    with code_on_record(store, model.name, digest, (function,), folder) as code:
        yield code


def _function(model: ModelConfig) -> str | None:
    return None if model.evaluation.cost is None else model.evaluation.cost.function
