"""The whole of it on a small model: observed, measured, told, asked; killed or repeated, it leaves the same record.

What makes a parcel late turns round in April, with the champion; from the eleventh on parcels are weighed in grams.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, declare, month, run_chain

from include.config.load import load_model
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import ObjectMissing
from include.monitoring.champion_alarms import alarms_of
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import PREDICTION, TARGET
from include.monitoring.monitor import monitor
from include.monitoring.performance.probation import ProbationVerdict
from include.monitoring.watch_log import WatchLog
from include.registry.ledger import Ledger
from include.retention.erase import erase
from include.retention.people import People
from include.scoring.publication import Publication, name_of
from include.scoring.score import score
from include.storage.local import LocalStore
from include.storage.tombstones import MarkedStore, State, Tombstone, Tombstones
from tests.faults import FaultyStore, Killed
from tests.watched import Watched, day


def opened(source: Path, copy: Path) -> Watched:
    shutil.copytree(source, copy)
    folder = copy / "parcels"
    return Watched(folder, LocalStore(copy / "store"), load_model(folder / "model.yaml"))


@pytest.fixture
def world(april: Path, tmp_path: Path) -> Watched:
    return opened(april, tmp_path / "w")


@pytest.fixture(scope="module")
def watched(april: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, dict[int, Any]]:
    """Two weeks, watched day by day."""
    world = opened(april, tmp_path_factory.mktemp("watched") / "w")
    return world, {number: world.monitor(number) for number in range(1, 15)}


def record(world: Watched) -> list[tuple[str, dict[str, Any]]]:
    return [(entry.kind, entry.body) for entry in WatchLog(world.store, "parcels").entries()]


def test_an_interval_whose_scores_retention_removed_before_they_were_measured_does_not_stop_the_watch(
    world: Watched,
) -> None:
    assert world.monitor(1, labels=None) is not None, "seen, and then another version was in force for a year"
    (key,) = (key for key in world.store.list(f"parcels/scores/{name_of(day(1))}/") if key.endswith(".parquet"))
    stones = Tombstones(world.store, "parcels")
    stones.mark([Tombstone(key, "scores", 1, "retention", NOW, NOW, State.MARKED)], at=NOW)
    stones.remove([key], world.store.delete, at=NOW)
    found = world.monitor(3, MarkedStore(world.store, "parcels"))
    assert found is not None and not found.performance
    assert world.monitor(2, MarkedStore(world.store, "parcels")) is not None


def test_a_day_that_a_person_was_erased_from_is_watched_once_it_is_scored_again(world: Watched) -> None:
    publication = Publication(world.store, "parcels", day(3))
    gone = publication.read(publication.newest())["parcel"][0].as_py()  # type: ignore[arg-type]
    source = world.folder / "rows.parquet"
    rows = pd.read_parquet(source)
    rows[rows["parcel"] != gone].to_parquet(source, index=False)
    erase(world.store, world.model, People(("parcel",), frozenset({(str(gone),)})), at=NOW, remove=True)
    erased = publication.newest()
    with pytest.raises(ObjectMissing, match="no such object"):
        world.monitor(3)
    world.score(3)
    newest = publication.newest()
    assert erased is not None and newest is not None and newest.scores == erased.scores
    found = world.monitor(3)
    assert found is not None and found.history.observed[-1].period.rows == newest.rows


def test_a_change_of_unit_is_told_once_on_its_first_day(watched: tuple[Watched, dict[int, Any]]) -> None:
    _, found = watched
    faults = [(number, one.said) for number, day in found.items() for one in day.told if one.kind == "data_fault"]
    assert [number for number, _ in faults] == [11]
    assert "`weight`" in faults[0][1] and "1,000 times" in faults[0][1]


def test_a_champion_that_no_longer_keeps_its_promise_is_told_of_and_one_retraining_asked_for(
    watched: tuple[Watched, dict[int, Any]],
) -> None:
    _, found = watched
    told = [(number, one) for number, day in found.items() for one in day.told if one.kind == "performance"]
    requests = [day.request for day in found.values() if day.request is not None]
    assert len(told) == len(requests) == 1
    assert requests[0].alarms == (told[0][1].key,)
    assert found[14].kept.short and found[14].kept.found.mean < 0.6 < found[14].kept.promised.mean
    # Days whose parcels were weighed in grams say nothing of the champion.
    assert found[14].kept.until == day(10).until


def test_what_was_estimated_before_labels_and_what_is_compared_are_kept(
    watched: tuple[Watched, dict[int, Any]],
) -> None:
    world, found = watched
    kept = reference_for(world.store, world.model, world.folder, found[1].version)
    assert [one.name for one in kept.reference.layout.columns] == [
        "weight",
        "distance",
        "evening",
        "carrier",
        PREDICTION,
    ]
    assert kept.labels is not None and [one.name for one in kept.labels.layout.columns] == [TARGET]
    assert set(kept.promised) == {"roc_auc", "brier"} and len(kept.promised["roc_auc"]) >= 25
    assert len(kept.reference.periods) >= 85 and kept.calibration is not None
    (stored,) = world.store.list("parcels/watch/kept/")
    assert len(world.store.get(stored)) < 300_000


def test_days_watched_in_another_order_give_the_same_alarms(
    world: Watched, watched: tuple[Watched, dict[int, Any]]
) -> None:
    other, found = watched
    for number in (9, 3, 12, 1, 14, 7, 2, 13, 11, 5, 4, 10, 8, 6, 14):
        world.monitor(number, backfilled=False)
    histories = []
    for one in (world, other):
        kept = reference_for(one.store, one.model, one.folder, found[1].version)
        entries = WatchLog(one.store, "parcels").entries()
        length = day(1).until - day(1).after
        histories.append(
            alarms_of(
                kept,
                one.model,
                found[1].version,
                entries,
                Ledger(one.store, "parcels").timeline(),
                day(14).until,
                length,
            )[1]
        )
    assert histories[0] == histories[1] and len(histories[0]) >= 2


def test_a_monitor_killed_at_any_store_call_and_repeated_leaves_the_same_record(world: Watched, tmp_path: Path) -> None:
    world.monitor(1)
    clean = opened(world.folder.parent, tmp_path / "clean")
    counted = FaultyStore(clean.store)
    clean.monitor(2, store=counted)
    expected = record(clean)
    assert len(expected) == 3 and counted.calls > 20
    for number in range(1, counted.calls + 1, 6):
        one = opened(world.folder.parent, tmp_path / f"killed{number}")
        with pytest.raises(Killed):
            one.monitor(2, store=FaultyStore(one.store, fail_at=number))
        one.monitor(2)
        assert record(one) == expected


def test_a_backfilled_day_tells_nobody_and_asks_nothing(world: Watched) -> None:
    for number in range(1, 14):
        found = world.monitor(number, backfilled=True)
        assert found is not None and (found.told, found.request) == ((), None)
    assert {kind for kind, _ in record(world)} == {"observed", "measured"}


def test_an_interval_that_was_not_scored_is_not_watched(world: Watched) -> None:
    assert world.monitor(25) is None


def test_a_new_champion_is_compared_with_its_predecessor_on_the_same_rows(tmp_path: Path) -> None:
    model = declare(tmp_path / "parcels")
    store = LocalStore(tmp_path / "store")
    for number in (4, 7):  # what makes a parcel late turns round in April: the second knows it
        run_chain(store, model, tmp_path / "parcels", month(number))

    def taken_in(window: Window) -> Snapshot:
        return ingest_window(store, model, tmp_path / "parcels", window, at=NOW, connections=None)  # type: ignore[arg-type]

    for number in (7, 8):
        window = Window(month(number), month(number + 1))
        score(store, model, tmp_path / "parcels", taken_in(window), at=NOW)
        found = monitor(store, model, tmp_path / "parcels", window, at=NOW, labels=taken_in)
    assert found is not None and found.probation is not None
    assert (found.probation.intervals, found.probation.verdict) == (1, ProbationVerdict.RUNNING)
    assert found.probation.gain is not None and found.probation.gain > 0.1
    assert found.probation.rows == found.performance[0].rows > 200
