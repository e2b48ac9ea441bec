"""The `evaluation` and `gate` sections: how a challenger is measured, and by which rules it is promoted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from include.config.durations import Duration
from include.config.section import Section
from include.config.sections.behaviour import Behaviour
from include.config.sections.slices import SliceOrColumn
from include.config.sections.watch import Rate

if TYPE_CHECKING:
    from include.config.model import ModelConfig

LEAST_BLOCKS = 10
"""The smallest number of blocks of time for an interval."""


class BusinessCost(Section):
    """The cost of predictions, in any unit; a gain is below zero. The metric `cost` is the mean over rows."""

    matrix: dict[str, dict[str, float]] | None = None
    """For classes: the cost of a row by its actual class, and then by its predicted class; a pair that is left out costs nothing."""
    function: str | None = Field(default=None, pattern=r"^[A-Za-z_]\w*:[A-Za-z_]\w*$")
    """`module:function` in the model's folder; called as `function(rows, actual, predicted)`, it returns a cost for each row, which depends on that row alone."""
    columns: tuple[str, ...] = ()
    """The columns of `rows` that the function reads."""

    @field_validator("matrix", mode="before")
    @classmethod
    def _named(cls, matrix: Any) -> Any:
        if not isinstance(matrix, dict):
            return matrix
        return {
            str(a): {str(b): c for b, c in row.items()} if isinstance(row, dict) else row for a, row in matrix.items()
        }

    @model_validator(mode="after")
    def _one(self) -> BusinessCost:
        if (self.matrix is None) == (self.function is None):
            raise ValueError("expected either `matrix` or `function`")
        if self.matrix is not None and self.columns:
            raise ValueError("expected `columns` with `function` only")
        return self


class Evaluation(Section):
    """What is measured on the holdout."""

    metrics: tuple[str, ...] = ()
    """Metrics by their short names; those that the gate names are measured as well."""
    slices: tuple[SliceOrColumn, ...] = ()
    """Parts of the rows that are measured separately: columns by name, or numbers in bins, or crossings; see Slice."""
    fairness: tuple[str, ...] = ()
    """Slices, by name, whose levels are groups that should be treated alike; those that `gate.fairness` names are measured as well."""
    quantile: float = Field(default=0.5, gt=0, lt=1)
    """For the metric `pinball`: the share of targets that should lie below the prediction."""
    cost: BusinessCost | None = None
    """For the metric `cost`, which may be the primary one, and for `training.threshold: {objective: cost}`."""
    resamples: int = Field(default=1000, ge=200, le=20000)
    """Bootstrap resamples behind every interval."""
    cluster: str | None = None
    """A column whose rows are not independent of each other and are resampled together, such as a customer."""
    block: Duration | None = None
    """A length of event time, such as `1d`, whose rows are not independent of each other and are resampled together; the holdout must have at least ten such blocks."""
    learning_curve: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Shares of the training rows, ascending, such as `[0.25, 0.5]`: the challenger's recipe is fitted to each of them again, with the same settings, and measured on the holdout. Each takes about that share of the time of a fit."""
    behaviour: tuple[Behaviour, ...] = ()
    """Behaviour that a model must have regardless of its metrics: columns that must not matter (see Invariance), numbers that must move the prediction in one direction (Direction), rows that it must predict correctly (Case). A challenger that fails one of them is rejected."""
    trusted: tuple[str, ...] = ()
    """Columns of `features` that may predict the target almost perfectly by themselves, because they are known at prediction time: the tripwire `single_column` ignores them."""

    @property
    def slice_names(self) -> tuple[str, ...]:
        """What the slices are called."""
        return tuple(one.called for one in self.slices)

    @model_validator(mode="after")
    def _sliced_once(self) -> Evaluation:
        if twice := sorted({name for name in self.slice_names if self.slice_names.count(name) > 1}):
            raise ValueError(f"expected different slices, found twice: {', '.join(twice)}; give each its `name`")
        return self

    @model_validator(mode="after")
    def _more_and_more(self) -> Evaluation:
        if any(low >= high for low, high in pairwise(self.learning_curve)):
            raise ValueError("expected `learning_curve` in ascending order")
        return self

    @model_validator(mode="after")
    def _behaviours_told_apart(self) -> Evaluation:
        names = [check.name for check in self.behaviour]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected `behaviour` with different names, found twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> Evaluation:
        if self.block is not None and self.cluster is not None:
            raise ValueError(
                "expected `cluster` or `block`, not both: one of them says which rows are resampled together"
            )
        if self.block is not None and not self.block:
            raise ValueError("expected a `block` longer than nothing")
        return self


class Primary(Section):
    """The rule that a challenger must meet against the incumbent."""

    metric: str
    rule: Literal["better", "not_worse"] = "better"
    """`better`: the lower bound of the gain is above zero. `not_worse`: it is above minus `margin`."""
    margin: float | None = Field(default=None, gt=0)
    """For `not_worse`: the largest loss that does not matter."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """One-sided confidence of the bound."""

    @model_validator(mode="after")
    def _margin_where_it_counts(self) -> Primary:
        if (self.rule == "not_worse") != (self.margin is not None):
            raise ValueError("expected `margin` with `rule: not_worse`, and only there")
        return self


class Require(Section):
    """A level that a metric must reach, regardless of the incumbent."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Require:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("expected `at_least` or `at_most`")
        return self


class Guard(Section):
    """A loss against the incumbent that is not accepted, overall or in any level of a slice."""

    metric: str
    max_loss: Annotated[float, Field(ge=0)] | Annotated[str, StringConstraints(pattern=r"^\d{1,2}(\.\d+)?%$")]
    """The largest accepted loss: in the metric's own unit, or such as `2%` of the incumbent's value on the same rows."""
    slice: str | None = None
    """A column of `evaluation.slices`: the guard then holds for each of its levels."""
    min_support: int = Field(default=100, ge=1)
    """Levels with fewer holdout rows are reported as unverified, as are those whose rows can't show a loss of this size."""
    required: bool = False
    """Whether an unverified level blocks promotion."""

    @property
    def share(self) -> float | None:
        """The share of the incumbent's value that may be lost; None of a loss in the metric's own unit."""
        return float(self.max_loss.rstrip("%")) / 100 if isinstance(self.max_loss, str) else None


class FairnessRule(Section):
    """How equally groups must be treated, regardless of the incumbent. A group without rows of a class has no rate; the gate then does not promote."""

    groups: str
    """A slice of `evaluation.slices`; its levels are the groups."""
    measure: Literal[
        "demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference", "group_minimum"
    ]
    """As Fairlearn defines them for two classes: the difference between the largest and the smallest share of positive predictions, their ratio, or the larger of the differences in true and in false positive rate. `group_minimum`: `metric` in the group where it is worst."""
    metric: str | None = None
    """For `group_minimum`."""
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> FairnessRule:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("expected `at_least` or `at_most`")
        if (self.measure == "group_minimum") != (self.metric is not None):
            raise ValueError("expected `metric` with `measure: group_minimum`, and only there")
        return self


class Churn(Section):
    """How many predictions may change when the challenger replaces the incumbent."""

    at_most: float = Field(ge=0)
    """Classification: share of rows whose label changes. Regression: mean absolute change, as a share of the target's standard deviation."""


class ModelSize(Section):
    """How large the challenger's model file may be, regardless of its metrics; also for a first version."""

    at_most: int = Field(gt=0)
    """Bytes of the model file, which is what a server reads and keeps in memory."""


class Overfitting(Section):
    """How much better a challenger may be on its training rows than on the holdout."""

    metric: str | None = None
    """The primary metric if left out."""
    max_gap: float = Field(ge=0)
    """The largest accepted gap, in the metric's own unit; positive is better on training rows, for every metric."""


class Unlabelled(Section):
    """How many rows of the holdout's window may have no label. They are left out of every measurement: if labels are not missing at random, the remaining rows are not representative."""

    at_most: float = Field(ge=0, lt=1)
    """The largest share of rows without a label, of all rows and of each level of `evaluation.slices`; above it the gate holds."""
    min_support: int = Field(default=100, ge=1)
    """Levels with fewer rows, labelled or not, are not checked."""


class Canary(Section):
    """What a challenger must show on requests before it is promoted: a canary release. The gate holds a version that has not answered enough of them; `serving.challenger` then gives it a share of the entities, and `reconsider_<model>` decides by the labels of those requests."""

    metric: str | None = None
    """The primary metric if left out."""
    max_loss: float = Field(ge=0)
    """The largest accepted loss against the champion's answers to the other entities, in the metric's own unit."""
    min_rows: int = Field(default=500, ge=100)
    """How many labelled rows the challenger must have answered."""


class Lifetime(Section):
    """Which errors are accepted over the lifetime of a model, of all its decisions together."""

    wrong_promotions: Rate
    """How many challengers that are no better than the champion may be promoted on average, such as `0.1/y`. `confidence` holds for one decision; with this rate, each decision needs a higher confidence, so that the rate holds for the sequence of all decisions."""


When = Literal["never", "always", "when_held"]


class Approval(Section):
    """Which challengers need the approval of a person, in Airflow's form under *Required actions*."""

    when: When = "never"
    """`when_held`: a person is asked about those that the gate holds, and may promote them. `always`: about those that it would promote as well."""
    within: Duration = Duration("1d")
    """How long an answer is waited for; then the champion stays. The model's next scheduled run waits as long."""
    by: tuple[str, ...] = ()
    """Who may answer, by their user ids in Airflow. Empty: everyone who may edit the DAG."""
    override: bool = False
    """Whether a person is also asked about those that the gate rejects or can't compare; such a promotion is marked in the ledger."""
    backfills: bool = False
    """Whether the runs of a backfill ask as well. If not, the gate alone decides on them."""

    @model_validator(mode="after")
    def _asked_at_all(self) -> Approval:
        if self.when == "never" and (self.by or self.override or self.backfills):
            raise ValueError("expected `when: always` or `when: when_held`, since nobody is asked with `when: never`")
        if not self.within:
            raise ValueError("expected a `within` longer than nothing")
        return self


class Gate(Section):
    """The policy: which evidence a promotion needs."""

    primary: Primary
    require: tuple[Require, ...] = ()
    guards: tuple[Guard, ...] = ()
    fairness: tuple[FairnessRule, ...] = ()
    churn: Churn | None = None
    overfitting: Overfitting | None = None
    unlabelled: Unlabelled | None = Field(default=None, exclude_if=lambda section: section is None)
    model_size: ModelSize | None = Field(default=None, exclude_if=lambda section: section is None)
    canary: Canary | None = Field(default=None, exclude_if=lambda section: section is None)
    lifetime: Lifetime | None = Field(default=None, exclude_if=lambda section: section is None)
    approval: Annotated[
        Approval,
        BeforeValidator(
            lambda value: {"when": value} if isinstance(value, str) else value, json_schema_input_type=When | Approval
        ),
    ] = Approval()
    """`never`, `always`, `when_held`, or more about it: see Approval."""


def check_guards(model: ModelConfig) -> None:
    """Check that guards name slices that are measured; raises `ValueError`."""
    known = model.evaluation.slice_names
    for guard in model.gate.guards:
        if guard.slice is not None and guard.slice not in known:
            raise ValueError(
                f"a guard names the slice `{guard.slice}`, which `evaluation.slices` does not list "
                f"(found there: {', '.join(known) or 'nothing'})"
            )


def check_evaluation(model: ModelConfig) -> None:
    """Check that what the gate and the evaluation compare exists for the model's task; raises `ValueError`."""
    if model.task != "classification" and any(rule.metric is None for rule in model.gate.fairness):
        raise ValueError(
            "parity compares rates of positive predictions, in classification only; `measure: group_minimum` is for all tasks"
        )
    if model.task == "clustering" and model.gate.overfitting is not None:
        raise ValueError("`gate.overfitting` compares predictions with a target, which clustering does not have")
    if model.task == "clustering" and model.evaluation.learning_curve:
        raise ValueError("`evaluation.learning_curve` needs a metric of the target; for clusters use `stability`")


def check_blocks(model: ModelConfig) -> None:
    """Check that the holdout is long enough for blocks of time; raises `ValueError`."""
    block, windows = model.evaluation.block, model.data.windows
    holdout = None if windows is None else windows.holdout
    if block is not None and holdout is not None and holdout.about() < LEAST_BLOCKS * block.about():
        raise ValueError(
            f"expected at least {LEAST_BLOCKS} blocks of `evaluation.block` in the holdout of {holdout}, found fewer with {block}"
        )
