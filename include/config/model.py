"""What ``model.yaml`` may say, as one typed object."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from include.config.behaviour import Behaviour
from include.config.data import LOT, Data, Quality
from include.config.features import Features
from include.config.judging import LEAST_BLOCKS, Evaluation, Gate, Guard, Primary, Require
from include.config.names import ENSEMBLES, ESTIMATORS, METRICS
from include.config.notify import Notification
from include.config.resources import Resources
from include.config.section import Section
from include.config.serving import Serving
from include.config.ticks import PRESETS, is_cron
from include.config.training import Training
from include.errors import nearest

BASELINES = ("trivial", "simple")
NAME = r"^[a-z][a-z0-9_]{0,62}$"
"""How a model may be called: its name is in the ids of DAGs and in the keys of the store."""


class Schedule(Section):
    """When the model's DAGs run."""

    retrain: str | None = None
    """A cron expression or an Airflow preset such as `@monthly`; each run stands at its logical date. Left out: only by hand."""
    score: str | None = None
    """The same for batch predictions; each run predicts the rows between the tick before its logical date and that date. Left out: only by hand, one partition at a time."""
    start: datetime
    """The first date that a scheduled run or a backfill may stand at."""
    end: datetime | None = None
    """The last one; left out for a model that goes on."""

    @field_validator("retrain", "score")
    @classmethod
    def _cron(cls, text: str | None) -> str | None:
        if text is not None and not is_cron(text):
            raise ValueError(f"expected a cron expression of five fields or one of {', '.join(PRESETS)}")
        return text

    @field_validator("start", "end", mode="before")
    @classmethod
    def _utc(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time())
        if not isinstance(value, datetime):
            return value
        if not 1900 <= value.year < 2200:
            raise ValueError("expected a date between 1900 and 2200")
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    @model_validator(mode="after")
    def _in_order(self) -> Schedule:
        if self.end is not None and self.end < self.start:
            raise ValueError("expected `end` at or after `start`")
        return self


class ModelConfig(Section):
    """A model as its team declares it in ``include/models/<name>/model.yaml``."""

    name: str = Field(pattern=NAME)
    """The folder's name: lower case letters, digits and underscores."""
    description: str
    """The question that the model answers, in one sentence."""
    owner: str
    """The team to ask."""
    task: Literal["classification", "regression", "clustering"]
    """What is predicted: one of some classes, a number, or which of some groups of like rows, found without a target."""
    schedule: Schedule
    data: Data
    quality: Quality = Quality()
    features: Features
    training: Training
    evaluation: Evaluation = Evaluation()
    gate: Gate
    resources: Resources = Resources()
    serving: Serving = Serving()
    notify: tuple[Notification, ...] = ()
    """Whom to tell what became of a run."""

    @model_validator(mode="before")
    @classmethod
    def _folds_at_random(cls, value: Any) -> Any:
        """Compare candidates on folds at random where rows have no time, unless something else is said."""
        data, training = (value.get("data"), value.get("training")) if isinstance(value, dict) else (None, None)
        if not isinstance(data, dict) or not isinstance(training, dict) or "cv" in training:
            return value
        if data.get("event_time", LOT) != LOT:
            return value
        kind = "stratified" if value.get("task") == "classification" else "k_fold"
        return {**value, "training": {**training, "cv": {"kind": kind, "folds": 5}}}

    @model_validator(mode="after")
    def _parts_agree(self) -> ModelConfig:
        if (self.task == "clustering") != (self.data.target is None):
            raise ValueError("expected `data.target` for every task but clustering, which has none")
        if self.data.timeless:
            self._without_time()
        if self.data.target in self.features.columns:
            raise ValueError(f"`features` holds the target `{self.data.target}`: a model would see the answer")
        for guard in self.gate.guards:
            if guard.slice is not None and guard.slice not in self.evaluation.slice_names:
                raise ValueError(
                    f"a guard names the slice `{guard.slice}`, which `evaluation.slices` does not list "
                    f"(found there: {', '.join(self.evaluation.slice_names) or 'nothing'})"
                )
        for groups in self.fairness_groups:
            _known("slice of `evaluation.slices`", groups, set(self.evaluation.slice_names), "fairness")
        if self.task != "classification" and any(rule.metric is None for rule in self.gate.fairness):
            raise ValueError(
                "parity is of who is called positive, in classification; `measure: group_minimum` is for all tasks"
            )
        if self.task == "clustering" and self.gate.overfitting is not None:
            raise ValueError("`gate.overfitting` compares predictions with a target, which clustering does not have")
        if self.task == "clustering" and self.evaluation.learning_curve:
            raise ValueError("`evaluation.learning_curve` is of a target's metric; of clusters ask for `stability`")
        for check in self.evaluation.behaviour:
            self._askable(check)
        for column in self.evaluation.trusted:
            _known("column of `features`", column, set(self.features.columns), "`evaluation.trusted`")
        block, windows = self.evaluation.block, self.data.windows
        holdout = None if windows is None else windows.holdout
        if block is not None and holdout is not None and holdout.about() < LEAST_BLOCKS * block.about():
            raise ValueError(
                f"expected at least {LEAST_BLOCKS} blocks of `evaluation.block` in the holdout of {holdout}, found fewer with {block}"
            )
        for metric in self.metrics:
            _known("metric", metric, {name for name, facts in METRICS.items() if self.task in facts.task}, self.task)
        if ("cost" in self.metrics) != (self.evaluation.cost is not None):
            raise ValueError("expected `evaluation.cost` together with the metric `cost`")
        if self.gate.primary.metric == "cost":
            raise ValueError(
                "`cost` can't be the primary metric: candidates are not compared by it; make it a `guard` or `require` it"
            )
        if self.task == "regression" and self.evaluation.cost is not None and self.evaluation.cost.matrix is not None:
            raise ValueError("`evaluation.cost.matrix` is of classes; give `function`")
        able = {name for name, facts in ESTIMATORS.items() if self.task in facts.tasks}
        able |= set() if self.task == "clustering" else set(ENSEMBLES)
        for candidate in self.training.candidates:
            if "." not in candidate.estimator:
                _known("estimator", candidate.estimator, able, self.task)
        if self.data.target in self.training.columns:
            raise ValueError(f"`training` weighs or groups rows by the target `{self.data.target}`")
        if self.task != "classification" and (found := self.training.for_classes_only):
            raise ValueError(f"`{found[0]}` is for classification")
        if self.task == "clustering" and (found := self.features.for_targets_only):
            raise ValueError(f"`{found[0]}` learns from a target, which clustering does not have")
        return self

    def _askable(self, check: Behaviour) -> None:
        """Answer a check of behaviour that has no meaning for the task."""
        if self.task == "clustering" and check.kind != "invariance":
            raise ValueError(f"the {check.kind} `{check.name}` is of predictions; of clusters ask an `invariance`")
        if check.kind == "case":
            if self.task == "regression" and check.says is not None:
                raise ValueError(f"the case `{check.name}` says a class; of numbers give `at_least` or `at_most`")
            if self.data.target in check.row:
                raise ValueError(f"the case `{check.name}` gives the target `{self.data.target}`: that is the answer")
        elif check.column == self.data.target:
            raise ValueError(
                f"the {check.kind} `{check.name}` changes the target `{self.data.target}`, which no model reads"
            )

    def _without_time(self) -> None:
        """Answer what needs event time."""
        training = self.training
        divisions = [training.cv, training.cross_fitting, *(c.search.cv for c in training.candidates if c.search)]
        declared = {
            "cv: {kind: time_series}": any(cv is not None and cv.kind == "time_series" for cv in divisions),
            "weights: {half_life: ...}": training.weights is not None and bool(training.weights.half_life),
            "evaluation.block": self.evaluation.block is not None,
            "schedule.score": self.schedule.score is not None,
        }
        if found := [name for name, there in declared.items() if there]:
            raise ValueError(f"`{found[0]}` needs `data.event_time`, which this table does not have")

    @property
    def candidate_names(self) -> list[str]:
        """The names of the declared candidates, in their order."""
        return [candidate.name for candidate in self.training.candidates]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric to measure: the primary first, then the gate's others, then those of `evaluation`."""
        rules: list[Primary | Require | Guard] = [self.gate.primary, *self.gate.require, *self.gate.guards]
        worst = [rule.metric for rule in self.gate.fairness if rule.metric is not None]
        gap = [self.gate.overfitting.metric] if self.gate.overfitting and self.gate.overfitting.metric else []
        return tuple(dict.fromkeys([*(rule.metric for rule in rules), *worst, *gap, *self.evaluation.metrics]))

    @property
    def fairness_groups(self) -> tuple[str, ...]:
        """The slices whose levels should be treated alike."""
        return tuple(dict.fromkeys([*self.evaluation.fairness, *(rule.groups for rule in self.gate.fairness)]))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `model_validate` reads back, for a DAG's serialized form."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=False)

    def folder(self, models: Path) -> Path:
        """Return the folder that holds the model's YAML and Python files."""
        return models / self.name


def _known(what: str, name: str, known: set[str], task: str) -> None:
    if name in known:
        return
    close = nearest(name, known)
    hint = f"did you mean `{close}`?" if close else f"known: {', '.join(sorted(known))}"
    raise ValueError(f"`{name}` is not a {what} for {task}; {hint}")
