"""Write the as-of of a run into its note: the name of a manual run tells only when it was triggered."""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

_FAMILIES = ("monitor", "reconsider", "retrain", "score")


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """Write the note when the scheduler starts a run by hand, unless a person has written one."""
    family, _, name = dag_run.dag_id.partition("_")
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    if family not in _FAMILIES or kind in ("backfill", "scheduled") or dag_run.note:
        return
    from include.config.load import load_models
    from include.config.settings import Settings
    from include.errors import ConfigError
    from ratchet_operators.run_instants import stand

    models, _ = load_models(Settings.from_environment().models, only=name)
    for model in models:
        try:
            instant, source = stand(dag_run, (dag_run.conf or {}).get("as_of"), model.schedule.end)
        except ConfigError:
            return  # the first task answers it
        dag_run.note = f"As of {instant:%Y-%m-%d %H:%M} UTC: {source}."
