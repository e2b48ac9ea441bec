"""What parsing costs with 1 to 1,000 models, beside as many DAGs written by hand, and what a task parses of it.

python -m benchmarks.parse            # minutes; writes its part of docs/performance.md

Every figure is processor time, the best of a few fresh processes, imports apart: a DAG
processor and a task have paid those before. *Airflow's own* is a file that makes DAGs of the same tasks, forms and wiring out
of Airflow's empty operators.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.page import machine, put
from include.config.settings import ROOT

ALLOWED = 0.010
"""Seconds that a DAG may cost beyond Airflow's own."""

PLAIN = """
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param

SHAPES = json_shapes


def form(shape):
    return {name: Param(**field) for name, field in shape["params"].items()}


for number in range(how_many):
    for family, shape in SHAPES.items():
        with DAG(
            dag_id=f"{family}_{number:03}",
            description="A question",
            doc_md="A page",
            schedule=CronTriggerTimetable("@monthly", timezone="UTC") if shape["scheduled"] else None,
            start_date=datetime(2013, 5, 1, tzinfo=timezone.utc),
            catchup=False,
            params=form(shape),
            tags=["plain", str(number)],
            default_args={"owner": "operations", "retries": 2, "retry_delay": timedelta(seconds=20)},
        ):
            tasks = {name: EmptyOperator(task_id=name) for name in shape["tasks"]}
            for name, after in shape["tasks"].items():
                tasks[name] >> [tasks[other] for other in after]
"""

SHAPES = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
shapes = {}
for dag in bag.dags.values():
    shapes[dag.dag_id.removesuffix("_model_000")] = {
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "params": {
            name: {"default": param.value, **param.schema}
            for name, param in ((name, dag.params.get_param(name)) for name in dag.params)
        },
        "scheduled": type(dag.timetable).__name__ == "CronTriggerTimetable",
    }
print("ANSWER" + json.dumps(shapes, default=str))
"""

MEASURE = """
import gc, json, logging, os, sys, time
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
import airflow.providers.standard.operators.empty
sys.path[:0] = [os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"]]
import ratchet_operators
files = json.loads(sys.argv[1])
# What a parsing process has imported before: everything that one model and an empty DAG ask for.
models, os.environ["RATCHET_MODELS"] = os.environ["RATCHET_MODELS"], sys.argv[3]
for file in [sys.argv[2], *files]:
    DagBag(file)
os.environ["RATCHET_MODELS"] = models
gc.collect()

def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before = held()
started = time.process_time()
bags = [DagBag(file) for file in files]
parsed = time.process_time()
dags = [dag for bag in bags for dag in bag.dags.values()]
assert not any(bag.import_errors for bag in bags), bags[0].import_errors
gc.collect()
print("ANSWER" + json.dumps([len(dags), parsed - started, (held() - before) / 1024]))
"""


def ask(script: str, *arguments: str, **settings: str) -> object:
    """Run a script in a fresh process that has Airflow, and return what it answers."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "RATCHET"))}
    environment = {
        **kept,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        **settings,
    }
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    answers = [line.removeprefix("ANSWER") for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    if not answers:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return json.loads(answers[-1])


def declare(folder: Path, number: int) -> None:
    """Declare so many models."""
    source = ROOT / "include" / "models" / "flight_delay"
    for one in range(number):
        name = f"model_{one:03}"
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / name / "model.yaml"
        path.write_text(path.read_text().replace("name: flight_delay", f"name: {name}"))


def best(files: list[Path], repeats: int, **settings: str) -> tuple[int, float, float]:
    """Return how many DAGs files make, the least seconds to parse them, and the kilobytes that a process holds for them."""
    empty = Path(settings["AIRFLOW_HOME"]) / "empty.py"
    empty.write_text("from airflow.sdk import DAG\nwith DAG('empty', schedule=None): pass\n")
    asked = (json.dumps([str(file) for file in files]), str(empty), str(Path(settings["AIRFLOW_HOME"]) / "one"))
    found = [ask(MEASURE, *asked, **settings) for _ in range(repeats)]
    dags, parsed, kilobytes = zip(*found, strict=True)
    return dags[0], min(parsed), min(kilobytes)


def main() -> None:
    """Print the table; fail if a DAG costs more than is allowed, or a task parses more than its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    wanted = parser.parse_args()
    files, worst = sorted((ROOT / "dags").glob("*.py")), 0.0
    rows = [
        "| models | DAGs | parse, s | Airflow's own, s | beyond it, ms a DAG | memory, kB a DAG | Airflow's own, kB a DAG | a task's parse, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for number in wanted.models:
        with tempfile.TemporaryDirectory(prefix="ratchet-benchmark-") as made:
            folder = Path(made)
            settings = {"AIRFLOW_HOME": made, "RATCHET_MODELS": str(folder / "models")}
            declare(folder / "models", number)
            one = {**settings, "RATCHET_MODELS": str(folder / "one")}
            declare(folder / "one", 1)
            shapes = ask(SHAPES, **one)
            plain = folder / "plain.py"
            plain.write_text(PLAIN.replace("json_shapes", repr(shapes)).replace("how_many", str(number)))
            dags, parsed, kilobytes = best(files, wanted.repeats, **settings)
            same, own, plain_kilobytes = best([plain], wanted.repeats, **settings)
            mine, task, _ = best(
                [ROOT / "dags" / "retrain.py"],
                wanted.repeats,
                **settings,
                _AIRFLOW_PARSING_CONTEXT_DAG_ID="retrain_model_000",
            )
        if dags != same or mine != 1:
            raise SystemExit(f"{dags} DAGs beside {same}, and {mine} for a task")
        beyond = (parsed - own) / dags
        worst = max(worst, beyond)
        memory = f"{kilobytes / dags:.0f} | {plain_kilobytes / dags:.0f}"
        rows.append(
            f"| {number} | {dags} | {parsed:.3f} | {own:.3f} | {1000 * beyond:.1f} | {memory} | {1000 * task:.0f} |"
        )
    table = f"{machine()}\n\n" + "\n".join(rows)
    print(table)  # noqa: T201 (a command's answer)
    if not wanted.print:
        put("parse", table)
    if worst > ALLOWED:
        raise SystemExit(
            f"A DAG costs {1000 * worst:.1f} ms beyond Airflow's own; {1000 * ALLOWED:.0f} ms are allowed."
        )


if __name__ == "__main__":
    main()
