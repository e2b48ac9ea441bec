"""The `airflow` section: timeouts, deadline, access and other settings of a model's DAGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from include.config.durations import Duration
from include.config.section import Section

if TYPE_CHECKING:
    from include.config.model import ModelConfig

Permission = Literal["can_read", "can_edit", "can_delete"]


class Airflow(Section):
    """How Airflow treats the model's DAGs."""

    dagrun_timeout: Duration | None = None
    """How long a run of `retrain` or `score` may take before Airflow fails it, including the time that it waits for late data or for an answer."""
    deadline: Duration | None = None
    """How long after it was queued a run of `retrain` or `score` may still be running before the channels of `notify` get an `alarm`; the run goes on. Backfills have no deadline. It needs a triggerer."""
    max_consecutive_failed_dag_runs: int | None = Field(default=None, ge=1)
    """After how many failed runs in a row Airflow pauses `retrain` or `score`, until a person unpauses it."""
    owner_link: str | None = None
    """Where the owner's name leads in Airflow's list of DAGs, such as `https://chat.example.org/growth` or `mailto:growth@example.org`."""
    access: dict[str, tuple[Permission, ...]] = Field(default_factory=dict)
    """Who else may do what with the model's DAGs and its pages, by role of Airflow's FAB auth manager, such as `growth: [can_read, can_edit]`. Other auth managers have their own rules and ignore it."""

    @field_validator("dagrun_timeout", "deadline")
    @classmethod
    def _some_time(cls, length: Duration | None) -> Duration | None:
        if length is not None and not length:
            raise ValueError("expected a length of time longer than nothing")
        return length

    @field_validator("owner_link")
    @classmethod
    def _leads_somewhere(cls, link: str | None) -> str | None:
        if link is not None and not link.startswith(("https://", "http://", "mailto:")):
            raise ValueError("expected an address that begins with https://, http:// or mailto:")
        return link


def check_timeouts(model: ModelConfig) -> None:
    """Check that `dagrun_timeout` is shorter than the grace period and longer than the time to answer; raises `ValueError`."""
    limit, answer = model.airflow.dagrun_timeout, model.gate.approval
    if model.is_tidied and limit is not None and model.retention.grace.about() <= limit.about():
        raise ValueError(
            f"expected a `retention.grace` longer than `airflow.dagrun_timeout`, which is {limit}: otherwise a run could lose objects that it uses"
        )
    if limit is not None and answer.when != "never" and limit.about() <= answer.within.about():
        raise ValueError(
            f"expected an `airflow.dagrun_timeout` longer than {answer.within}, the time to answer in `gate.approval.within`"
        )
