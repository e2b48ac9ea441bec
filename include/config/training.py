"""How rows become a fitted model: preparation, candidates, search."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from include.config.names import ESTIMATORS
from include.config.section import Section
from include.errors import nearest


class Outliers(Section):
    """What counts as an outlier, by bounds learned on training rows, and what becomes of it."""

    method: Literal["iqr", "z_score"]
    """`iqr`: beyond `factor` interquartile ranges from the quartiles. `z_score`: beyond `factor` standard deviations from the mean."""
    action: Literal["clip", "mark_missing"] = "clip"
    """`clip` to the bound, or `mark_missing` and impute."""
    factor: float | None = Field(default=None, gt=0)
    """How far is too far; 1.5 for `iqr` and 3 for `z_score` if left out."""


class Numeric(Section):
    """Columns that hold quantities."""

    columns: tuple[str, ...] = Field(min_length=1)
    impute: Literal["mean", "median", "mode", "constant", "none"] = "median"
    """What stands in for a missing value; `none` leaves it to an estimator that can, others get `median`. Infinite counts as missing."""
    fill_value: float = 0.0
    """The value for `impute: constant`."""
    indicator: bool = False
    """Add a column that says where a value was missing."""
    outliers: Outliers | None = None
    scale: Literal["standard", "min_max", "robust", "none"] = "none"

    @model_validator(mode="after")
    def _indicator_needs_impute(self) -> Numeric:
        if self.indicator and self.impute == "none":
            raise ValueError("expected `indicator: true` together with an `impute` that fills the gaps, found `none`")
        return self


class Categorical(Section):
    """Columns that hold one of several levels."""

    columns: tuple[str, ...] = Field(min_length=1)
    impute: Literal["mode", "constant", "none"] = "constant"
    """What stands in for a missing level; `constant` makes missing a level of its own."""
    encode: Literal["one_hot", "ordinal", "native"] = "one_hot"
    """Levels unknown at training become all zeros (`one_hot`), -1 (`ordinal`) or missing (`native`). `native` is for hist_gradient_boosting, which splits by sets of levels; other estimators get `one_hot`."""
    min_frequency: float | None = Field(default=None, gt=0, lt=1)
    """Levels rarer than this share of the training rows are grouped into one."""


class Features(Section):
    """What a model sees of a row."""

    derive: str | None = Field(default=None, pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")
    """`module:function` in the model's folder: takes a pandas frame, returns it with more columns, row by row."""
    numeric: Numeric | None = None
    categorical: Categorical | None = None

    @model_validator(mode="after")
    def _something_to_see(self) -> Features:
        if self.numeric is None and self.categorical is None:
            raise ValueError("expected `numeric`, `categorical` or both")
        both = set(self.numeric.columns if self.numeric else ()) & set(
            self.categorical.columns if self.categorical else ()
        )
        if both:
            raise ValueError(f"expected each column once, found in numeric and categorical: {', '.join(sorted(both))}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a model is fitted on, numeric first."""
        return (self.numeric.columns if self.numeric else ()) + (self.categorical.columns if self.categorical else ())


class CrossValidation(Section):
    """How training rows are divided to compare candidates and settings; the holdout takes no part."""

    kind: Literal["time_series", "k_fold", "stratified", "group"] = "time_series"
    """`time_series` validates on rows newer than those fitted, with a gap of the label delay."""
    folds: int = Field(default=3, ge=1, le=20)
    """Number of divisions; `time_series` with 1 is a single split, the newest fifth validating."""
    group: str | None = None
    """For `group`: the column whose rows stay together."""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> CrossValidation:
        if (self.kind == "group") != (self.group is not None):
            raise ValueError("expected `group: <column>` with `kind: group`, and only there")
        if self.kind != "time_series" and self.folds < 2:
            raise ValueError(f"expected at least 2 folds for `{self.kind}`")
        return self


class Range(Section):
    """The values of a setting between two bounds."""

    low: float
    high: float
    log: bool = False
    """Spread trials evenly over orders of magnitude."""
    integer: bool = False
    """Whole numbers only."""

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"expected `low` below `high`, found {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected `low` above zero with `log: true`, found {self.low}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("expected whole numbers as bounds with `integer: true`")
        return self


Values = Annotated[tuple[Any, ...], Field(min_length=1)]


class Search(Section):
    """How a candidate's settings are tuned."""

    method: Literal["grid", "random", "bayesian"]
    trials: int = Field(default=20, ge=1)
    """How many settings to try, the declared `params` first; `grid` tries all of its space and answers with an error if that is more."""
    space: dict[str, Range | Values] | None = None
    """Settings to try: a list of values, or `{low, high}` with `log: true` or `integer: true`; the estimator's own space if left out. `grid` takes both ends and the middle of a range."""
    cv: CrossValidation | None = None
    """As `training.cv` if left out."""


class Candidate(Section):
    """One recipe that competes to be the challenger."""

    estimator: str
    """A short name, such as `logistic_regression` or `hist_gradient_boosting`."""
    name: str = Field(default="", pattern=r"^[a-z0-9_]*$")
    """What it is called in tables and graphs; the estimator's name if left out."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Settings of the estimator, by scikit-learn's names."""
    search: Search | None = None
    early_stopping: bool = False
    """Stop adding rounds when a tenth of the training rows, drawn at random, no longer gains; for hist_gradient_boosting and mlp."""

    @model_validator(mode="after")
    def _known(self) -> Candidate:
        facts = ESTIMATORS.get(self.estimator)
        if facts is None:
            close = nearest(self.estimator, ESTIMATORS)
            hint = f"did you mean `{close}`?" if close else f"expected one of {', '.join(ESTIMATORS)}"
            raise ValueError(f"`{self.estimator}` is no estimator; {hint}")
        if self.early_stopping and not facts.early_stopping:
            able = ", ".join(name for name, other in ESTIMATORS.items() if other.early_stopping)
            raise ValueError(f"`{self.estimator}` can't stop early; expected one of {able}")
        return self


class Training(Section):
    """Which candidates are fitted, and how they are compared."""

    candidates: tuple[Candidate, ...] = Field(min_length=1)
    cv: CrossValidation = CrossValidation()
    """How candidates are compared inside the training window; the best is the challenger."""
    imbalance: Literal["none", "class_weight"] = "none"
    """What is done when classes differ in size."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Where all chance starts from."""

    @field_validator("candidates")
    @classmethod
    def _named_once(cls, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        named = tuple(c if c.name else c.model_copy(update={"name": c.estimator}) for c in candidates)
        names = [c.name for c in named]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected different names, found twice: {', '.join(twice)}; give each its `name`")
        if taken := sorted({"trivial", "simple", "baselines"} & set(names)):
            raise ValueError(f"`{taken[0]}` is what Ratchet calls a baseline; choose another name")
        return named

    @model_validator(mode="after")
    def _weights_where_they_count(self) -> Training:
        deaf = [c.estimator for c in self.candidates if not ESTIMATORS[c.estimator].weights]
        if self.imbalance == "class_weight" and deaf:
            raise ValueError(f"`{deaf[0]}` can't weigh rows; remove it, or set `imbalance: none`")
        return self
