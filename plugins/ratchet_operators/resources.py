"""Give a DAG's tasks the resources and limits that its model declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.config.sections.resources import Pod, Resources

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.config.model import ModelConfig


def assign_resources(dag: DAG, model: ModelConfig) -> None:
    """Set where each task runs and how long and often it may, mapped ones included; call it when the DAG has all of its tasks."""
    if model.resources == Resources():
        return
    for task in dag.tasks:
        wanted = model.resources.of(task.task_id)
        given: dict[str, Any] = {
            "pool": wanted.pool,
            "pool_slots": wanted.pool_slots,
            "queue": wanted.queue,
            "priority_weight": wanted.priority,
            "execution_timeout": wanted.execution_timeout and wanted.execution_timeout.about(),
            "retries": wanted.retries,
            "executor_config": _executor_config(wanted.pod) if wanted.pod else None,
        }
        arguments = {name: value for name, value in given.items() if value is not None}
        if task.is_mapped:
            task.partial_kwargs.update(arguments)  # type: ignore[union-attr] # a mapped task's arguments are there
        else:
            for name, value in arguments.items():
                setattr(task, name, value)


def _executor_config(pod: Pod) -> dict[str, Any] | None:
    try:
        # Half a second of imports, for DAG files of models that declare a pod.
        from kubernetes.client import models as kubernetes
    except ImportError:
        return None  # no KubernetesExecutor either, then
    requests = {name: amount for name, amount in (("cpu", pod.cpu), ("memory", pod.memory)) if amount}
    resources = kubernetes.V1ResourceRequirements(
        requests=requests or None, limits={"memory": pod.memory} if pod.memory else None
    )
    tolerations = [
        kubernetes.V1Toleration(
            effect=toleration.get("effect"),
            key=toleration.get("key"),
            operator=toleration.get("operator"),
            toleration_seconds=toleration.get("tolerationSeconds"),
            value=toleration.get("value"),
        )
        for toleration in pod.tolerations
    ]
    # The executor knows the task's container by this name.
    container = kubernetes.V1Container(name="base", resources=resources)
    spec = kubernetes.V1PodSpec(
        containers=[container], node_selector=pod.node_selector or None, tolerations=tolerations or None
    )
    return {"pod_override": kubernetes.V1Pod(spec=spec)}
