"""Two stores as stages under a real scheduler: a champion is in force in production once a person has answered Airflow's form."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_site import Site
from chain_run import declare, month, parcels, run_chain
from waiting import until

from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG = "promote_to_production_parcels"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[Path], Path]
) -> Iterator[tuple[Site, LocalAirflow, LocalStore]]:
    folder = tmp_path_factory.mktemp("stages")
    staging, production = LocalStore(folder / "staging"), LocalStore(folder / "production")
    model = declare(folder / "models" / "parcels")
    run_chain(staging, model, folder / "models" / "parcels", month(7), actor={"trigger": "scheduled", "dag": "r"})
    declare(folder / "theirs" / "parcels", parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000))
    path = folder / "theirs" / "parcels" / "model.yaml"
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval: always\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_STORE", staging.url)
        patch.setenv("RATCHET_MODELS", str(folder / "models"))
        patch.setenv("RATCHET_STAGES", f"production={production.url}")
        patch.setenv("RATCHET_STAGE_MODELS", f"production={folder / 'theirs'}")
        with local_airflow(migrated(folder / "home"), port=free_port(8180), triggerer=False) as airflow:
            airflow.wait_ready(DAG)
            running = Site(airflow.address, {}, staging, folder / "models", [])
            login = {"username": USER, "password": password(folder / "home")}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            yield running, airflow, production


def test_a_champion_goes_to_production_by_a_persons_answer(site: tuple[Site, LocalAirflow, LocalStore]) -> None:
    running, airflow, store = site
    champion = Ledger(running.store, "parcels").timeline().champion
    there = Ledger(store, "parcels")
    path = f"/api/v2/dags/{DAG}/dagRuns"
    body = {"logical_date": None, "conf": {"as_of": "2024-10-01T00:00:00Z", "reason": "release"}}
    status, _, text = running.ask(path, method="POST", user=USER, body=body)
    assert status == 200, text
    run = json.loads(text)["dag_run_id"]

    waiting = f"{path}/{run}/hitlDetails?response_received=false&state=awaiting_input"
    (asked,) = until(lambda: json.loads(running.ask(waiting, user=USER)[2])["hitl_details"], "the question")
    assert asked["subject"].startswith(f"Put {champion} of parcels in force in production?")
    assert there.timeline().champion is None
    card = next(part for part in asked["body"].split("(") if part.startswith("/ratchet/parcels/cards/")).partition(")")[
        0
    ]
    assert running.ask(card, user=USER)[0] == 200, "the card is shown by this Airflow, whose store is another one"
    time.sleep(8)  # Airflow hears of the parked task's end up to five seconds later
    answer = {"chosen_options": ["Approve"], "params_input": {"note": "seen on staging"}}
    place = f"{path}/{run}/taskInstances/approve/-1/hitlDetails"
    status, _, text = running.ask(place, method="PATCH", user=USER, body=answer)
    assert status == 200, text

    def over() -> Any:
        state = airflow.api.get(f"dags/{DAG}/dagRuns/{run}")["state"]
        return state if state in ("success", "failed") else None

    assert until(over, "the end of the run") == "success"
    timeline = there.timeline()
    assert timeline.champion == champion
    decision = timeline[str(champion)].decision
    assert decision is not None and decision.approval is not None
    assert (decision.approval["user"], decision.approval["note"]) == (USER, "seen on staging")
    (registered, decided) = there.entries()
    assert registered.body["actor"]["user"] == USER and decided.body["actor"]["dag"] == DAG
