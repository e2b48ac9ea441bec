"""Let Airflow parse the DAG files again as soon as a declaration changes."""

from __future__ import annotations

import os
from pathlib import Path


class ChangedDeclarations:
    """Touch DAG files when a model.yaml appears, changes or goes: a DAG processor reads a file whose time is new at once.

    Parameters
    ----------
    models : Path
        The folder of the models' folders.
    dags : Path
        The folder of the DAG files.
    """

    def __init__(self, models: Path, dags: Path) -> None:
        self._models = models
        self._dags = dags
        self._known = self._times()

    def look(self) -> bool:
        """Return whether a declaration changed since the last look, and touch the DAG files if so."""
        now = self._times()
        if now == self._known:
            return False
        self._known = now
        for file in self._dags.glob("*.py"):
            os.utime(file)
        return True

    def _times(self) -> dict[str, tuple[int, int]]:
        found = {}
        for file in self._models.glob("*/model.yaml"):
            try:
                facts = file.stat()
            except FileNotFoundError:  # removed just now
                continue
            found[file.parent.name] = facts.st_mtime_ns, facts.st_size
        return found
