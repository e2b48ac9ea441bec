"""A whole story in a browser, under a real scheduler: train, be asked, answer or don't, roll back; as people do it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_site import Site
from chain_run import declare

from include.command_line.local_airflow import standalone as local
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.standalone import free_port, local_airflow
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome, VersionState
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MODELS = "/plugin/models"
PATIENCE = 600
"""Seconds until what is waited for is given up."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated: Callable[[Path], Path]) -> Iterator[Site]:
    """Airflow with two models whose every promotion waits for a person: for ten minutes, or for two seconds."""
    folder = tmp_path_factory.mktemp("story")
    models, home = folder / "models", migrated(folder / "home")
    declare(models / "parcels", guards="[]\n  approval: {when: always, within: 10min}")
    declare(models / "letters", guards="[]\n  approval: {when: always, within: 2s}", name="letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_STORE", (folder / "store").as_uri())
        patch.setenv("RATCHET_MODELS", str(models))
        patch.setattr(local, "PATIENCE", PATIENCE)
        with local_airflow(home, port=free_port(8130), triggerer=False) as airflow:
            for dag in ("retrain_parcels", "retrain_letters", "rollback_parcels"):
                airflow.wait_ready(dag)
            running = Site(airflow.address, {}, LocalStore(folder / "store"), models, [])
            login = {"username": USER, "password": password(home)}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            yield running


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.5)
    return answer


class Story:
    """What a person does in one window, and what the ledger then says."""

    def __init__(self, site: Site, page: Any) -> None:
        self.site, self.page = site, page
        page.set_default_timeout(PATIENCE * 1000)

    def see(self, path: str) -> Any:
        """Go to a page of ours; return its content once Airflow's API was asked, too."""
        self.page.goto(self.site.address + MODELS + path)
        self.page.locator("main.ratchet[data-ready]").wait_for(state="attached")
        return self.page.locator("main.ratchet")

    def champion(self, model: str) -> str:
        """Return the version that the model's page shows to be in force, in its table and on its timeline."""
        main = self.see(f"/{model}")
        row = main.locator("tr.champion a").first.get_attribute("href")
        assert main.locator(".history .champion-period.now").get_attribute("href") == row
        return str(row).rpartition("/")[2]

    def send(self, button: str, **fields: str) -> None:
        """Open the form behind a button of the page, fill it in and send it; the window is then at the run."""
        self.page.get_by_role("button", name=button).click()
        dialog = self.page.get_by_role("dialog")
        for label, text in fields.items():
            dialog.get_by_label(label.replace("_", " ")).fill(text)
        dialog.get_by_role("button", name=button).click()
        self.page.wait_for_url("**/runs/**", wait_until="commit")

    def retrain(self, model: str, as_of: str) -> None:
        self.see(f"/{model}")
        self.send("Retrain", As_of=f"{as_of}T00:00:00")

    def answer(self, model: str, word: str, reason: str) -> None:
        """Follow the approval that waits on the overview to Airflow's form, look at the evidence, and answer."""
        asked = f"/api/v2/dags/retrain_{model}/dagRuns/~/hitlDetails?response_received=false&state=awaiting_input"
        until(lambda: json.loads(self.site.ask(asked, user=USER)[2])["hitl_details"], "an approval")
        # Airflow hears of the parked task's end up to five seconds later; answered before, it takes it for lost and asks again.
        time.sleep(8)
        needs = self.see("").locator(".needs li.approval")
        needs.get_by_role("link", name=model).click()
        self.page.wait_for_url("**/required_actions**", wait_until="commit")
        self.page.get_by_role("img", name="Gains with their two-sided 95 % intervals").wait_for()
        drawn = "[...document.images].filter(i => i.alt.startsWith('Gains')).every(i => i.naturalWidth > 100)"
        until(lambda: self.page.evaluate(drawn), "the picture of the gains")
        self.page.get_by_role("cell", name="ROC AUC").first.wait_for()
        button = self.page.get_by_role("button", name=word, exact=True)
        assert button.is_disabled(), "an answer takes a reason"
        self.page.get_by_role("textbox").last.fill(reason)
        button.click()

    def failure(self, path: str, where: str) -> str:
        """Return what a page tells of a failed run; empty if it tells of none."""
        found = self.see(path).locator(where).filter(has_text="failed")
        return str(found.first.inner_text()) if found.count() else ""

    def decided(self, model: str, count: int) -> VersionState:
        """Wait until so many versions are decided on; return the newest."""

        def enough() -> VersionState | None:
            standings = Ledger(self.site.store, model).timeline().standings
            return standings[-1] if len([s for s in standings if s.decision]) == count else None

        found: VersionState = until(enough, f"decision number {count} on {model}")
        assert found.decision is not None
        return found


def test_train_be_asked_answer_or_not_and_roll_back(site: Site, page_of: Callable[..., Any]) -> None:
    story = Story(site, page_of(USER, MODELS))

    # A run that fails stands on the page of a model that has no version yet, with its reason, and on the overview.
    assert "No version yet" in story.see("/parcels").inner_text()
    story.retrain("parcels", "2023-11-01")
    reason = until(lambda: story.failure("/parcels", "[data-runs]"), "a failed run")
    assert re.search("ingest: The source has no row for the train window", reason)
    assert "The source has no row for the train window" in story.failure("", ".needs li.failed")
    log = story.see("/parcels").locator("[data-runs]").get_by_role("link", name="Log")
    log.click()
    story.page.wait_for_url("**/tasks/ingest**", wait_until="commit")
    story.page.get_by_text("what to do:").first.wait_for()
    visible = story.page.get_by_text("The source has no row for the train window").filter(visible=True)
    assert visible.count() == 1, "said once, its stack folded away"
    assert story.page.get_by_text("what to do:").filter(visible=True).count() == 1

    # Trigger from the form, one that nobody will answer and one that is watched until it waits.
    assert "No version yet" in story.see("/parcels").inner_text()
    story.retrain("letters", "2024-04-01")
    story.retrain("parcels", "2024-04-01")
    story.page.get_by_text(re.compile("awaiting input|required action", re.IGNORECASE)).first.wait_for()

    # Approve: the new version is on the page, in force, with who said so.
    story.answer("parcels", "Approve", "as good as we hoped")
    first = story.decided("parcels", 1)
    assert first.decision is not None and first.decision.outcome is Outcome.PROMOTE
    main = story.see(f"/parcels/versions/{first.version}")
    assert f"Promoted: approved by {USER}" in main.locator(".verdict").inner_text()
    assert "as good as we hoped" in main.locator(".events").inner_text()
    assert story.champion("parcels") == first.version

    # Reject: the champion stays.
    story.retrain("parcels", "2024-07-01")
    story.answer("parcels", "Reject", "the carriers moved")
    second = story.decided("parcels", 2)
    assert second.decision is not None and second.decision.outcome is Outcome.REJECT
    assert second.decision.approval is not None and second.decision.approval["note"] == "the carriers moved"
    assert story.champion("parcels") == first.version

    # Nobody answered: held, and no champion.
    timed_out = story.decided("letters", 1)
    assert timed_out.decision is not None and timed_out.decision.outcome is Outcome.HOLD
    verdict = story.see(f"/letters/versions/{timed_out.version}").locator(".verdict")
    assert "nobody answered in time" in verdict.inner_text()

    # Approve another one, take it back by a click, and the earlier champion is in force.
    story.retrain("parcels", "2024-08-01")
    story.answer("parcels", "Approve", "the new carriers are in it")
    third = story.decided("parcels", 3)
    assert story.champion("parcels") == third.version
    story.see(f"/parcels/versions/{third.version}")
    story.send("Roll back", Reason="complaints from the depot")
    until(lambda: Ledger(site.store, "parcels").timeline()[third.version].withdrawn, "the withdrawal")
    assert story.champion("parcels") == first.version
    withdrawn = story.see(f"/parcels/versions/{third.version}")
    assert "complaints from the depot" in withdrawn.locator(".verdict").inner_text()
    assert withdrawn.get_by_role("button", name="Roll back").count() == 0
