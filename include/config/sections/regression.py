"""Options for regression: a transformation of the target, an exposure, and prediction intervals."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from include.config.section import Section


class Target(Section):
    """The scale on which candidates learn the target; predictions and metrics are in its own unit."""

    transform: Literal["log1p", "box_cox", "yeo_johnson", "quantile"]
    """`log1p`: log(1 + target), for a target above -1. `box_cox`: a power that makes a target above zero most like a normal one, `yeo_johnson` the same for any target (scikit-learn's `PowerTransformer`). `quantile`: ranks, as those of a normal distribution (`QuantileTransformer`). The transformation is fitted to the training rows, and a prediction never leaves the range of their targets."""


class Intervals(Section):
    """A lower and an upper bound beside each prediction, by split conformal prediction."""

    coverage: float = Field(default=0.9, ge=0.5, lt=1)
    """The share of targets that should lie between the bounds; half of the others lie below, half above."""
