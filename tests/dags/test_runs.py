"""Whole runs of the DAG in Airflow, without a scheduler: one an outcome, a dry run, and data that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare, month, parcels, run_chain

from include.registry.ledger import Ledger
from include.storage.local import LocalStore

RUN = """
import pendulum
from sqlalchemy import select
from airflow.models.asset import AssetEvent
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
told = []
for date, conf in json.loads(sys.argv[1]):
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["retrain_parcels"]  # anew: a run leaves its params in it
    run = dag.test(logical_date=pendulum.parse(date), run_conf={"as_of": date, **conf})
    instances = run.get_task_instances()
    with create_session() as session:
        links = session.scalars(select(XComModel.value).where(
            XComModel.run_id == run.run_id, XComModel.key == "_link_PageLink")).all()
        handed = session.execute(select(XComModel.map_index, XComModel.value).where(
            XComModel.run_id == run.run_id, XComModel.task_id == "train", XComModel.key == "return_value")).all()
        handed = {number: json.loads(value) if isinstance(value, str) else value for number, value in handed}
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id)).all()
        events = [{"uri": event.asset.uri, **event.extra} for event in events]
    told.append({
        "state": run.state,
        "tasks": {f"{ti.task_id}{ti.map_index if ti.map_index >= 0 else ''}": ti.state for ti in instances},
        "tries": max(ti.try_number for ti in instances),
        "fits": {number: sorted(value["fits"]) for number, value in handed.items()},
        "links": sorted(filter(None, links)),
        "events": events,
    })
answer(told)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    declare(folder / "models" / "parcels")
    return folder


@pytest.fixture
def runs(in_airflow: Callable[..., Any], place: Path) -> Callable[..., Any]:
    def runs(*dates: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
        import json

        asked = json.dumps([(month(number).isoformat(), conf) for number, conf in dates])
        settings = {"RATCHET_MODELS": str(place / "models"), "RATCHET_STORE": (place / "store").as_uri()}
        found: list[dict[str, Any]] = in_airflow(RUN, asked, **settings)
        return found

    return runs


def test_a_dry_run_a_promotion_and_what_is_not_promoted(runs: Callable[..., Any], place: Path) -> None:
    ledger = Ledger(LocalStore(place / "store"), "parcels")
    dry, first, second = runs((4, {"mode": "dry_run"}), (4, {}), (4, {"candidates": ["logistic_regression"]}))

    assert dry["state"] == "success" and dry["events"] == []
    assert (dry["tasks"]["promote"], dry["tasks"]["keep_champion"], dry["tasks"]["settle"]) == (
        "skipped",
        "success",
        "skipped",
    )

    # The simple baseline is declared just as a candidate is, and fitted once, where that is.
    assert first["fits"] == {"0": ["logistic_regression", "simple"], "1": ["decision_tree"], "2": ["trivial"]}
    assert second["fits"] == {"0": ["logistic_regression", "simple"], "2": ["trivial"]}

    standings = ledger.timeline().standings
    assert [entry.kind for entry in ledger.entries()] == ["registered", "decided"] * 2
    assert (first["tasks"]["promote"], first["tasks"]["keep_champion"]) == ("success", "skipped")
    assert first["events"] == [
        {
            "uri": "x-ratchet://parcels/champion",
            "version": standings[0].version,
            "before": None,
            "event": 1,
            "digest": ledger.entries()[1].digest,
            "as_of": "2024-04-01T00:00:00Z",
            "metric": "roc_auc",
            "value": standings[0].decision.primary["challenger"],
        }
    ]
    assert any("/ratchet/parcels/checks/" in link for link in first["links"])
    assert any("/ratchet/parcels/cards/" in link for link in first["links"])

    assert second["state"] == "success", "a rejection is a success of the run"
    assert standings[1].decision.outcome != "PROMOTE" and standings[1].decision.incumbent == standings[0].version
    assert (second["tasks"]["promote"], second["tasks"]["keep_champion"]) == ("skipped", "success")
    assert (second["tasks"]["train0"], second["tasks"]["train1"]) == ("success", "skipped")
    assert second["events"] == []


def test_refused_data_fail_the_run_at_once_with_the_report_on_record_and_linked(
    runs: Callable[..., Any], place: Path
) -> None:
    rows = parcels()
    rows.loc[rows.index % 50 == 0, "carrier"] = "dog"
    declare(place / "models" / "parcels", rows, partition="day")
    (refused,) = runs((6, {}))
    assert refused["state"] == "failed" and refused["tries"] == 1
    assert refused["tasks"]["check"] == "failed" and refused["tasks"]["settle"] == "upstream_failed"
    (link,) = refused["links"]
    assert (place / "store" / "parcels" / "checks" / f"{link.rpartition('/')[2]}.html").exists()


def test_a_renamed_model_has_new_dags_and_assets_and_its_old_champion(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    import json

    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    first = run_chain(store, declare(folder), folder, month(4))["select"]
    path = folder.rename(folder.with_name("consignments")) / "model.yaml"
    path.write_text(path.read_text().replace("name: parcels", "name: consignments\nrenamed_from: parcels"))
    settings = {"RATCHET_MODELS": str(tmp_path / "models"), "RATCHET_STORE": store.url}
    script = RUN.replace("retrain_parcels", "retrain_consignments")
    (run,) = in_airflow(script, json.dumps([(month(7).isoformat(), {})]), **settings)
    timeline = Ledger(store, "parcels").timeline()
    assert run["state"] == "success" and timeline.standings[0].version == first
    (event,) = run["events"]
    assert (event["uri"], event["before"]) == ("x-ratchet://consignments/champion", first)
    assert event["version"] == timeline.champion == timeline.standings[-1].version
    assert not list(store.list("consignments/ledger/")) and list(store.list("consignments/")), "one history"
