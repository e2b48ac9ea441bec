"""Each segment's version is watched on the rows that it answered: one that turns bad is seen, though all rows together look well."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW
from turned_segments import ASKING, DAYS, WITHDRAWING, champions_of, declared, july, watch_all, watched
from watched import Watched

from include.command_line.watch import watching
from include.monitoring.monitor import Monitored
from include.monitoring.performance.probation import ProbationVerdict
from include.monitoring.report.watch_report import watch_report
from include.monitoring.segment_states import SegmentWatched
from include.monitoring.watch_log import MEASURED, SEGMENTS, WatchLog
from include.monitoring.withdrawal import withdraw_if_worse
from include.registry.ledger import Ledger
from include.scoring.publication import Publication
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed

ACTOR = {"trigger": "scheduled", "dag": "monitor_parcels", "run": "r"}


@pytest.fixture
def world(scored_segments: Path, tmp_path: Path) -> Watched:
    shutil.copytree(scored_segments, tmp_path / "w")
    return declared(tmp_path / "w", ASKING)


@pytest.fixture(scope="module")
def all_watched(scored_segments: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, list[Monitored]]:
    """All days, watched in turn; nobody may watch another."""
    root = tmp_path_factory.mktemp("all_watched") / "w"
    shutil.copytree(scored_segments, root)
    world = declared(root, ASKING)
    return world, watch_all(world)


def of(found: Monitored, segment: str) -> SegmentWatched:
    return next(one for one in found.segments if one.segment == segment)


def test_a_segment_that_turns_bad_raises_an_alarm_that_names_it_and_asks_for_a_retraining(
    all_watched: tuple[Watched, list[Monitored]],
) -> None:
    world, found = all_watched
    assert {one.segment for one in found[-1].segments} == {"ant", "bee"}
    told = [(number, alarm) for number, one in enumerate(found, 1) for alarm in of(one, "bee").told]
    assert told and told[0][0] > 1, "one day is no evidence"
    first = told[0][1]
    assert first.kind == "performance" and first.said.startswith("segment bee: roc_auc is ")
    assert first.version == Ledger(world.store, "parcels/segments/bee").timeline().champion
    assert not of(found[-1], "ant").alarms
    assert any(first.key in request.alarms for request in found[-1].pending)
    asking = next(one for one in found if any(first.key in request.alarms for request in one.pending))
    assert asking.request is not None or asking.because == "an alarm of a segment asks for one"


def test_it_is_measured_on_the_rows_that_it_answered_and_on_no_others(
    all_watched: tuple[Watched, list[Monitored]],
) -> None:
    world, (*_, found) = all_watched
    rows = pd.read_parquet(world.folder / "rows.parquet")
    for one in found.segments:
        assert len(one.performance) >= DAYS - 2
        for interval in one.performance:
            manifest = Publication(world.store, "parcels", july(interval.after.day)).newest()
            assert manifest is not None and manifest.segments[one.segment] == one.version
            table = Publication(world.store, "parcels", july(interval.after.day)).read(manifest).to_pandas()
            labelled = table[table["version"] == one.version].merge(rows[["parcel", "carrier"]], on="parcel")
            assert set(labelled["carrier"]) == {one.level}
            assert interval.rows == len(labelled)
    pooled = {one.after: one.rows for one in found.performance}
    (bee,) = [one for one in found.segments if one.segment == "bee"]
    (ant,) = [one for one in found.segments if one.segment == "ant"]
    for one, other in zip(bee.performance, ant.performance, strict=True):
        inside = (rows["sent_at"] > one.after) & (rows["sent_at"] <= one.until)
        assert one.rows + other.rows + pooled[one.after] <= inside.sum()


def test_the_error_is_the_share_that_the_version_was_promoted_with(
    all_watched: tuple[Watched, list[Monitored]],
) -> None:
    world, (*_, found) = all_watched
    share = (1 - world.model.gate.primary.confidence) / 3
    assert [one.segment for one in found.segments] == ["ant", "bee"]
    for one in found.segments:
        assert 1 - one.model.gate.primary.confidence == pytest.approx(share)


def test_days_watched_in_another_order_or_twice_leave_the_same(
    world: Watched, all_watched: tuple[Watched, list[Monitored]]
) -> None:
    last = all_watched[1][-1]
    for number in (*range(DAYS, 0, -2), *range(1, DAYS + 1)):
        watched(world, number, backfilled=number < 3)
    again = watched(world, DAYS)
    for one, same in zip(last.segments, again.segments, strict=True):
        assert [vars(each) for each in one.performance] == [vars(each) for each in same.performance]
        assert [alarm.key for alarm in one.alarms] == [alarm.key for alarm in same.alarms]


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8, 0.95])
def test_a_kill_loses_no_measurement_and_doubles_none(world: Watched, at: float, tmp_path: Path) -> None:
    for number in (1, 2):
        watched(world, number)
    shutil.copytree(world.folder.parent, tmp_path / "counted")
    counted = FaultyStore(LocalStore(tmp_path / "counted" / "store"))
    watched(declared(tmp_path / "counted", ASKING), 3, counted)
    with pytest.raises(Killed):
        watched(world, 3, FaultyStore(world.store, fail_at=int(at * counted.calls), mode="after"))
    watched(world, 3)
    for name in ("parcels", "parcels/segments/ant", "parcels/segments/bee"):
        entries = WatchLog(world.store, name).entries()
        for kind in (MEASURED, SEGMENTS):
            untils = [one.body["until"] for one in entries if one.kind == kind]
            wanted = {"parcels": 2, "parcels/segments/ant": 2, "parcels/segments/bee": 2}[name]
            assert len(untils) == len(set(untils)) and (kind == SEGMENTS or len(untils) == wanted), (name, kind)


def test_a_look_without_labels_that_matured_asks_no_segment_again(world: Watched) -> None:
    watched(world, 1)
    watched(world, 2)
    asked: list[datetime] = []

    def labels(window: Any) -> Any:
        asked.append(window.until)
        return world.snapshot(window)

    watched(world, 2, labels=labels)
    assert not asked


def test_a_version_that_is_worse_than_the_one_before_it_goes_back_where_that_is_declared(world: Watched) -> None:
    strict = declared(world.folder.parent, WITHDRAWING)
    first, second = champions_of(strict, "bee")
    ledger = Ledger(strict.store, "parcels/segments/bee")
    found = [of(one, "bee") for one in watch_all(strict)]
    ended = next(one for one in found if one.concluded)
    assert ended.probation is not None and ended.probation.verdict is ProbationVerdict.WORSE
    assert (ended.version, ended.predecessor) == (second, first)
    reason = withdraw_if_worse(ledger, ended.model, ended.version, actor=ACTOR, at=NOW)
    assert reason is not None and f"from that of {first}" in reason
    assert ledger.timeline().champion == first
    ant = of(watch_all(strict)[-1], "ant")
    assert ant.probation is not None and ant.probation.verdict is not ProbationVerdict.WORSE


def test_the_report_shows_each_segment(all_watched: tuple[Watched, list[Monitored]]) -> None:
    world, (*_, last) = all_watched
    report = watch_report(world.store, world.model)
    assert report is not None
    assert [(one.segment, one.version) for one in report.segments] == [
        (one.segment, one.version) for one in last.segments
    ]
    bee = next(one for one in report.segments if one.segment == "bee")
    assert bee.kept is not None and bee.kept.short


def test_the_command_line_names_the_segment_that_falls_short(all_watched: tuple[Watched, list[Monitored]]) -> None:
    world, _ = all_watched
    text = watching(world.store, world.model)
    second = champions_of(world, "bee")[-1]
    (line,) = [one for one in text.splitlines() if one.startswith("bee ") and second in one]
    assert "surely less" in line
    assert "segment bee: roc_auc is" in text
