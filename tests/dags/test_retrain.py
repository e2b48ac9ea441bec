"""The DAG file only wires: its graph is the chain, its form is valid as it opens, and parsing it costs next to nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.config.settings import ROOT

MODELS = ROOT / "include" / "models"

DESCRIBE = """
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
dag = bag.dags.get("retrain_flight_delay")
answer({
    "errors": bag.import_errors,
    "dags": sorted(name for name in bag.dags if name.startswith("retrain_")),
    "graph": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "doc": dag.doc_md,
    "params": dag.params.validate(),
    "retries": {task.task_id: task.partial_kwargs.get("retries") if task.is_mapped else task.retries for task in dag.tasks},
    "start": dag.start_date, "end": dag.end_date, "schedule": dag.timetable.expression,
})
"""


@pytest.fixture(scope="module")
def described(in_airflow: Callable[..., Any]) -> Any:
    return in_airflow(DESCRIBE)


def test_the_graph_is_the_chain(described: Any) -> None:
    found = described
    assert found["errors"] == {}
    assert found["graph"] == {
        "ingest": ["check"],
        "check": ["select", "train"],
        "train": ["select"],
        "select": ["evaluate"],
        "evaluate": ["gate"],
        "gate": ["approve", "keep_champion", "promote", "settle"],
        "approve": ["keep_champion", "promote"],
        "promote": ["settle"],
        "keep_champion": ["settle"],
        "settle": [],
    }
    assert "promote" in found["doc"]
    assert set(found["retries"].values()) == {2}


def test_the_form_is_valid_as_it_opens(described: Any) -> None:
    assert described["params"] == {
        "as_of": None,
        "candidates": ["logistic_regression", "hist_gradient_boosting"],
        "mode": "enforce",
        "reason": None,
    }


def test_a_broken_model_is_an_import_error_that_says_what_to_mend_and_the_others_load(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(MODELS / "flight_delay", tmp_path / "flight_delay")
    text = (MODELS / "flight_delay" / "model.yaml").read_text()
    for name, broken in (
        ("typo", text.replace("label_delay", "label_dely")),
        ("cron", text.replace("@monthly", "61 * * * *")),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.yaml").write_text(broken.replace("name: flight_delay", f"name: {name}"))
    found = in_airflow(DESCRIBE, RATCHET_MODELS=str(tmp_path))
    assert found["dags"] == ["retrain_flight_delay"]
    ((file, message),) = found["errors"].items()
    assert file.endswith("declarations.py"), "a file with an import error takes all of its DAGs out of service"
    assert "typo/model.yaml" in message and "did you mean `label_delay`?" in message
    assert "cron/model.yaml" in message and "expected a cron expression" in message


PARSE = """
opened = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])
    elif event in ("socket.connect", "subprocess.Popen", "os.system"):
        opened.append(f"{event} {arguments[1:]}")
DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])  # once, so that what Airflow itself reads is read
for name in [name for name in sys.modules if name.startswith(("include", "ratchet", "unusual_prefix"))]:
    del sys.modules[name]
heavy = {"boto3", "pandas", "sklearn", "great_expectations", "numpy", "pyarrow", "skops", "optuna", "scipy"}
before = heavy & set(sys.modules)
sys.addaudithook(watch)
DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
answer({"heavy": sorted(heavy & set(sys.modules)), "before": sorted(before), "opened": opened})
"""


def test_parsing_imports_nothing_heavy_and_reads_nothing_but_yaml(in_airflow: Callable[..., Any]) -> None:
    found = in_airflow(PARSE, fresh=True)
    assert found["heavy"] == []
    read = [path for path in found["opened"] if not path.endswith((".py", ".pyc", ".airflowignore", ".so"))]
    ours = [path for path in read if not path.startswith(("/dev", "/proc"))]
    assert ours and all(path.endswith("model.yaml") for path in ours), ours


def test_a_task_parses_only_its_own_model(in_airflow: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("one", "other"):
        shutil.copytree(MODELS / "flight_delay", tmp_path / name)
        path = tmp_path / name / "model.yaml"
        path.write_text(path.read_text().replace("name: flight_delay", f"name: {name}"))
    script = 'answer(sorted(DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags))'
    families = ("reconsider", "reproduce", "retract", "retrain", "rollback", "score")
    settings = {"RATCHET_MODELS": str(tmp_path)}
    assert in_airflow(script, **settings) == sorted(
        f"{family}_{name}" for family in families for name in ("one", "other")
    )
    assert in_airflow(script, **settings, _AIRFLOW_PARSING_CONTEXT_DAG_ID="retrain_one") == ["retrain_one"]
