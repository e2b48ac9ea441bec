"""Imports are paid where tasks are forked from, and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from include.command_line.local_airflow.environment import shared_settings
from include.config.settings import ROOT

SCRIPT = """
import os, sys
from pathlib import Path
from airflow.listeners.listener import get_listener_manager
asked, tasks = sys.argv[1].split(), sys.argv[2:]
for command, setting in (one.split("=") for one in asked):
    sys.argv, os.environ["RATCHET_WARM"] = ["airflow", command], setting
    get_listener_manager().hook.on_starting(component=None)
    warm = {"sklearn", "great_expectations"} & set(sys.modules)
    print("FOUND", command, setting, *sorted(warm))
print("THREADS", *(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")), flush=True)
for task in tasks:
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


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What processes of Airflow say of their imports, and the tasks that are forked from the warm one.

    It is one process, as its imports take seconds; the start that warms it comes last.
    """
    place = tmp_path_factory.mktemp("warm")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "AIRFLOW_HOME": str(place), **shared_settings()}
    environment |= {"PYTHONPATH": str(ROOT), "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins")}
    starts = "triggerer=1 dag-processor=1 scheduler=0 scheduler=1"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, starts, CHAIN, PARSE],
        env=environment, capture_output=True, text=True, timeout=240, cwd=place,
    )  # fmt: skip
    said = [words for line in done.stdout.splitlines() if (words := line.split())]
    assert {"FOUND", "THREADS", "LATE", "PARSED"} <= {words[0] for words in said}, (
        done.stdout[-2000:] + done.stderr[-2000:]
    )
    return said


@pytest.fixture(scope="module")
def warmed(said: list[list[str]]) -> dict[str, list[str]]:
    """What a warm parent and the tasks that are forked from it say."""
    return {words[0]: words[1:] for words in said}


def test_only_the_parent_of_tasks_is_warmed(said):
    assert [words[1:] for words in said if words[0] == "FOUND"] == [
        ["triggerer", "1"],
        ["dag-processor", "1"],
        ["scheduler", "0"],
        ["scheduler", "1", "great_expectations", "sklearn"],
    ]


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
