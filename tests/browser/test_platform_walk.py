"""The controls of platform teams under a real scheduler, by the API and in a browser: retract, tag and alias, promote to a stage, segments, quality."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow_site import Site
from chain_run import declare, month, parcels, run_chain
from segmented import declare_segments, run_segments
from waiting import until

from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.retract import retracted_in
from include.registry.history.trained_on import snapshot_of
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MODELS = "/plugin/models"
REASON = "a scale was broken"
SCHEDULED = {"trigger": "scheduled", "dag": "retrain_parcels", "run": "r"}
PERSON = {"trigger": "manual", "user": "grace"}


@dataclass
class Platform:
    """A running Airflow with champions of parcels and boxes, letters in segments, and the store of production."""

    site: Site
    airflow: LocalAirflow
    production: LocalStore


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[Path], Path]) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    models, store, production = folder / "models", LocalStore(folder / "store"), LocalStore(folder / "production")
    model = declare(models / "parcels")
    for number in (4, 7):
        run_chain(store, model, models / "parcels", month(number), actor=SCHEDULED)
    letters = declare_segments(models / "letters", name="letters")
    run_segments(store, letters, models / "letters", month(4))
    run_chain(store, declare(models / "boxes", name="boxes"), models / "boxes", month(7), actor=SCHEDULED)
    for name in ("parcels", "boxes"):
        rows = parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000)
        declare(folder / "theirs" / name, rows, name=name)
        path = folder / "theirs" / name / "model.yaml"
        path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval: always\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_STORE", store.url)
        patch.setenv("RATCHET_MODELS", str(models))
        patch.setenv("RATCHET_STAGES", f"production={production.url}")
        patch.setenv("RATCHET_STAGE_MODELS", f"production={folder / 'theirs'}")
        with local_airflow(migrated(folder / "home"), port=free_port(8200), triggerer=False) as airflow:
            for dag in ("retract_parcels", "promote_to_production_parcels", "promote_to_production_boxes"):
                airflow.wait_ready(dag)
            running = Site(airflow.address, {}, store, models, [])
            login = {"username": USER, "password": password(folder / "home")}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            yield Platform(running, airflow, production)


@pytest.fixture(scope="module")
def site(platform: Platform) -> Site:
    """For `page_of`: the site of this module."""
    return platform.site


def test_a_champion_goes_to_production_by_a_persons_answer(platform: Platform) -> None:
    running, airflow = platform.site, platform.airflow
    champion = Ledger(running.store, "boxes").timeline().champion
    there = Ledger(platform.production, "boxes")
    path = "/api/v2/dags/promote_to_production_boxes/dagRuns"
    body = {"logical_date": None, "conf": {"as_of": "2024-10-01T00:00:00Z", "reason": "release"}}
    status, _, text = running.ask(path, method="POST", user=USER, body=body)
    assert status == 200, text
    run = json.loads(text)["dag_run_id"]

    waiting = f"{path}/{run}/hitlDetails?response_received=false&state=awaiting_input"
    (asked,) = until(lambda: json.loads(running.ask(waiting, user=USER)[2])["hitl_details"], "the question")
    assert asked["subject"].startswith(f"Put {champion} of boxes in force in production?")
    assert there.timeline().champion is None
    card = next(part for part in asked["body"].split("(") if part.startswith("/ratchet/boxes/cards/")).partition(")")[0]
    assert running.ask(card, user=USER)[0] == 200, "the card is shown by this Airflow, whose store is another one"
    time.sleep(8)  # Airflow hears of the parked task's end up to five seconds later
    answer = {"chosen_options": ["Approve"], "params_input": {"note": "seen on staging"}}
    place = f"{path}/{run}/taskInstances/approve/-1/hitlDetails"
    status, _, text = running.ask(place, method="PATCH", user=USER, body=answer)
    assert status == 200, text

    def over() -> Any:
        state = airflow.api.get(f"dags/promote_to_production_boxes/dagRuns/{run}")["state"]
        return state if state in ("success", "failed") else None

    assert until(over, "the end of the run") == "success"
    timeline = there.timeline()
    assert timeline.champion == champion
    decision = timeline[str(champion)].decision
    assert decision is not None and decision.approval is not None
    assert (decision.approval["user"], decision.approval["note"]) == (USER, "seen on staging")
    (registered, decided) = there.entries()
    assert registered.body["actor"]["user"] == USER and decided.body["actor"]["dag"] == "promote_to_production_boxes"


def test_what_platform_teams_click_is_what_the_ledgers_say(
    platform: Platform, page_of: Callable[..., Any], tmp_path: Path
) -> None:
    site, page = platform.site, page_of(USER, MODELS)
    page.set_default_timeout(180_000)
    pictures = Path(os.environ.get("RATCHET_PICTURES", tmp_path))
    ledger = Ledger(site.store, "parcels")
    champion = str(ledger.timeline().champion)

    def see(path: str) -> Any:
        page.goto(site.address + MODELS + path)
        page.locator("main.ratchet[data-ready]").wait_for(state="attached")
        return page.locator("main.ratchet")

    def picture(name: str) -> None:
        page.screenshot(path=pictures / f"{name}.png", full_page=True)

    def send(button: str, **fields: str) -> None:
        dialog = page.get_by_role("dialog")
        for label, text in fields.items():
            dialog.get_by_label(label.replace("_", " ")).fill(text)
        dialog.get_by_role("button", name=button).click()
        page.wait_for_url("**/runs/**", wait_until="commit")

    # Tags and aliases are given on the command line or in code; the pages show them, and an alias is an address.
    at = datetime.now(UTC)
    ledger.tag(champion, "ticket", "OPS-7", "asked by audit", actor=PERSON, at=at)
    ledger.alias("canary", champion, "tried in the east first", actor=PERSON, at=at)
    main = see("/parcels/versions/canary")
    assert champion in main.locator(".lead.id").inner_text(), "an alias is an address"
    assert "canary" in main.locator("h1").inner_text() and "ticket=OPS-7" in main.inner_text()
    main = see("/parcels")
    assert re.search(r"canary.*tried in the east first", main.locator("[aria-labelledby=aliases]").inner_text(), re.S)

    # The segments of the other model are one table.
    main = see("/letters")
    told = main.locator("[aria-labelledby=segments]").inner_text()
    promoted = {
        name: Ledger(site.store, f"letters/segments/{name}").timeline().champion for name in ("ant", "bee", "cat")
    }
    assert sum(version is not None for version in promoted.values()) >= 2
    for name, version in promoted.items():
        assert name in told and (version is None or version[-10:] in told.replace(" ", ""))
    picture("segments")

    # A version is sent to production from its page, a person answers there, and that ledger says so.
    see(f"/parcels/versions/{champion}")
    page.get_by_role("button", name="Promote to production").click()
    send("Promote to production", As_of="2024-10-01T00:00:00", Reason="release")
    asked = (
        "/api/v2/dags/promote_to_production_parcels/dagRuns/~/hitlDetails?response_received=false&state=awaiting_input"
    )
    until(lambda: json.loads(site.ask(asked, user=USER)[2])["hitl_details"], "the question")
    time.sleep(8)  # Airflow hears of the parked task's end up to five seconds later
    see("").locator(".needs li.approval").get_by_role("link", name="parcels").click()
    page.wait_for_url("**/required_actions**", wait_until="commit")
    page.get_by_text(f"Put {champion} of parcels in force in production?").first.wait_for()
    page.get_by_role("textbox").last.fill("seen on staging")
    picture("promotion")
    page.get_by_role("button", name="Approve", exact=True).click()
    there = Ledger(platform.production, "parcels")
    until(lambda: there.timeline().champion == champion, "the champion of production")
    decision = there.timeline()[champion].decision
    assert decision is not None and decision.approval is not None
    assert (decision.approval["user"], decision.approval["note"]) == (USER, "seen on staging")

    # The newest partition that the champion learned from is taken back by Airflow's form; pages and card say so.
    snapshot = snapshot_of(ledger, champion)
    pinned = next(one for one in reversed(snapshot.partitions) if one.rows)
    page.goto(f"{site.address}/dags/retract_parcels")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    of = {"Which reading": {"partition": pinned.slot, "reading": pinned.content[:12]}, "Why": {"reason": REASON}}
    for section, fields in of.items():
        header = dialog.get_by_role("button", name=section)
        if header.get_attribute("aria-expanded") == "false":  # Airflow shows one section at a time
            header.click()
        for field, text in fields.items():
            dialog.locator(f"#element_{field}").fill(text)
    picture("retract")
    dialog.get_by_role("button", name="Trigger", exact=True).click()

    def gone() -> list[Any]:
        return retracted_in(snapshot, lambda source: Catalogue(site.store, "parcels", source.source))

    (retraction,) = until(gone, "the retraction")
    assert (retraction.slot, retraction.reason, retraction.actor["user"]) == (pinned.slot, REASON, USER)
    assert ledger.timeline().champion == champion, "nobody is demoted"
    said = f"partition {pinned.slot}, taken back on"
    assert said in see(f"/parcels/versions/{champion}").inner_text()
    picture("version")
    # The overview would show it within a minute; what a version's own page has read it shows at once.
    assert said in see("").locator(".needs").inner_text()
    card = f"{site.address}/ratchet/models/parcels/versions/{champion}/card"
    page.goto(card)
    assert said in page.locator("header").inner_text()
    picture("card")

    # The report of the check that the champion's rows went through draws their distributions.
    door = see(f"/parcels/versions/{champion}").get_by_role("link", name="Quality report")
    page.goto(site.address + str(door.get_attribute("href")))
    page.get_by_role("heading", name="Distributions").wait_for()
    assert page.locator("svg").count() >= 3
    picture("quality")
