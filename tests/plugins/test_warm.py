"""Imports are paid where tasks are forked from, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from include.command_line.local_airflow.environment import shared_settings
from include.config.settings import ROOT

SCRIPT = """
import os, sys
from airflow.listeners.listener import get_listener_manager
for command, setting in (one.split("=") for one in sys.argv[1:]):
    sys.argv, os.environ["RATCHET_WARM"] = ["airflow", command], setting
    get_listener_manager().hook.on_starting(component=None)
    warm = {"sklearn", "great_expectations"} & set(sys.modules)
    print("FOUND", command, setting, *sorted(warm))
"""

WARM = """
import os, sys
from pathlib import Path
from ratchet_operators.warm import warm
warm()
print("THREADS", *(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")), flush=True)
for task in sys.argv[1:]:
    if os.fork() == 0:
        exec(task)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""

CHAIN = f"""
sys.path.insert(0, {str(ROOT / "tests")!r})
from chain_run import LocalStore, declare, month, run_chain
model = declare(Path("parcels"))
before = set(sys.modules)
run_chain(LocalStore(Path("store")), model, Path("parcels"), month(4))
print("LATE", *sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""

PARSE = f"""
before = set(sys.modules)
from airflow.dag_processing.dagbag import BundleDagBag  # as the task runner does
bundle = Path({str(ROOT)!r})
bag = BundleDagBag(dag_folder=str(bundle / "dags" / "retrain.py"), bundle_path=bundle, bundle_name="bundle")
late = {{name.partition(".")[0] for name in set(sys.modules) - before if not name.startswith("unusual_prefix_")}}
pages = (sys.modules["include.data.quality.page"], sys.modules["include.evaluation.report.card"])
print("PARSED", len(bag.dags), sum(page.template.cache_info().currsize for page in pages), *sorted(late))
"""


def test_only_the_parent_of_tasks_is_warmed(tmp_path):
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }  # fmt: skip
    # One process, as its imports take seconds; the one that is warmed comes last.
    asked = ["triggerer=1", "dag-processor=1", "scheduler=0", "scheduler=1"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *asked], env=environment, capture_output=True, text=True, timeout=240
    )
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("FOUND")]
    assert found == [
        ["triggerer", "1"],
        ["dag-processor", "1"],
        ["scheduler", "0"],
        ["scheduler", "1", "great_expectations", "sklearn"],
    ], done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a warm parent and the tasks that are forked from it say."""
    place = tmp_path_factory.mktemp("warm")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "AIRFLOW_HOME": str(place), **shared_settings()}
    environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'plugins'}"
    done = subprocess.run(
        [sys.executable, "-c", WARM, CHAIN, PARSE],
        env=environment, capture_output=True, text=True, timeout=240, cwd=place,
    )  # fmt: skip
    said = [line.split() for line in done.stdout.splitlines()]
    found = {words[0]: words[1:] for words in said if words and words[0] in ("THREADS", "LATE", "PARSED")}
    assert len(found) == 3, done.stdout[-2000:] + done.stderr[-2000:]
    return found


def test_a_task_forked_from_a_warm_parent_has_nothing_of_weight_left_to_import(warmed):
    heavy = {"fairlearn", "great_expectations", "pandas", "scipy", "skops", "sklearn"}
    assert not heavy & set(warmed["LATE"]), warmed["LATE"]


def test_a_task_forked_from_a_warm_parent_has_the_modules_to_read_its_dag_file_and_the_templates(warmed):
    dags, templates, *late = warmed["PARSED"]
    assert int(dags) > 0
    assert int(templates) == 2, "the templates are compiled"
    assert set(late) <= {"airflow"}, late  # small ones, such as what an operator without work is


@pytest.mark.skipif(sys.platform != "linux", reason="threads are told by /proc")
def test_warming_starts_no_thread_that_a_fork_would_lose(warmed):
    # pyarrow's allocator starts its thread anew after a fork.
    assert len([name for name in warmed["THREADS"] if name != "jemalloc_bg_thd"]) == 1, warmed["THREADS"]
