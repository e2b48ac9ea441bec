"""The runbook has steps for everything that people are told, and for nothing else."""

from __future__ import annotations

import re
from typing import get_args

import yaml

from include.config.sections.notify import Event
from include.config.settings import ROOT
from include.monitoring.drift.data_faults import FaultKind

RUNBOOK = (ROOT / "docs" / "incidents.md").read_text()


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S)
    return str(found)


def rows(title: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \| \S", section(title), re.M)


def test_every_alert_has_its_steps_in_the_order_of_the_rules() -> None:
    rules = yaml.safe_load((ROOT / "observability" / "alerts.yml").read_text())["groups"][0]["rules"]
    parts = re.split(r"^### (\w+)\n", section("Alarms of Prometheus"), flags=re.M)[1:]
    assert parts[::2] == [rule["alert"] for rule in rules]
    assert all(re.search(r"^1\. .+\n2\. ", steps, re.M) for steps in parts[1::2])


def test_every_event_and_every_data_fault_has_a_line() -> None:
    assert rows("Events of notify") == list(get_args(Event))
    assert rows("Data faults") == list(get_args(FaultKind))


def test_its_links_lead_to_headings_that_are_there() -> None:
    links = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", RUNBOOK)
    assert links
    for page, heading in links:
        text = (ROOT / "docs" / page).read_text() if page else RUNBOOK
        titles = [re.sub(r"[^\w -]", "", one).replace(" ", "-").lower() for one in re.findall(r"^#+ (.+)$", text, re.M)]
        assert heading in titles, f"{page}#{heading}"
