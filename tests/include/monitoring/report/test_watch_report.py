"""What people read of a champion's watching is folded from what is on record, and says what the record says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from include.command_line.watch import watching
from include.config.load import load_model
from include.monitoring.champion_alarms import alarms_of
from include.monitoring.drift.distributions import distributions
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import PREDICTION
from include.monitoring.report.watch_report import WatchReport, watch_report
from include.monitoring.watch_log import WatchLog
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from tests.watched import Watched, day


@pytest.fixture(scope="module")
def world(april: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    root = tmp_path_factory.mktemp("report") / "w"
    shutil.copytree(april, root)
    made = Watched(root / "parcels", LocalStore(root / "store"), load_model(root / "parcels" / "model.yaml"))
    assert watch_report(made.store, made.model) is None
    assert "was not watched yet" in watching(made.store, made.model)
    for number in range(1, 15):
        made.monitor(number)
    return made


@pytest.fixture(scope="module")
def report(world: Watched) -> WatchReport:
    found = watch_report(world.store, world.model)
    assert found is not None
    return found


def test_alarms_are_those_that_follow_from_the_log(world: Watched, report: WatchReport) -> None:
    kept = reference_for(world.store, world.model, world.folder, report.version)
    entries = WatchLog(world.store, "parcels").entries()
    length = day(1).until - day(1).after
    assert (
        report.alarms
        == alarms_of(
            kept, world.model, report.version, entries, Ledger(world.store, "parcels").timeline(), day(14).until, length
        )[1]
    )
    assert {one.kind for one in report.alarms} >= {"data_fault", "performance"}


def test_each_interval_has_its_estimate_its_truth_and_what_moved(report: WatchReport) -> None:
    assert [one.until for one in report.intervals] == [day(number).until for number in range(1, 15)]
    assert report.watched == 14 and all(one.estimated is not None for one in report.intervals)
    measured = [one for one in report.intervals if one.measured is not None]
    assert len(measured) == 13, "the label of the last day has not matured"
    assert all(0 < one.measured_rows <= one.rows for one in measured)
    before, after = report.intervals[9], report.intervals[11]
    assert [fault.kind for fault in after.faults] == ["unit_change"] and not before.faults
    assert after.effects["weight"].total_variation > 0.5 > before.effects["weight"].total_variation


def test_the_columns_that_moved_come_first_and_an_estimator_is_judged_by_the_truth(report: WatchReport) -> None:
    assert report.moved[0].column == "weight" and report.moved[0].importance is not None
    assert report.kept is not None and report.kept.short
    # Days with broken data judge nobody.
    assert report.judged is not None and (report.judged.intervals, report.judged.covered) == (10, 0)
    # What makes a parcel late has turned round: no estimate can see that, and once labels come it is said.
    assert any("0 of 10 estimates held the truth" in one for one in report.reservations)


def test_two_distributions_side_by_side_are_shares_of_all_rows(world: Watched, report: WatchReport) -> None:
    periods = [one.period for one in report.history.observed[:7]]
    for column in ("weight", "distance", "carrier", PREDICTION):
        bars = distributions(report.reference, column, periods)
        assert sum(one.before for one in bars) == pytest.approx(1) == sum(one.now for one in bars)
    carriers = {one.label: one.now for one in distributions(report.reference, "carrier", periods)}
    assert carriers["ant"] == pytest.approx(0.5, abs=0.05) and set(carriers) == {"ant", "bee", "cat"}
    missing = {one.label: one for one in distributions(report.reference, "distance", periods)}["no value"]
    assert missing.before == pytest.approx(0.05, abs=0.01)


def test_what_waits_for_a_person_is_what_no_run_has_answered(world: Watched, report: WatchReport) -> None:
    kinds = [one.kind for one in report.needs]
    assert "request" in kinds and "broken data" in kinds
    assert "alarm" not in kinds, "the alarm about performance has asked for a retraining"


def test_the_command_line_says_the_same(world: Watched, report: WatchReport) -> None:
    text = watching(world.store, world.model)
    assert report.version in text and "watched over 14 intervals" in text
    assert "unit_change" in text and "surely less" in text and "needs you: a retraining as of" in text
    assert "retraining: no alarm asks" in text


def test_each_row_of_an_interval_is_in_one_level_of_each_slice(world: Watched) -> None:
    intervals = [one for one in WatchLog(world.store, "parcels").entries() if "details" in one.body.get("sources", {})]
    assert len(intervals) == 14
    for one in intervals:
        details = json.loads(world.store.get(f"parcels/watch/details/{one.body['sources']['details']}.json"))
        assert {level["slice"] for level in details["slices"]} == {"carrier"}
        rows = sum(sum(level["counts"]) + level["missing"] + level["outside"] for level in details["slices"])
        assert rows == one.body["rows"] > 0
