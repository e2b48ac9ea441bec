"""A declaration that appears, changes or goes has the DAG files read again; nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

from include.command_line.local_airflow.changed_declarations import ChangedDeclarations


def test_dag_files_are_touched_once_for_each_change_of_a_declaration(tmp_path: Path) -> None:
    models, dags = tmp_path / "models", tmp_path / "dags"
    dags.mkdir()
    for name in ("retrain.py", "score.py", "README.md"):
        (dags / name).touch()
        os.utime(dags / name, (1_000_000_000, 1_000_000_000))

    def touched() -> list[str]:
        """Return the files whose time is new, and make it old again."""
        found = [file for file in sorted(dags.iterdir()) if file.stat().st_mtime > 1_000_000_000]
        for file in found:
            os.utime(file, (1_000_000_000, 1_000_000_000))
        return [file.name for file in found]

    changed = ChangedDeclarations(models, dags)
    assert not changed.look(), "a folder that is not there yet holds no model"
    (models / "churn").mkdir(parents=True)
    (models / "churn" / "features.py").write_text("")
    assert not changed.look() and touched() == []

    file = models / "churn" / "model.yaml"
    file.write_text("name: churn\n")
    assert changed.look() and touched() == ["retrain.py", "score.py"]
    assert not changed.look() and touched() == [], "told once"

    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text("name: churn\nowner: ml\n")
    os.utime(file, ns=times)
    assert changed.look() and touched(), "a copy that keeps its time"

    file.unlink()
    assert changed.look() and touched() == ["retrain.py", "score.py"]
    assert not changed.look()
