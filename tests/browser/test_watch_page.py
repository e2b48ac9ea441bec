"""The Watch page in a real browser inside a real Airflow: from the model to an alarm by clicks, read by role, held to WCAG."""

from __future__ import annotations

import json

import pytest
from airflow_site import ROLES

from include.config.load import load_model
from include.monitoring.report.watch_report import watch_report

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

WATCH = "/plugin/models/parcels/watch"


def ready(page):
    """Wait until the page is drawn and Airflow's API was asked; return its content."""
    page.locator("main.ratchet[data-ready]").wait_for(state="attached")
    return page.locator("main.ratchet")


def test_from_a_model_to_its_watching_and_an_alarm_and_back_by_clicks(site, page_of):
    page = page_of("vera", "/plugin/models/parcels")
    ready(page).get_by_role("link", name="Watch", exact=True).click()
    page.wait_for_url(f"**{WATCH}")
    main = ready(page)
    assert main.locator("svg.trend circle").count() == 13
    assert main.locator("svg.heat .cell").count() >= 14 * 5
    assert "1,000 times as large" in main.locator(".needs").inner_text()
    main.locator("tr", has_text="broken data").get_by_role("link").click()
    page.wait_for_url(f"**{WATCH}/*")
    main = ready(page)
    assert main.get_by_role("heading", level=1).inner_text().startswith("Broken data")
    assert main.locator(".bars tbody tr").count() >= 10
    main.get_by_label("Breadcrumb").get_by_role("link", name="Watch").click()
    page.wait_for_url(f"**{WATCH}")


@pytest.mark.parametrize("user", ROLES)
def test_everybody_reads_the_page_and_only_who_may_is_offered_a_retraining(site, page_of, user):
    main = ready(page_of(user, WATCH))
    main.get_by_role("heading", name="Columns by interval").wait_for()
    may = ROLES[user] != "viewer"
    assert main.locator('[data-trigger="retrain_parcels"]').count() == int(may)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_hold_to_wcag_and_fit_a_phone(site, page_of, axe, theme, width):
    report = watch_report(site.store, load_model(site.models / "parcels" / "model.yaml"))
    for path in (WATCH, *(f"{WATCH}/{one.id}" for one in report.alarms)):
        page = page_of("admin", path, theme=theme, width=width)
        ready(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(axe)
        host = "[...document.querySelectorAll('div')].find(node => node.shadowRoot?.querySelector('main.ratchet'))"
        violations = page.evaluate(f"axe.run({host}).then(found => found.violations)")
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        assert not serious, json.dumps(
            [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in serious]
        )
