"""What the Watch page and the page of an alarm say, without a browser."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from chain_run import NOW
from fastapi.testclient import TestClient
from watched import Watched

from include.config.load import load_model
from include.config.settings import Settings
from include.monitoring.performance.measured import Performance
from include.monitoring.report.watch_report import WatchReport, watch_report
from include.monitoring.watch_log import WatchLog
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user
from ratchet_ui.cache.page_cache import page_cache

PAGE = "/models/parcels/watch"


class Somebody:
    """Who may read everything, and trigger what a test says."""

    triggers = True

    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return self.triggers


@pytest.fixture(scope="module")
def root(april: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages") / "w"
    shutil.copytree(april, made)
    world = Watched(made / "parcels", LocalStore(made / "store"), load_model(made / "parcels" / "model.yaml"))
    for number in range(1, 15):
        world.monitor(number)
    return made


@pytest.fixture
def client(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RATCHET_STORE", LocalStore(root / "store").url)
    monkeypatch.setenv("RATCHET_MODELS", str(root))
    made = TestClient(pages.app)
    pages.app.dependency_overrides = {get_user: lambda: None, Viewer: Somebody}
    yield made
    pages.app.dependency_overrides = {}


@pytest.fixture
def report(root: Path) -> WatchReport:
    found = watch_report(LocalStore(root / "store"), load_model(root / "parcels" / "model.yaml"))
    assert found is not None
    return found


def text(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def pictures(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def test_estimate_and_truth_are_drawn_for_each_interval_beside_the_promise(client: Any, report: WatchReport) -> None:
    page = text(client, PAGE)
    (chart,) = (one for one in pictures(page) if 'class="chart trend"' in one)
    assert chart.count("<circle") == sum(one.measured is not None for one in report.intervals) == 13
    assert chart.count('class="mark rejected"') == 3, "days of broken data are told apart"
    assert 'class="line estimate"' in chart and 'class="promise"' in chart and chart.count("raised") >= 1
    for one in pictures(page):
        minidom.parseString(one)
    assert "0 of 10 estimates held the truth" in page


def test_the_heat_map_has_a_cell_for_each_column_and_interval_and_outlines_what_matters(
    client: Any, report: WatchReport
) -> None:
    (heat,) = (one for one in pictures(text(client, PAGE)) if "chart heat" in one)
    assert heat.count("<rect") == len(report.moved) * 14
    assert heat.count("unit change") == 4 and 'class="cell beyond' in heat
    assert heat.index(">weight<") < heat.index(">carrier<"), "the column that matters most comes first"


def test_alarms_requests_and_what_needs_a_person_are_said(client: Any, report: WatchReport) -> None:
    page = text(client, PAGE)
    for alarm in report.alarms:
        assert f"{PAGE}/{alarm.id}" in page
    assert "requested as of" in page and "pending" in page
    assert page.index("Needs you") < page.index("Columns by interval")
    assert "The first champion has no predecessor" in page


def test_an_alarms_page_shows_training_and_since_side_by_side(client: Any, report: WatchReport) -> None:
    (fault,) = (one for one in report.alarms if one.kind == "data_fault")
    page = text(client, f"{PAGE}/{fault.id}")
    assert "weight: training and since" in page and "1,000 times as large" in page
    shares = [float(one) for one in re.findall(r'<td class="n">([\d.]+) %</td>', page)]
    assert sum(shares[::2]) == pytest.approx(100, abs=1) == sum(shares[1::2])
    assert "never requests" in page
    (short,) = (one for one in report.alarms if one.kind == "performance")
    assert "surely no better" in text(client, f"{PAGE}/{short.id}")
    assert client.get(f"{PAGE}/{'0' * 12}").status_code == 404


def test_a_champion_worse_than_its_predecessor_can_be_rolled_back_by_who_may(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = text(client, PAGE)
    assert 'data-trigger="retrain_parcels"' in page
    monkeypatch.setattr(Somebody, "triggers", False)
    assert "data-trigger" not in text(client, PAGE)


def test_a_model_that_was_not_watched_says_how_it_would_be(
    client: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_STORE", LocalStore(tmp_path / "empty").url)
    assert "Not watched yet" in text(client, PAGE)
    assert client.get("/models/nobody/watch").status_code == 404


def test_the_page_is_folded_again_only_when_there_is_something_new(client: Any, root: Path) -> None:
    place = page_cache(Settings.from_environment())
    model = load_model(root / "parcels" / "model.yaml")
    first = place.watched(model)
    assert place.watched(model) is first
    Ledger(place.store, "parcels").withdraw(
        first.version if first else "", "for a test", actor={"dag": "d", "run": "r"}, at=first.since if first else None
    )
    assert place.watched(model) is not first


def test_the_page_names_labelled_rows_of_classes_that_the_champion_never_learned(
    root: Path, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root / "store", tmp_path / "store")
    log = WatchLog(LocalStore(tmp_path / "store"), "parcels")
    (*_, newest) = (one.body for one in log.entries() if one.kind == "measured")
    strange = replace(Performance.from_json(newest), unknown={"lost": 3})
    log.measure(strange, details=newest["details"], labels=newest["labels"], at=NOW)
    monkeypatch.setenv("RATCHET_STORE", LocalStore(tmp_path / "store").url)
    assert "3 rows of classes that the champion can&#39;t know" in client.get(PAGE).text
