"""A whole story in a browser, under a real scheduler: train, be asked, answer or don't, roll back; as people do it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow_site import Site
from chain_run import declare

from include.command_line.airflow_environment import USER, password
from include.command_line.local_airflow import free_port, local_airflow
from include.registry.ledger import Ledger
from include.registry.timeline import Outcome, Standing
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MODELS = "/plugin/models"
PATIENCE = 240
"""Seconds until what is waited for is given up."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Airflow with two models whose every promotion waits for a person: for ten minutes, or for two seconds."""
    folder = tmp_path_factory.mktemp("story")
    models, home = folder / "models", folder / "home"
    declare(models / "parcels", guards="[]\n  approval: {when: always, within: 10min}")
    declare(models / "letters", guards="[]\n  approval: {when: always, within: 2s}", name="letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_STORE", (folder / "store").as_uri())
        patch.setenv("RATCHET_MODELS", str(models))
        with local_airflow(home, port=free_port(8130), triggerer=False) as airflow:
            for dag in ("retrain_parcels", "retrain_letters", "rollback_parcels"):
                airflow.wait_ready(dag)
            running = Site(airflow.address, {}, LocalStore(folder / "store"), models, [])
            login = {"username": USER, "password": password(home)}
            running.tokens[USER] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
            for dag in ("retrain_parcels", "retrain_letters", "rollback_parcels"):
                path = f"/api/v2/dags/{dag}?update_mask=is_paused"
                running.ask(path, method="PATCH", user=USER, body={"is_paused": False})
            yield running


def until(found: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.5)
    return answer


def ready(page: Any) -> Any:
    page.locator("main.ratchet[data-ready]").wait_for(state="attached")
    return page.locator("main.ratchet")


class Story:
    """What a person does, and what the ledger then says."""

    def __init__(self, site: Site, page_of: Callable[..., Any]) -> None:
        self.site, self.page_of = site, page_of

    def standings(self, model: str) -> tuple[Standing, ...]:
        return Ledger(self.site.store, model).timeline().standings

    def retrain(self, model: str, as_of: str) -> Any:
        """Trigger from the form on the model's page; the browser is then at the run."""
        page = self.page_of(USER, f"{MODELS}/{model}")
        ready(page).get_by_role("button", name="Retrain").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("As of (UTC)").fill(f"{as_of}T00:00:00")
        dialog.get_by_role("button", name="Retrain").click()
        page.wait_for_url(f"**/dags/retrain_{model}/runs/**", wait_until="commit")
        return page

    def answer(self, model: str, word: str, reason: str) -> None:
        """Follow the approval that waits on the overview to Airflow's form, look at the evidence, and answer."""

        def waiting() -> Any:
            page = self.page_of(USER, MODELS)
            link = ready(page).locator(".needs li.approval").get_by_role("link", name=model)
            return (page, link) if link.count() else None

        page, link = until(waiting, "an approval")
        link.click()
        page.wait_for_url("**/required_actions**", wait_until="commit")
        page.get_by_role("img", name="Gains with their 95 % intervals").wait_for()
        until(
            lambda: page.evaluate(
                "[...document.images].filter(i => i.alt.startsWith('Gains')).every(i => i.naturalWidth > 100)"
            ),
            "the picture of the gains",
        )
        assert "ROC AUC" in page.locator("table").first.inner_text()
        button = page.get_by_role("button", name=word, exact=True)
        assert button.is_disabled(), "an answer takes a reason"
        page.get_by_role("textbox").last.fill(reason)
        button.click()

    def decided(self, model: str, count: int) -> Standing:
        """Wait until so many versions are decided on; return the newest."""
        until(
            lambda: len([s for s in self.standings(model) if s.decision]) == count,
            f"decision number {count} on {model}",
        )
        return self.standings(model)[-1]


def test_train_be_asked_answer_or_not_and_roll_back(site: Site, page_of: Callable[..., Any]) -> None:
    story = Story(site, page_of)

    # Trigger from the form, and watch the run until it waits; beside it, one that nobody will answer.
    assert "No version yet" in ready(page_of(USER, f"{MODELS}/parcels")).inner_text()
    run = story.retrain("parcels", "2024-04-01")
    story.retrain("letters", "2024-04-01")
    run.get_by_text(re.compile("awaiting input|required action", re.IGNORECASE)).first.wait_for(timeout=PATIENCE * 1000)

    # Approve: the new version is on the page, in force, with who said so.
    story.answer("parcels", "Approve", "as good as we hoped")
    first = story.decided("parcels", 1)
    assert first.decision is not None and first.decision.outcome is Outcome.PROMOTE
    page = page_of(USER, f"{MODELS}/parcels/versions/{first.version}")
    assert "Promoted: approved by" in ready(page).locator(".verdict").inner_text()
    assert "as good as we hoped" in ready(page).inner_text()
    assert ready(page).locator(".head .badge").inner_text() == "champion"

    # Reject: it stays as it was.
    story.retrain("parcels", "2024-07-01")
    story.answer("parcels", "Reject", "the carriers moved")
    second = story.decided("parcels", 2)
    assert second.decision is not None and second.decision.outcome is Outcome.REJECT
    assert second.decision.approval is not None and second.decision.approval["note"] == "the carriers moved"
    main = ready(page_of(USER, f"{MODELS}/parcels"))
    assert first.version in (main.locator("tr.champion a").first.get_attribute("href") or "")

    # Nobody answered: held, and there is no champion.
    timed_out = story.decided("letters", 1)
    assert timed_out.decision is not None and timed_out.decision.outcome is Outcome.HOLD
    page = page_of(USER, f"{MODELS}/letters/versions/{timed_out.version}")
    assert "nobody answered in time" in ready(page).locator(".verdict").inner_text()

    # Approve another one, take it back by a click, and the earlier champion is in force.
    story.retrain("parcels", "2024-08-01")
    story.answer("parcels", "Approve", "the new carriers are in it")
    third = story.decided("parcels", 3)
    page = page_of(USER, f"{MODELS}/parcels/versions/{third.version}")
    ready(page).get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("complaints from the depot")
    dialog.get_by_role("button", name="Roll back").click()
    page.wait_for_url("**/dags/rollback_parcels/runs/**", wait_until="commit")
    until(lambda: story.standings("parcels")[-1].withdrawn, "the withdrawal")
    main = ready(page_of(USER, f"{MODELS}/parcels"))
    assert first.version in (main.locator("tr.champion a").first.get_attribute("href") or "")
    assert main.locator(".history .reign.now").get_attribute("href") == main.locator(
        "tr.champion a"
    ).first.get_attribute("href")
    withdrawn = ready(page_of(USER, f"{MODELS}/parcels/versions/{third.version}"))
    assert "complaints from the depot" in withdrawn.locator(".verdict").inner_text()
    assert withdrawn.get_by_role("button", name="Roll back").count() == 0
