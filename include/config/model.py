"""The model configuration: all sections of ``model.yaml`` as one typed object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from include.config.names import ENSEMBLES, ESTIMATORS, METRICS
from include.config.retention import Retention
from include.config.schedule import Schedule
from include.config.section import Section
from include.config.sections.about import About
from include.config.sections.airflow import Airflow, check_timeouts
from include.config.sections.behaviour import check_behaviour
from include.config.sections.data import LOT, Data, check_timeless
from include.config.sections.evaluation import (
    Evaluation,
    Gate,
    Guard,
    Primary,
    Require,
    check_blocks,
    check_evaluation,
    check_guards,
)
from include.config.sections.features import Features
from include.config.sections.notify import Notification
from include.config.sections.resources import Resources
from include.config.sections.rows.quality import Quality
from include.config.sections.rows.rectify import AS_READ, Rectify, check_rectify
from include.config.sections.rows.segments import SEGMENTS, Segments, check_segments
from include.config.sections.score import Score
from include.config.sections.serving import Serving, check_canary, check_request_log
from include.config.sections.training import Training, check_engine
from include.config.sections.watch import Watch
from include.errors import did_you_mean

BASELINES = ("trivial", "simple")
NAME = r"^[a-z][a-z0-9_]{0,62}$"
"""The pattern of a model's name, which is part of DAG ids and of keys of the store."""
_NAMED = rf"{NAME.removesuffix('$')}(/{SEGMENTS}/[a-z0-9_-]{{1,49}})?$"  # also the names of segments' models

FormerNames = Annotated[
    tuple[Annotated[str, Field(pattern=NAME)], ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str]),
]
"""One name, or a list of them."""

BESIDE = (
    "renamed_from",
    "description",
    "owner",
    "about",
    "schedule",
    "airflow",
    "resources",
    "serving",
    "notify",
    "watch",
    "score",
    "retention",
    "segments",
)
"""Sections that do not affect the result of a run that is in progress."""


class ModelConfig(Section):
    """A model as its team declares it in ``include/models/<name>/model.yaml``."""

    declared_name: str = Field(alias="name", pattern=_NAMED)
    """The folder's name: lower case letters, digits and underscores."""
    renamed_from: FormerNames = Field(default=(), exclude_if=lambda names: not names)
    """The former name of the model, or a list of all former names with the first one first; the model keeps the history under that name."""
    description: str
    """The question that the model answers, in one sentence."""
    owner: str
    """The team to ask."""
    about: About | None = Field(default=None, exclude_if=lambda section: section is None)
    """Origin of the data, intended use, and what is out of scope."""
    task: Literal["classification", "regression", "clustering"]
    """What is predicted: a class, a number, or a cluster of similar rows, which is found without a target."""
    schedule: Schedule
    data: Data
    quality: Quality = Quality()
    segments: Segments | None = Field(default=None, exclude_if=lambda section: section is None)
    features: Features
    training: Training
    evaluation: Evaluation = Evaluation()
    gate: Gate
    resources: Resources = Resources()
    airflow: Airflow = Field(default=Airflow(), exclude_if=lambda section: section == Airflow())
    serving: Serving = Field(default=Serving(), exclude_if=lambda section: section == Serving())
    score: Score = Field(default=Score(), exclude_if=lambda section: section == Score())
    """What happens with batch scores."""
    notify: tuple[Notification, ...] = ()
    """Who is notified of the outcome of a run."""
    watch: Watch = Field(default=Watch(), exclude_if=lambda value: value == Watch())
    """What happens after promotion."""
    retention: Retention = Field(default=Retention(), exclude_if=lambda value: value == Retention())
    """How long objects are kept that nothing needs any more; without it, for ever."""

    @model_validator(mode="before")
    @classmethod
    def _folds_at_random(cls, value: Any) -> Any:
        """Compare candidates on random folds where rows have no time, unless `cv` is declared."""
        data, training = (value.get("data"), value.get("training")) if isinstance(value, dict) else (None, None)
        if not isinstance(data, dict) or not isinstance(training, dict) or "cv" in training:
            return value
        if data.get("event_time", LOT) != LOT:
            return value
        kind = "stratified" if value.get("task") == "classification" else "k_fold"
        return {**value, "training": {**training, "cv": {"kind": kind, "folds": 5}}}

    @model_validator(mode="after")
    def _parts_agree(self) -> ModelConfig:
        names = (*self.renamed_from, self.declared_name)
        if len(set(names)) < len(names):
            raise ValueError(
                f"expected in `renamed_from` each former name once, and not `{self.declared_name}`, which is the name now: "
                "a model that goes back to a former name takes it off the list"
            )
        if (self.task == "clustering") != (self.data.target is None):
            raise ValueError("expected `data.target` for every task but clustering, which has none")
        check_timeless(self)
        check_segments(self)
        check_engine(self)
        check_timeouts(self)
        check_rectify(self)
        if self.data.target in self.features.columns:
            raise ValueError(f"`features` holds the target `{self.data.target}`: a model would see the answer")
        check_guards(self)
        for groups in self.fairness_groups:
            _known("slice of `evaluation.slices`", groups, set(self.evaluation.slice_names), "fairness")
        check_evaluation(self)
        check_behaviour(self)
        for column in self.evaluation.trusted:
            _known("column of `features`", column, set(self.features.columns), "`evaluation.trusted`")
        check_blocks(self)
        if self.task != "regression" and (found := self.training.for_values_only):
            raise ValueError(f"`training.{found[0]}` is for regression")
        for metric in self.metrics:
            _known("metric", metric, {name for name, facts in METRICS.items() if self.task in facts.task}, self.task)
        if ("cost" in self.metrics) != (self.evaluation.cost is not None):
            raise ValueError("expected `evaluation.cost` together with the metric `cost`")
        threshold = self.training.threshold
        if threshold is not None and threshold.objective == "cost" and self.evaluation.cost is None:
            raise ValueError("expected `evaluation.cost` together with the threshold's `objective: cost`")
        if self.gate.primary.metric == "interval_coverage":
            raise ValueError(
                "`interval_coverage` can't be the primary metric: candidates are not compared by it; make it a `guard` or `require` it"
            )
        if self.task == "regression" and self.evaluation.cost is not None and self.evaluation.cost.matrix is not None:
            raise ValueError("`evaluation.cost.matrix` is for classes; for regression give `function`")
        able = {name for name, facts in ESTIMATORS.items() if self.task in facts.tasks}
        able |= set() if self.task == "clustering" else set(ENSEMBLES)
        for candidate in self.training.candidates:
            if "." not in candidate.estimator:
                _known("estimator", candidate.estimator, able, self.task)
        if self.data.target in self.training.columns:
            raise ValueError(f"`training` weighs or groups rows by the target `{self.data.target}`")
        if self.task != "classification" and (found := self.training.for_classes_only):
            raise ValueError(f"`{found[0]}` is for classification")
        if "interval_coverage" in self.metrics and self.training.intervals is None:
            raise ValueError("expected `training.intervals` together with the metric `interval_coverage`")
        if self.task == "clustering" and (found := self.features.for_targets_only):
            raise ValueError(f"`{found[0]}` learns from a target, which clustering does not have")
        check_request_log(self)
        check_canary(self)
        return self

    def rectify_of(self, data: Data) -> Rectify:
        """Return the corrections for the rows of one of `data.sources`: for a joined source, those of the texts that it is joined on."""
        declared = self.quality.rectify
        if declared == AS_READ or data == self.data:
            return declared
        on = next(dict(join.on) for join in self.data.joins if self.data.of_join(join) == data)
        named = [(one, tuple(on[name] for name in one.columns if name in on)) for one in declared.texts]
        return Rectify(texts=tuple(one.model_copy(update={"columns": names}) for one, names in named if names))

    @property
    def name(self) -> str:
        """The model's name in the store and in signatures: the first name that it had.

        Pages and DAGs show ``declared_name``.
        """
        return self.renamed_from[0] if self.renamed_from else self.declared_name

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
        own = ["interval_coverage"] if self.training.intervals else []
        canary = [self.gate.canary.metric] if self.gate.canary and self.gate.canary.metric else []
        named = [*(rule.metric for rule in rules), *worst, *gap, *canary]
        return tuple(dict.fromkeys([*named, *self.evaluation.metrics, *own]))

    @property
    def fairness_groups(self) -> tuple[str, ...]:
        """The slices whose levels should be treated alike."""
        return tuple(dict.fromkeys([*self.evaluation.fairness, *(rule.groups for rule in self.gate.fairness)]))

    @property
    def asks_for_retraining(self) -> bool:
        """Whether an alarm of the champion can request a retraining."""
        return self.schedule.monitor is not None and self.watch.retrain != "never"

    @property
    def is_tidied(self) -> bool:
        """Whether `retention` limits how long anything is kept."""
        kept = self.retention
        return any(span is not None for span in (kept.versions, kept.scores, kept.quarantine))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `model_validate` reads back, for a DAG's serialized form.

        What says nothing, of the parts that declarations of release 0.1 did not have, is left out: a declaration that did
        not change keeps its digest.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=False)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that affects the result of a run, as JSON: two declarations with the same identity give the same versions and decisions."""
        approval = self.gate.approval.said()
        approval.pop("within", None)
        gate = self.gate.said() | {"approval": approval}
        said = {name: value for name, value in self.said().items() if name not in BESIDE}
        return said | {"name": self.name, "gate": gate}

    def folder(self, models: Path) -> Path:
        """Return the folder that holds the model's YAML and Python files."""
        return models / self.declared_name


def _known(what: str, name: str, known: set[str], task: str) -> None:
    if name in known:
        return
    hint = did_you_mean(name, known, f"known: {', '.join(sorted(known))}")
    raise ValueError(f"`{name}` is not a {what} for {task}; {hint}")
