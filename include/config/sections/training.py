"""The `training` section: candidates, search, weights, calibration and thresholds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from include.config.durations import Duration
from include.config.free_values import FreeSettings, Marked
from include.config.names import ENSEMBLES, ESTIMATORS
from include.config.section import Section
from include.config.sections.regression import Intervals, Target
from include.errors import did_you_mean, nearest

if TYPE_CHECKING:
    from include.config.model import ModelConfig

LOG_LINKS = frozenset({"poisson", "gamma", "count:poisson", "reg:gamma", "Poisson"})
"""The losses of rates: the model's logarithm is what is learned."""


class CrossValidation(Section):
    """How training rows are split to compare candidates and settings; the holdout is not used."""

    kind: Literal["time_series", "k_fold", "stratified", "group"] = "time_series"
    """`time_series` validates on rows newer than those fitted, with a gap of the label delay."""
    folds: int = Field(default=3, ge=1, le=20)
    """Number of folds; `time_series` with 1 is a single split that validates on the newest fifth."""
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


Values = Annotated[tuple[Any, ...], Field(min_length=1), *Marked]


class Search(Section):
    """How a candidate's settings are tuned."""

    method: Literal["grid", "random", "halving", "bayesian"]
    """`halving` (successive halving) draws settings at random and tries all of them on a small share of the rows, then the best third on three times as many rows, until few settings are left for all rows."""
    trials: int = Field(default=20, ge=1)
    """How many settings to try, the declared `params` first; `grid` tries its whole space, and raises an error if that is more."""
    minutes: float | None = Field(default=None, gt=0)
    """Start no further trial after this number of minutes. The result then depends on the machine; the fit that is recorded first is kept."""
    start: tuple[FreeSettings, ...] = Field(default=(), exclude_if=lambda start: not start)
    """Settings that are tried right after the declared `params`, each replacing those that it names; they count among `trials`. Use the best ones of an earlier retraining, as `python -m include trials` prints them. Not for `grid`."""
    least_gain: float | None = Field(default=None, gt=0, exclude_if=lambda gain: gain is None)
    """Stop the search when the remaining trials are expected to gain less than this, in the unit of the metric; for example the gain that the gate's rows can detect, which the card shows. For `random` and `bayesian`."""
    space: dict[str, Range | Values] | None = None
    """Settings to try: a list of values, or `{low, high}` with `log: true` or `integer: true`; the estimator's own space if left out. `grid` takes both ends and the middle of a range."""
    cv: CrossValidation | None = None
    """As `training.cv` if left out."""

    @model_validator(mode="after")
    def _of_this_method(self) -> Search:
        if self.start and self.method == "grid":
            raise ValueError(
                "expected `start` with `random`, `halving` or `bayesian`: a grid tries all of its settings"
            )
        if self.least_gain is not None and self.method not in ("random", "bayesian"):
            raise ValueError("expected `least_gain` with `random` or `bayesian`, whose trials are as good in any order")
        if len(self.start) >= self.trials:
            raise ValueError(f"expected more `trials` than the {len(self.start)} of `start` and the declared settings")
        return self


class Mitigation(Section):
    """An unfairness mitigation for a candidate; declare the same candidate without it to compare."""

    method: Literal["reweighing", "exponentiated_gradient", "group_thresholds"]
    """`reweighing`: weights that make group and class independent (Kamiran and Calders). `exponentiated_gradient`: a mixture of models, each fitted to rows weighed by Fairlearn's reduction. `group_thresholds`: Fairlearn's threshold optimiser on out-of-fold scores; it reads the group when it predicts."""
    column: str
    """The column that names each row's group; it need not be among the features. A missing value is a group of its own."""
    constraint: Literal[
        "demographic_parity", "equalized_odds", "true_positive_rate_parity", "false_positive_rate_parity"
    ] = "demographic_parity"
    """The constraint: what should be equal across groups, for the two methods of Fairlearn."""
    tolerance: float = Field(default=0.01, gt=0, lt=1)
    """How much inequality is left, for `exponentiated_gradient`."""
    rounds: int = Field(default=50, ge=1)
    """The most models to fit, for `exponentiated_gradient`."""


class Candidate(Section):
    """One recipe that competes to be the challenger."""

    estimator: str
    """A short name, such as `logistic_regression`; `voting` or `stacking` of other candidates; or the dotted path of a class that works like scikit-learn's, if the deployment permits its type (`RATCHET_PERMITTED_TYPES`)."""
    name: str = Field(default="", pattern=r"^[a-z0-9_]*$")
    """Its name in tables and graphs; the estimator's name if left out."""
    params: FreeSettings = Field(default_factory=dict)
    """Settings of the estimator, by scikit-learn's names."""
    search: Search | None = None
    early_stopping: bool = False
    """Early stopping: stop adding rounds when the score on a random tenth of the training rows no longer improves; for hist_gradient_boosting, lightgbm, xgboost, catboost, mlp, keras_mlp and sgd."""
    members: tuple[str, ...] | None = Field(default=None, min_length=2)
    """For `voting` and `stacking`: the names of the candidates to join; all of them if neither this nor `best` is given."""
    best: int | None = Field(default=None, ge=2)
    """For `voting` and `stacking`: the number of candidates to join, the best by cross-validation."""
    calibration: Literal["none", "sigmoid", "isotonic"] = "none"
    """Calibrate probabilities, fitted to out-of-fold scores (`training.cross_fitting`)."""
    fairness: Mitigation | None = None

    @model_validator(mode="after")
    def _known(self) -> Candidate:
        if self.estimator in ENSEMBLES:
            return self._joined()
        if self.best is not None or self.members is not None:
            raise ValueError(f"expected `best` and `members` with {' or '.join(ENSEMBLES)} only")
        if "." in self.estimator:
            if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", self.estimator):
                raise ValueError(f"expected a dotted path such as `package.module.Class`, found `{self.estimator}`")
            if self.early_stopping:
                raise ValueError("expected the settings of a class named by its path in `params`")
            return self
        facts = ESTIMATORS.get(self.estimator)
        if facts is None:
            hint = did_you_mean(self.estimator, [*ESTIMATORS, *ENSEMBLES], f"expected one of {', '.join(ESTIMATORS)}")
            raise ValueError(f"`{self.estimator}` is not an estimator; {hint}")
        if self.early_stopping and not facts.early_stopping:
            able = ", ".join(name for name, other in ESTIMATORS.items() if other.early_stopping)
            raise ValueError(f"`{self.estimator}` can't stop early; expected one of {able}")
        return self

    def _joined(self) -> Candidate:
        if self.params or self.search or self.early_stopping:
            raise ValueError(f"`{self.estimator}` has no settings of its own: give them to the candidates it joins")
        if self.fairness is not None and self.fairness.method != "group_thresholds":
            raise ValueError(f"give `{self.fairness.method}` to the candidates that `{self.estimator}` joins")
        if self.best is not None and self.members is not None:
            raise ValueError("expected `best` or `members`, found both")
        return self


class Imbalance(Section):
    """How imbalanced classes are treated. Scores are then probabilities under the new class shares, unless `calibration` corrects this."""

    method: Literal["none", "class_weight", "random_over", "random_under", "smote"]
    """`class_weight`: all classes have the same total weight. `random_over` repeats rows of smaller classes, `random_under` leaves out rows of larger ones, `smote` makes rows between neighbours of a smaller class; always within the fitted rows only."""
    ratio: float | None = Field(default=None, gt=0, le=1)
    """Rows of the smaller class for each of the larger after resampling, for two classes; equal sizes if left out."""
    neighbors: int = Field(default=5, ge=1)
    """For `smote`: how many neighbours it chooses among."""

    @model_validator(mode="after")
    def _ratio_of_rows(self) -> Imbalance:
        if self.ratio is not None and self.method in ("none", "class_weight"):
            raise ValueError("expected `ratio` together with a method that resamples")
        return self


ImbalanceName = Literal["none", "class_weight", "random_over", "random_under", "smote"]


def _by_method(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class RowWeights(Section):
    """Sample weights; with both fields, their product."""

    column: str | None = None
    """A column of weights: numbers of at least zero, none missing."""
    half_life: Duration | None = None
    """The age at which a row has half of the weight of the newest fitted row."""

    @model_validator(mode="after")
    def _something(self) -> RowWeights:
        if self.column is None and not self.half_life:
            raise ValueError("expected `column`, a `half_life` above zero, or both")
        return self


class Cost(Section):
    """The cost of each outcome, in any unit; a gain is below zero."""

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0


class Threshold(Section):
    """The decision threshold, chosen on out-of-fold scores."""

    objective: Literal["f1", "accuracy", "balanced_accuracy", "cost"] | None = None
    """The metric to maximise; with `cost`, the cost of `evaluation.cost` is minimised."""
    cost: Cost | None = None
    """The costs to minimise."""

    @model_validator(mode="after")
    def _one(self) -> Threshold:
        if (self.objective is None) == (self.cost is None):
            raise ValueError("expected either `objective` or `cost`")
        return self


class Training(Section):
    """Which candidates are fitted, and how they are compared."""

    candidates: tuple[Candidate, ...] = Field(min_length=1)
    cv: CrossValidation = CrossValidation()
    """How candidates are compared inside the training window; the best is the challenger."""
    cross_fitting: CrossValidation | None = None
    """How fitted rows are split again for out-of-fold scores, which calibration, threshold and stacking need; as `cv` if left out."""
    imbalance: Annotated[Imbalance, BeforeValidator(_by_method, json_schema_input_type=Imbalance | ImbalanceName)] = (
        Imbalance(method="none")
    )
    """A method by name, or with its settings."""
    weights: RowWeights | None = None
    threshold: Threshold | None = None
    """0.5 if left out."""
    target: Target | None = Field(default=None, exclude_if=lambda section: section is None)
    """For regression: the scale on which the target is learned."""
    exposure: str | None = Field(default=None, exclude_if=lambda column: column is None)
    """For regression of counts and amounts: the column of each row's exposure, such as insured years. The model learns the target per unit and predicts that times the exposure. Every candidate must be `poisson` or `gamma`, or have such a `loss` or `objective`, or join candidates that do."""
    intervals: Intervals | None = Field(default=None, exclude_if=lambda section: section is None)
    """For regression: a prediction interval for each prediction, from out-of-fold errors (`cross_fitting`)."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """The random seed."""
    engine: Literal["dask"] | None = Field(default=None, exclude_if=lambda engine: engine is None)
    """`dask`: training rows stay in their partitions, which the workers of a Dask cluster (`RATCHET_DASK`) read from the store, for windows beyond one machine's memory; candidates `lightgbm`, `logistic_regression` of two classes and `ridge`. In the task's own memory if left out."""

    @property
    def for_classes_only(self) -> list[str]:
        """What is declared that has a meaning for classification only."""
        divisions = [self.cv, self.cross_fitting, *(c.search.cv for c in self.candidates if c.search)]
        declared = {
            "imbalance": self.imbalance.method != "none",
            "threshold": self.threshold is not None,
            "calibration": any(candidate.calibration != "none" for candidate in self.candidates),
            "fairness": any(candidate.fairness is not None for candidate in self.candidates),
            "kind: stratified": any(cv is not None and cv.kind == "stratified" for cv in divisions),
        }
        return [name for name, found in declared.items() if found]

    @property
    def for_values_only(self) -> list[str]:
        """What is declared that has a meaning for regression only."""
        declared = {"target": self.target, "exposure": self.exposure, "intervals": self.intervals}
        return [name for name, found in declared.items() if found is not None]

    @property
    def columns(self) -> set[str]:
        """The columns that weigh rows, name their groups or tell their exposure."""
        named = {c.fairness.column for c in self.candidates if c.fairness}
        weights = self.weights.column if self.weights else None
        return named | {column for column in (weights, self.exposure) if column is not None}

    @field_validator("candidates")
    @classmethod
    def _named_once(cls, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        named = tuple(c if c.name else c.model_copy(update={"name": _short(c.estimator)}) for c in candidates)
        names = [c.name for c in named]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected different names, found twice: {', '.join(twice)}; give each its `name`")
        if taken := sorted({"trivial", "simple", "baselines"} & set(names)):
            raise ValueError(f"`{taken[0]}` is what Ratchet calls a baseline; choose another name")
        single = [c.name for c in named if c.estimator not in ENSEMBLES]
        for joined in (c for c in named if c.estimator in ENSEMBLES):
            if unknown := [member for member in joined.members or () if member not in single]:
                close = nearest(unknown[0], single)
                hint = f"; did you mean `{close}`?" if close else f" (found: {', '.join(single)})"
                raise ValueError(
                    f"`{joined.name}` joins `{unknown[0]}`, which is not a candidate that can be joined{hint}"
                )
            if len(single) < (joined.best or 2):
                raise ValueError(f"`{joined.name}` joins {joined.best or 2} candidates, found {len(single)}")
        return named

    @model_validator(mode="after")
    def _on_one_scale(self) -> Training:
        if self.target is None and self.exposure is None:
            return self
        if self.target is not None and self.exposure is not None:
            raise ValueError(
                "expected `target` or `exposure`, not both: with `exposure`, the logarithm of the rate is learned"
            )
        for candidate in self.candidates:
            if candidate.estimator not in ENSEMBLES and _has_log_link(candidate) != (self.exposure is not None):
                raise ValueError(
                    f"`exposure` needs candidates such as `poisson` and `gamma`: `{candidate.name}` does not learn a logarithm"
                    if self.exposure is not None
                    else f"`{candidate.name}` learns the logarithm of the target by itself: remove it, or `target`"
                )
        return self

    @model_validator(mode="after")
    def _weights_where_they_count(self) -> Training:
        for candidate in self.candidates:
            method = candidate.fairness.method if candidate.fairness else None
            weighed = self.weights is not None or method in ("reweighing", "exponentiated_gradient")
            facts = ESTIMATORS.get(candidate.estimator)
            if facts is not None and not facts.weights and (weighed or self.imbalance.method == "class_weight"):
                raise ValueError(
                    f"`{candidate.estimator}` can't weigh rows: remove it, or `class_weight`, `weights` or `fairness`"
                )
            if method == "exponentiated_gradient" and (self.weights or self.imbalance.method != "none"):
                raise ValueError("`exponentiated_gradient` weighs rows itself: remove `weights` and `imbalance`")
            if self.imbalance.method == "smote" and weighed:
                raise ValueError(
                    "rows made by SMOTE have no weight: remove `weights` and `fairness`, or resample by `random_over`"
                )
            if method == "group_thresholds" and self.threshold is not None:
                raise ValueError("`group_thresholds` chooses thresholds itself: remove `threshold`")
        return self


IN_PARTS = {"lightgbm": "classification and regression", "logistic_regression": "two classes", "ridge": "regression"}
"""What `engine: dask` can fit, and to which targets."""
_IN_PARTS_PARAMS = {"logistic_regression": {"C", "tol", "max_iter"}, "ridge": {"alpha"}}
"""The settings of linear models that a fit from sums over partitions follows; iterations end where it has converged."""


def check_engine(model: ModelConfig) -> None:
    """Check that everything declared works with rows in partitions; raises `ValueError`."""
    training, features = model.training, model.features
    if training.engine is None:
        return
    for candidate in training.candidates:
        if candidate.estimator not in IN_PARTS:
            able = ", ".join(f"{name} ({of})" for name, of in IN_PARTS.items())
            raise ValueError(f"`training.engine: dask` can't fit `{candidate.estimator}`: expected one of {able}")
        settings = {*candidate.params, *((candidate.search.space or {}) if candidate.search else {})}
        allowed = _IN_PARTS_PARAMS.get(candidate.estimator, settings - {"monotone_constraints"})
        if other := sorted(settings - allowed):
            raise ValueError(
                f"`training.engine: dask` can't follow `{other[0]}` of `{candidate.name}`: "
                f"expected {', '.join(sorted(allowed)) or 'other settings'}"
            )
    groups = (*features.numeric, *features.categorical)
    dropped = any(getattr(one, "impute", "") == "drop_row" for one in groups) or any(
        one.outliers is not None and one.outliers.action == "drop_row" for one in features.numeric
    )
    kinds = [one.search.cv for one in training.candidates if one.search]
    found = {
        "task: clustering": model.task == "clustering",
        "segments": model.segments is not None,
        "data.pool_levels": model.data.pool_levels is not None,
        "features.text": bool(features.text),
        "features.select": bool(features.select),
        "features: skew: power": any(one.skew == "power" for one in features.numeric),
        "features: encode: target": any(one.encode == "target" for one in features.categorical),
        "features: drop_row": dropped,
        "training: early_stopping": any(one.early_stopping for one in training.candidates),
        "training: fairness": any(one.fairness is not None for one in training.candidates),
        "training.imbalance, but for class_weight": training.imbalance.method not in ("none", "class_weight"),
        "training.target": training.target is not None,
        "training.exposure": training.exposure is not None,
        "training: group": any(cv is not None and cv.group for cv in (training.cv, training.cross_fitting, *kinds)),
        "evaluation.learning_curve": bool(model.evaluation.learning_curve),
        "evaluation.behaviour": bool(model.evaluation.behaviour),
        "evaluation.cost": model.evaluation.cost is not None,
        "gate.canary": model.gate.canary is not None,
    }
    if declared := [name for name, there in found.items() if there]:
        raise ValueError(f"`training.engine: dask` does not go with `{declared[0]}`: remove one of the two")


def _has_log_link(candidate: Candidate) -> bool:
    declared = [candidate.params.get("loss"), candidate.params.get("objective")]
    searched = (candidate.search.space if candidate.search else None) or {}
    fixed = not {"loss", "objective"} & set(searched)
    return candidate.estimator in ("poisson", "gamma") or (fixed and bool(LOG_LINKS & {str(one) for one in declared}))


def _short(estimator: str) -> str:
    return estimator.rpartition(".")[2].lower()
