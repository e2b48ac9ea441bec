"""The error of a failed task, from its log on disk."""

from __future__ import annotations

import json
from pathlib import Path

from include.command_line.local_airflow.backfill import Task


def log_of(logs: Path, dag: str, task: Task) -> Path:
    """Return where Airflow keeps the log of a task's try."""
    folder = logs / f"dag_id={dag}" / f"run_id={task.run}" / f"task_id={task.task}"
    if task.map_index >= 0:
        folder /= f"map_index={task.map_index}"
    return folder / f"attempt={task.attempt}.log"


def last_errors(log: Path) -> list[str]:
    """Return the last lines of an error; an empty list if the task was ended before it logged one.

    The task's own error message is preferred; without one, the exception is returned.
    """
    if not log.exists():
        return []
    said: list[str] = []
    thrown: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.get("level") in ("error", "critical"):
            details = record.get("error_detail") or ()
            (thrown if details else said).extend(str(record.get("event", "")).splitlines())
            for detail in details:
                thrown += f"{detail.get('exc_type')}: {detail.get('exc_value')}".splitlines()
    return (said or thrown)[-12:]
