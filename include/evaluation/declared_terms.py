"""What metrics take from the declaration: the quantile of the pinball loss, costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from include.config.code import code_digest
from include.config.model import ModelConfig
from include.evaluation.business_cost import costs_of
from include.evaluation.comparison import Scored
from include.training.many_classes import pinball


def with_declared_terms(
    model: ModelConfig,
    folder: Path,
    frame: pd.DataFrame,
    target: NDArray[Any],
    scored: Scored,
    classes: tuple[Any, ...] | None,
) -> Scored:
    """Return a model's answers for rows with the terms of metrics that say more than target and score."""
    terms = {}
    if "pinball" in model.metrics:
        terms["pinball"] = pinball(target, scored.score, model.evaluation.quantile)
    if model.evaluation.cost is not None:
        said = scored.score if scored.said is None else scored.said
        terms["cost"] = costs_of(model.evaluation.cost, folder, frame, target, said, classes)
    return replace(scored, terms=terms, slice_terms=terms) if terms else scored


def code_of_costs(model: ModelConfig, folder: Path) -> str | None:
    """Return the digest of the code behind a cost function: with other code, other costs."""
    cost = model.evaluation.cost
    return None if cost is None or cost.function is None else code_digest(folder, cost.function.partition(":")[0])
