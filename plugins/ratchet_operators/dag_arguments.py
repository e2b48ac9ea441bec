"""Arguments of a model's DAGs from its declaration: callbacks, access, owner's link, limits of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.deadline import tell_missed_deadline
from ratchet_operators.notify import run_callbacks

if TYPE_CHECKING:
    from airflow.sdk.definitions.deadline import DeadlineAlert

    from include.config.model import ModelConfig


def dag_arguments(model: ModelConfig, *, repeats: bool = False) -> dict[str, Any]:
    """Return the arguments of a model's DAG that come from ``airflow`` and ``notify`` in its model.yaml.

    Parameters
    ----------
    repeats : bool
        Whether the DAG runs again and again by itself, so that it has limits of time and of failures.
    """
    declared = model.airflow
    arguments: dict[str, Any] = {
        "on_failure_callback": run_callbacks(model.to_json()),
        "owner_links": {model.owner: declared.owner_link} if declared.owner_link else {},
        "access_control": {role: set(allowed) for role, allowed in declared.access.items()} or None,
    }
    if repeats:
        arguments |= {
            "dagrun_timeout": declared.dagrun_timeout and declared.dagrun_timeout.about(),
            "deadline": _deadline(model),
            "max_consecutive_failed_dag_runs": declared.max_consecutive_failed_dag_runs,
        }
    return arguments


def _deadline(model: ModelConfig) -> DeadlineAlert | None:
    length = model.airflow.deadline
    if length is None:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    told = {
        "model": model.declared_name,
        "length": str(length),
        "channels": [channel.model_dump(mode="json") for channel in model.notify],
    }
    # In the triggerer: not every executor takes callbacks.
    callback = AsyncCallback(tell_missed_deadline, kwargs=told)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, length.about(), callback, name=f"within {length}")
