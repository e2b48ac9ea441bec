"""The `resources` section: where a model's tasks run, and how much they may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from include.config.durations import Duration
from include.config.names import FORMER_TASKS, TASKS
from include.config.section import Section
from include.errors import did_you_mean

Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", coerce_numbers_to_str=True)]
"""As Kubernetes writes it: `2`, `500m`, `4Gi`."""


class Pod(Section):
    """Resource requests of a task's pod under KubernetesExecutor; other executors ignore them."""

    cpu: Quantity | None = None
    """Cores requested, such as `2` or `500m`. There is no limit: idle cores may be used."""
    memory: Quantity | None = None
    """Memory requested, and the limit as well, such as `4Gi`: a task that needs more is ended, and not its neighbours."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that the node must have."""
    tolerations: tuple[dict[str, str | int], ...] = ()
    """Tolerations of the pod, with the fields that Kubernetes has."""


class TaskResources(Section):
    """Where a task runs; what is left out has Airflow's default."""

    pool: str | None = None
    """The Airflow pool whose slots it takes; it must exist (`airflow pools set`)."""
    pool_slots: int | None = Field(default=None, ge=1)
    """How many of them."""
    queue: str | None = None
    """The queue whose Celery workers take it (`airflow celery worker --queues`)."""
    priority: int | None = None
    """Airflow's `priority_weight`: of tasks that wait for the same slots, those with the greater sum over themselves and all that follows go first."""
    execution_timeout: Duration | None = Field(default=None, exclude_if=lambda length: length is None)
    """How long one try may take, such as `6h`; after that it is ended and tried again. Waiting for late data or for an answer does not count."""
    retries: int | None = Field(default=None, ge=0, exclude_if=lambda count: count is None)
    """How often it is tried again, after 20 seconds and then longer; 2 if left out. An error that a retry can't help is never tried again."""
    pod: Pod | None = None

    @field_validator("execution_timeout")
    @classmethod
    def _some_time(cls, length: Duration | None) -> Duration | None:
        if length is not None and not length:
            raise ValueError("expected an `execution_timeout` longer than nothing")
        return length


class Resources(TaskResources):
    """Where a model's tasks run: settings for all of them, and for single tasks."""

    tasks: dict[str, TaskResources] = Field(default_factory=dict)
    """By task id, such as `train`: settings that differ from those of all tasks; a `pod` replaces the whole other one."""

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: dict[str, TaskResources]) -> dict[str, TaskResources]:
        for name in tasks:
            if name not in TASKS | FORMER_TASKS:
                hint = did_you_mean(name, TASKS, f"known: {', '.join(sorted(TASKS))}")
                raise ValueError(f"`{name}` is not a task; {hint}")
        return tasks

    def of(self, task: str) -> TaskResources:
        """Return what holds for a task."""
        own = self.tasks.get(task, TaskResources()).model_dump(exclude_none=True)
        return TaskResources.model_validate(self.model_dump(exclude_none=True, exclude={"tasks"}) | own)
