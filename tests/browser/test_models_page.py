"""The Models page in a real browser inside a real Airflow: clicked through, read by role, and held to WCAG by axe-core."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from airflow_site import LONG, Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MODELS = "/plugin/models"
MODEL = f"{MODELS}/flight_delay"


def ready(page: Any) -> Any:
    """Wait until the page is drawn and Airflow's API was asked; return its content."""
    page.locator("main.ratchet[data-ready]").wait_for(state="attached")
    return page.locator("main.ratchet")


def paths(site: Site) -> dict[str, str]:
    first, fifth = site.versions[0], site.versions[4]
    return {
        "overview": MODELS,
        "model": MODEL,
        "no version yet": f"{MODELS}/{LONG}",
        "version": f"{MODEL}/versions/{first}",
        "two measured against each other": f"{MODEL}/compare?version={first}&version={site.versions[1]}",
        "two that were not": f"{MODEL}/compare?version={first}&version={fifth}",
    }


def test_from_airflows_menu_to_a_version_and_back_by_clicks(site, page_of):
    page = page_of("vera", "/")
    page.get_by_role("link", name="Models").click()
    ready(page)
    page.get_by_role("row").get_by_role("link", name="flight_delay", exact=True).click()
    page.wait_for_url(f"**{MODEL}")
    ready(page).get_by_role("table").get_by_role("link", name="1 May 2013", exact=True).click()
    page.wait_for_url(f"**{MODEL}/versions/{site.versions[0]}")
    assert ready(page).locator(".verdict").inner_text().startswith("Promoted: ROC AUC better than")
    page.go_back()
    page.wait_for_url(f"**{MODEL}")
    ready(page).locator(".history .mark").last.click()
    page.wait_for_url(f"**{MODEL}/versions/**")
    page.go_back()
    ready(page).get_by_role("heading", name="Champion timeline").wait_for()


@pytest.fixture
def broken(site: Site) -> Iterator[None]:
    """Declare a model with a typing error for the length of one test."""
    shutil.copytree(site.models / "flight_delay", site.models / "broken")
    path = site.models / "broken" / "model.yaml"
    path.write_text(path.read_text().replace("name: flight_delay", "name: broken").replace("label_delay", "label_dely"))
    yield
    shutil.rmtree(site.models / "broken")


@pytest.mark.usefixtures("broken")
def test_what_needs_a_person_comes_first(page_of):
    needs = ready(page_of("vera", MODELS)).locator(".needs")
    text = needs.inner_text()
    assert "did you mean `label_delay`?" in text
    assert "its champion stands since" in text
    heading = page_of("vera", MODELS).locator("main.ratchet h2").first
    assert heading.inner_text() == "Needs you"


def test_withdrawn_and_backfilled_versions_are_told_apart_and_the_champion_is_the_one_before(site, page_of):
    main = ready(page_of("vera", MODEL))
    marks = main.locator(".history .mark")
    assert marks.count() == 9
    assert main.locator(".history .mark.withdrawn").count() == 1
    assert main.locator(".history .mark.backfilled").count() == 4
    champion = main.locator(".rows tr.champion a").first.get_attribute("href")
    assert main.locator(".history .champion-period.now").get_attribute("href") == champion


def test_a_mark_tells_its_evidence_under_the_pointer_and_under_the_keyboard(page_of):
    page = page_of("vera", MODEL)
    mark = ready(page).locator(".trend .mark").first
    mark.hover()
    assert re.search(r"1 May 2013 · promoted.*backfilled\s+ROC AUC 0\.70", page.locator(".tip").inner_text())
    page.mouse.move(5, 5)
    mark.focus()
    assert page.locator(".tip").is_visible()


def test_the_overview_is_filtered_and_the_trend_drawn_by_another_metric_inside_airflow(site, page_of):
    page = page_of("vera", MODELS)
    main = ready(page)
    main.get_by_role("searchbox").fill("operations FLIGHT_")
    main.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/plugin/models?q=operations+FLIGHT_")
    every = page.locator("main.ratchet").get_by_role("link", name="Show all")
    every.wait_for()
    assert page.locator("main.ratchet tbody tr").count() == 1
    every.click()
    page.wait_for_url(f"**{MODELS}")
    every.wait_for(state="detached")
    assert page.locator("main.ratchet tbody tr").count() == 3
    page = page_of("vera", f"{MODEL}?metric=nothing#trend")
    heading = ready(page).get_by_role("heading", name="ROC AUC over time")
    assert heading.evaluate("node => node.getBoundingClientRect().top") < 400, "the anchor is scrolled to"


@pytest.mark.parametrize("name", ["model", "two measured against each other"])
def test_no_two_labels_of_a_picture_collide(site, page_of, name):
    main = ready(page_of("vera", paths(site)[name]))
    boxes = "node => [...node.querySelectorAll('svg text')].map(one => [one.closest('svg').className.baseVal, one.textContent, one.getBoundingClientRect()].flatMap(part => part.left === undefined ? [part] : [part.left, part.right, part.top, part.bottom]))"
    found = main.evaluate(boxes)
    assert len(found) >= 2
    for place, (_, one, left, right, top, bottom) in enumerate(found):
        for _, other, left2, right2, top2, bottom2 in found[place + 1 :]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, (one, other)


def test_two_versions_are_chosen_and_compared(site, page_of):
    page = page_of("vera", MODEL)
    main = ready(page)
    button = main.get_by_role("button", name="Compare two")
    assert button.is_disabled()
    for version in (site.versions[1], site.versions[0]):
        main.get_by_label(f"Compare version {version}").check()
    button.click()
    page.wait_for_url("**/compare?**")
    main = ready(page)
    main.get_by_role("heading", name="Comparison on identical rows").wait_for()
    assert "max_iter" in main.inner_text() and "distance" not in main.inner_text()


def test_a_viewer_has_no_buttons_and_a_user_triggers_with_the_forms_own_fields(site, page_of):
    assert ready(page_of("vera", MODEL)).locator("[data-trigger]").count() == 0
    page = page_of("uma", MODEL)
    ready(page).get_by_role("button", name="Retrain").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("As of (UTC)").fill("2013-06-01T00:00:00")
    dialog.get_by_label("Gate").select_option("dry_run")
    dialog.get_by_label("hist_gradient_boosting").uncheck()
    dialog.get_by_role("button", name="Retrain").click()
    dialog.wait_for(state="detached")
    page.wait_for_url("**/dags/retrain_flight_delay/runs/**", wait_until="commit")
    runs = json.loads(site.ask("/api/v2/dags/retrain_flight_delay/dagRuns?order_by=-run_after&limit=1", user="uma")[2])[
        "dag_runs"
    ]
    conf = runs[0]["conf"]
    assert (conf["as_of"], conf["mode"], conf["candidates"]) == (
        "2013-06-01T00:00:00Z",
        "dry_run",
        ["logistic_regression"],
    )
    assert runs[0]["triggering_user_name"] == "uma"


@pytest.fixture
def paused(site: Site) -> Iterator[Callable[[], bool]]:
    """Pause the retraining for the length of one test; the value tells whether it still is."""
    dag = "/api/v2/dags/retrain_flight_delay"

    def pause() -> None:
        assert (
            site.ask(f"{dag}?update_mask=is_paused", method="PATCH", user="admin", body={"is_paused": True})[0] == 200
        )

    pause()
    yield lambda: bool(json.loads(site.ask(dag, user="admin")[2])["is_paused"])
    pause()


def retrain(page: Any, *, switch_on: bool) -> None:
    ready(page).get_by_role("button", name="Retrain").click()
    dialog = page.get_by_role("dialog")
    box = dialog.get_by_label(re.compile("Switch retrain_flight_delay on. It is paused"))
    assert box.is_checked()
    assert "Its schedule" in dialog.inner_text()
    box.set_checked(switch_on)
    dialog.get_by_role("button", name="Retrain").click()
    page.wait_for_url("**/dags/retrain_flight_delay/runs/**", wait_until="commit")


def test_a_button_switches_a_paused_dag_on_as_airflows_own_form_does(page_of, paused):
    retrain(page_of("uma", MODEL), switch_on=True)
    assert not paused()


def test_a_run_that_waits_since_its_dag_is_paused_says_so_and_can_be_let_go(page_of, paused):
    retrain(page_of("uma", MODEL), switch_on=False)
    assert paused()
    page = page_of("uma", MODEL)
    runs = ready(page).locator("[data-runs]")
    first = runs.get_by_role("listitem").first
    assert "It waits: the DAG is paused" in first.inner_text()
    first.get_by_role("button", name="Switch it on").click()
    first.get_by_text("It is switched on now.").wait_for()
    assert not paused()
    page.reload()
    assert "It waits for its turn." in ready(page).locator("[data-runs]").get_by_role("listitem").first.inner_text()


def test_a_viewer_may_not_switch_a_dag_on_and_is_told(site, page_of, paused):
    retrain(page_of("uma", MODEL), switch_on=False)
    page = page_of("vera", MODEL)
    ready(page).get_by_role("button", name="Switch it on").first.click()
    page.get_by_role("alert").filter(has_text="You may not switch retrain_flight_delay on").wait_for()
    assert paused()


def test_dags_that_only_people_start_are_never_paused(site):
    found = json.loads(site.ask("/api/v2/dags?tags=flight_delay", user="vera")[2])["dags"]
    on = {dag["dag_id"].partition("_")[0] for dag in found if not dag["is_paused"]}
    assert {"rollback", "reproduce", "reconsider"} <= on


def test_a_failed_run_stands_on_the_page_of_a_model_without_a_version(site, page_of):
    runs = f"/api/v2/dags/retrain_{LONG}/dagRuns"
    run = json.loads(site.ask(runs, method="POST", user="uma", body={"logical_date": None})[2])["dag_run_id"]
    assert site.ask(f"{runs}/{quote(run)}", method="PATCH", user="uma", body={"state": "failed"})[0] == 200
    main = ready(page_of("vera", f"{MODELS}/{LONG}"))
    assert "No version yet" in main.inner_text()
    (item,) = main.locator("[data-runs]").get_by_role("listitem").all()
    assert item.locator(".badge").inner_text() == "failed"
    assert "No task of it failed: it was marked so" in item.inner_text()
    assert (
        item.get_by_role("link", name=run).get_attribute("href") == f"/dags/retrain_{LONG}/runs/{quote(run, safe='')}"
    )


@pytest.mark.parametrize("start", [MODELS, MODEL])
def test_a_models_dags_are_one_click_away_and_stand_together(page_of, start):
    page = page_of("vera", start)
    name = re.compile("its dags", re.IGNORECASE)
    ready(page).locator("a[href='/dags?tags=flight_delay']").filter(has_text=name).click()
    page.wait_for_url("**/dags?tags=flight_delay")
    page.get_by_text("flight_delay: retrain").wait_for()
    assert [
        page.get_by_text(re.compile(rf"^{LONG}: ")).count(),
        page.get_by_text(re.compile("^flight_delay: ")).count(),
    ] == [0, 6]


def test_what_airflow_refuses_is_said_and_nothing_is_lost(page_of):
    page = page_of("uma", MODEL)
    ready(page).get_by_role("button", name="Retrain").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("logistic_regression").uncheck()
    dialog.get_by_label("hist_gradient_boosting").uncheck()
    dialog.get_by_role("button", name="Retrain").click()
    dialog.get_by_role("alert").filter(has_text=re.compile(".{10}")).wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_a_page_that_is_not_there_says_so_and_leads_back(page_of):
    page = page_of("vera", f"{MODELS}/nothing_here")
    page.get_by_text("There is no such page").wait_for()
    page.get_by_role("link", name="All models").click()
    page.wait_for_url(f"**{MODELS}")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(site, page_of, width):
    for name, path in paths(site).items():
        main = ready(page_of("vera", path, width=width))
        assert main.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_core_finds_nothing_serious(site, page_of, axe, theme):
    found: dict[str, Any] = {}
    for name, path in paths(site).items():
        page = page_of("uma", path, theme=theme)
        ready(page)
        if name == "model":
            page.get_by_role("button", name="Retrain").click()
            page.get_by_role("dialog").wait_for()
        page.evaluate(axe)
        # Only what is ours: the host of the page's shadow root.
        host = "[...document.querySelectorAll('div')].find(node => node.shadowRoot?.querySelector('main.ratchet'))"
        violations = page.evaluate(f"axe.run({host}).then(found => found.violations)")
        serious = [v for v in violations if v["impact"] in ("serious", "critical")]
        if serious:
            found[name] = [
                (v["id"], [node["html"][:200] + str(node["any"][:1])[:300] for node in v["nodes"]][:3]) for v in serious
            ]
    assert not found, json.dumps(found, indent=1)


def test_the_plain_pages_say_the_same_without_any_script(site, page_of):
    page = page_of("vera", "/ratchet/models")
    page.get_by_role("row").get_by_role("link", name="flight_delay", exact=True).click()
    page.get_by_role("table").get_by_role("link", name="1 May 2013", exact=True).click()
    assert page.locator(".verdict").inner_text().startswith("Promoted")
    assert page.locator("script").count() == 0
