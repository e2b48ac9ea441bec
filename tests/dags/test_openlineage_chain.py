"""Runs of every DAG family tell OpenLineage what they read and wrote, and what they tell connects the source with what is delivered."""

from __future__ import annotations

import importlib.util
import inspect
import json
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from chain_run import declare, month, parcels
from openlineage_receiver import receiver
from segmented import declare_segments

import ratchet_operators
from include.config.load import load_model
from include.data.ingestion.retract import readings
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-openlineage.txt")

MIRRORS = importlib.util.find_spec("mlflow") is not None

SAYS_NOTHING = {
    "Approve": "asks a person by what the task before it measured, which tells of it",
    "ReconsiderMatured": "starts another DAG, whose tasks tell",
    "Waits": "is the base of those that bring rows in",
    "RatchetOperator": "is the base of all",
    "ChampionOperator": "is the base of those that may change the champion",
    "DecisionOperator": "is the base of those that decide",
    **({} if MIRRORS else {"Mirror": "can't run here: the client of MLflow is not installed"}),
}
"""Operators whose tasks read and write no data set by themselves."""

RUN = """
import pendulum
__file__ = "run.py"  # pyspark, which MLflow's client looks for, ends a process whose main module has no file
found, bag = [], DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
for name, conf in json.loads(sys.argv[1]):
    dag = bag.dags[name]
    run = dag.test(logical_date=pendulum.parse(conf.get("as_of") or "2024-12-01"), run_conf=conf)
    found.append([name, str(run.state), {ti.task_id: str(ti.state) for ti in run.get_task_instances()}])
answer(found)
"""


@dataclass(frozen=True)
class Told:
    """What was told by tasks that ended well."""

    folder: Path
    events: list[dict[str, Any]]

    def of(self, job: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["job"]["name"] == job]

    @property
    def edges(self) -> dict[str, set[str]]:
        """From each data set those that a task made while it read that one."""
        found: dict[str, set[str]] = defaultdict(set)
        for one in self.events:
            for read in one["inputs"]:
                found[read["name"]] |= {made["name"] for made in one["outputs"]}
        return found

    def reach(self, place: str) -> set[str]:
        seen, edges = {place}, self.edges
        while more := {to for one in seen for to in edges.get(one, ())} - seen:
            seen |= more
        return seen


@pytest.fixture(scope="module")
def told(
    in_airflow: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Told]:
    mlflow_address = request.getfixturevalue("mlflow_address") if MIRRORS else ""
    folder = tmp_path_factory.mktemp("lineage")
    model_folder, path = folder / "models" / "parcels", folder / "models" / "parcels" / "model.yaml"
    source = {"source": "{kind: files, path: rows.parquet, format: parquet}"}
    declare(
        model_folder, parcels().assign(street=lambda frame: "canary-street-" + frame["parcel"].astype(str)), **source
    )
    deliver = json.dumps({"deliver": [{"kind": "files", "path": (folder / "delivered").as_uri()}]})
    schedule = 'end: 2025-01-01, score: "@monthly", monitor: "@monthly", audit: "@weekly"}'
    text = path.read_text().replace("end: 2025-01-01}", schedule)
    path.write_text(f"{text}score: {deliver}\nretention: {{quarantine: 1s, versions: 1s}}\n")
    others = parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000)
    declare(folder / "production" / "parcels", others.assign(street="canary-street"), **source)
    declare_segments(folder / "segmented" / "parcels")

    with receiver() as (address, events):
        settings = {
            "RATCHET_MODELS": str(folder / "models"),
            "RATCHET_STORE": (folder / "store").as_uri(),
            "RATCHET_STAGES": f"production={(folder / 'stage').as_uri()}",
            "RATCHET_STAGE_MODELS": f"production={folder / 'production'}",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": address, "endpoint": "lineage"}),
        }

        def run(*dags: tuple[str, dict[str, Any]], **other: str) -> None:
            for name, state, tasks in in_airflow(RUN, json.dumps(dags), **(settings | other)):
                assert state == "success", (name, tasks)

        def as_of(number: int) -> dict[str, str]:
            return {"as_of": month(number).isoformat()}

        run(("retrain_parcels", as_of(4)), **({"RATCHET_MLFLOW": mlflow_address} if MIRRORS else {}))
        path.write_text(path.read_text().replace("confidence: 0.9}", "confidence: 0.9999}"))
        run(
            *((name, as_of(number)) for number in (6, 7) for name in ("score_parcels", "monitor_parcels")),
            ("promote_to_production_parcels", as_of(11)),
            ("audit_parcels", {}),
            ("reproduce_parcels", {}),
        )
        first = readings(LocalStore(folder / "store"), load_model(path), model_folder, "2024-02")[0].found.content
        run(
            ("retrain_parcels", as_of(9)),
            ("reconsider_parcels", as_of(12)),
            ("tidy_parcels", {"remove": True}),
            ("retract_parcels", {"partition": "2024-02", "reading": first, "reason": "a broken sensor"}),
            ("rollback_parcels", {"reason": "wrong units"}),
        )
        here = {"RATCHET_MODELS": str(folder / "segmented"), "RATCHET_STORE": (folder / "segments").as_uri()}
        run(("retrain_parcels", as_of(4)), **here, RATCHET_STAGES="", RATCHET_STAGE_MODELS="")
    yield Told(folder, [one for one in events if one["eventType"] == "COMPLETE" and "." in one["job"]["name"]])


def test_every_operator_tells_what_it_read_and_wrote_or_says_why_not(told: Told) -> None:
    own = set()
    for module in pkgutil.iter_modules(ratchet_operators.__path__):
        for name, kind in vars(importlib.import_module(f"ratchet_operators.{module.name}")).items():
            if inspect.isclass(kind) and issubclass(kind, BaseOperator) and kind.__module__.startswith("ratchet_"):
                own |= {name} if not name.startswith("_") else set()
    tells = set()
    for one in told.events:
        if one["inputs"] or one["outputs"]:
            tells.add(one["run"]["facets"]["airflow"]["task"]["operator_class"])
    assert own - tells == SAYS_NOTHING.keys(), "set `lineage` in its `work`, and run it here"


def test_the_graph_leads_from_the_source_to_the_delivered_scores_and_the_watch(told: Told) -> None:
    store = f"{told.folder}/store/parcels"
    (source,) = {read["name"] for one in told.of("retrain_parcels.ingest") for read in one["inputs"]}
    assert source == str(told.folder / "models" / "parcels" / "rows.parquet")
    (partitions,) = {one for one in told.edges[source] if one.startswith(f"{store}/partitions/")}
    chain = [partitions, f"{store}/fits", f"{store}/versions", f"{store}/evidence", f"{store}/ledger"]
    for before, after in pairwise([source, *chain]):
        assert after in told.edges[before], (before, after)
    chain = [f"{store}/fits", f"{store}/champion", f"{store}/scores", str(told.folder / "delivered")]
    for before, after in pairwise(chain):
        assert after in told.edges[before], (before, after)
    assert f"{store}/watch" in told.edges[f"{store}/scores"] & told.edges[partitions] & told.edges[f"{store}/champion"]
    stage = f"{told.folder}/stage/parcels"
    assert f"{stage}/versions" in told.edges[f"{store}/champion"]
    assert f"{stage}/ledger" in told.reach(source), "where the stage's gate decided on it"
    of_segments = f"{told.folder}/segments/parcels"
    (rows,) = {one for one in told.edges if one.startswith(f"{of_segments}/partitions/")}
    assert f"{of_segments}/segments/ant/champion" in told.edges[rows]


def test_versions_and_numbers_of_rows_are_those_on_record(told: Told) -> None:
    store = LocalStore(told.folder / "store")
    ledger = Ledger(store, "parcels")
    (first, *_) = ledger.timeline().standings
    (promoted, *_) = told.of("retrain_parcels.promote")
    assert version_of(promoted["outputs"], "/champion") == first.version
    assert first.decision is not None and version_of(promoted["inputs"], "/evidence") == first.decision.evidence
    evaluated = told.of("retrain_parcels.evaluate")[0]
    assert version_of(evaluated["inputs"], "/versions") == first.version
    scored = told.of("score_parcels.score")[0]
    (made,) = scored["outputs"]
    rows = made["outputFacets"]["outputStatistics"]["rowCount"]
    (delivered,) = told.of("score_parcels.deliver")[0]["inputs"]
    assert delivered["inputFacets"]["inputStatistics"]["rowCount"] == rows > 100
    assert version_of([delivered], "/scores") == version_of([made], "/scores")
    watched = told.of("monitor_parcels.monitor")
    assert version_of(watched[0]["inputs"], "/scores") == version_of([made], "/scores")
    assert {one["name"] for one in watched[1]["inputs"]} >= {str(told.folder / "models" / "parcels" / "rows.parquet")}
    checked = told.of("retrain_parcels.check")[0]
    (aside,) = checked["outputs"]
    assert aside["name"].endswith("/quarantine") and 0 < aside["outputFacets"]["outputStatistics"]["rowCount"] < 50


def test_a_clean_up_tells_how_much_it_removed_and_a_retraction_which_reading(told: Told) -> None:
    (tidied,) = told.of("tidy_parcels.tidy")
    assert {one["name"].rpartition("/")[2] for one in tidied["outputs"]} == {"stored_bytes"}, "a mark removes nothing"
    (retracted,) = told.of("retract_parcels.retract")
    (before,), (after,) = retracted["inputs"], retracted["outputs"]
    assert before["name"] == after["name"] and "/partitions/" in before["name"]
    assert before["facets"]["version"]["datasetVersion"].startswith("2024-02/")
    assert before["facets"]["version"] != after["facets"]["version"]


def test_no_value_of_any_row_is_told(told: Told) -> None:
    text = json.dumps([one for one in told.events if not one["job"]["name"].endswith("retrain_segment")])
    assert "expect_column_values_to_be_in_set" in text and '"street"' in text
    assert "canary-street" not in text and not any(f'"{level}"' in text for level in ("ant", "bee", "cat"))


def version_of(datasets: list[dict[str, Any]], kind: str) -> str:
    found = [one["facets"]["version"]["datasetVersion"] for one in datasets if one["name"].endswith(kind)]
    assert found, [one["name"] for one in datasets]
    return str(found[0])
