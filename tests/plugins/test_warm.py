"""Imports are paid where tasks are forked from, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from include.config.settings import ROOT

SCRIPT = """
import sys
from airflow.listeners.listener import get_listener_manager
sys.argv = sys.argv[1:]
get_listener_manager().hook.on_starting(component=None)
print("WARM" if "sklearn" in sys.modules and "great_expectations" in sys.modules else "COLD")
"""


@pytest.mark.parametrize(
    ("command", "setting", "expected"),
    [
        ("scheduler", "1", "WARM"),
        ("scheduler", "0", "COLD"),
        ("triggerer", "1", "COLD"),
        ("dag-processor", "1", "COLD"),
    ],
)
def test_only_the_parent_of_tasks_is_warmed(command, setting, expected, tmp_path):
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "RATCHET_WARM": setting,
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "airflow", command], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.stdout.split()[-1] == expected, done.stdout[-2000:] + done.stderr[-2000:]
