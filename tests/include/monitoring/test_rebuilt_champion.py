"""A champion that was trained again under other libraries goes on being watched: nothing is told, asked or begun twice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from chain_run import NOW

from include.monitoring.report.watch_report import watch_report
from include.monitoring.watch_log import WatchLog
from include.registry.ledger import Ledger
from include.reproduction.rebuild import rebuild
from include.storage.content import to_iso
from include.training import library_versions, recipe
from tests.watched import day, promoted

ACTOR = {"trigger": "manual", "dag": "reproduce_parcels", "run": "upgrade", "task": "reproduce"}
BEFORE, AFTER = 12, 14


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two weeks of April; after the twelfth day scikit-learn has another version, and the champion is rebuilt."""
    installed, here = recipe.version, library_versions.installed_version

    def older(name: str) -> str:
        return "1.0.0" if name == "scikit-learn" else installed(name)

    found = {}
    with pytest.MonkeyPatch.context() as then:
        then.setattr(recipe, "version", older)
        then.setattr(
            library_versions, "installed_version", lambda name: older(name) if name != "python" else here(name)
        )
        world = promoted(tmp_path_factory.mktemp("rebuilt"))
        first = str(Ledger(world.store, "parcels").timeline().champion)
        for number in range(1, BEFORE + 1):
            world.score(number)
            found[number] = world.monitor(number)
        world.score(BEFORE + 1)
    ledger = Ledger(world.store, "parcels")
    second = rebuild(ledger, world.model, world.folder, first, actor=ACTOR, at=NOW).version
    assert second is not None and ledger.timeline().champion == second != first
    world.score(AFTER)
    for number in range(BEFORE + 1, AFTER + 1):
        found[number] = world.monitor(number)
    return SimpleNamespace(world=world, first=first, second=second, found=found, ledger=ledger)


def test_what_is_watched_stands_under_one_name_and_goes_on(lived: SimpleNamespace) -> None:
    entries = WatchLog(lived.world.store, "parcels").entries()
    observed = [one.body for one in entries if one.kind == "observed"]
    assert {body["version"] for body in observed} == {lived.first}
    assert [body["until"] for body in observed] == [to_iso(day(number).until) for number in range(1, AFTER + 1)]
    assert len({body["sources"]["reference"] for body in observed}) == 1
    last = lived.found[AFTER]
    assert len(last.history.observed) == AFTER and len(last.performance) == AFTER - 1
    timeline = lived.ledger.timeline()
    assert timeline.original_of(lived.second) == lived.first and timeline.in_place_of(lived.first) == lived.second


def test_nothing_is_told_or_asked_again(lived: SimpleNamespace) -> None:
    keys = [alarm.key for one in lived.found.values() for alarm in one.told]
    assert len(keys) == len(set(keys)) >= 2
    assert not [
        alarm
        for number in (13, 14)
        for alarm in lived.found[number].told
        if alarm.subject in {"unit_change weight", "roc_auc"}
    ]
    assert sum(one.request is not None for one in lived.found.values()) == 1


def test_people_see_the_watching_of_the_champion_in_force(lived: SimpleNamespace) -> None:
    report = watch_report(lived.world.store, lived.world.model)
    asked = watch_report(lived.world.store, lived.world.model, version=lived.second)
    assert report is not None and asked is not None
    assert report.watched == asked.watched == AFTER
    assert {need.version for need in report.needs} <= {lived.second} and report.needs
