from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.config.durations import Duration
from include.config.model import ModelConfig
from include.config.sections.data import Data
from include.data.frames import read_rows
from include.data.ingestion import source_pinning
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.ingest import ingest
from include.data.ingestion.readings import Observation
from include.data.snapshots import Snapshot, coverage
from include.data.stored_partitions import POSITION, SLOT
from include.errors import DataError, NotEnoughRows, NotYetThere, ObjectCorrupt, SchemaChanged, SourceError
from include.storage.content import to_iso
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
COLUMNS = {"id": {"type": "integer"}, "at": {"type": "timestamp"}, "x": {"type": "float"}, "y": {"type": "boolean"}}


def lines(*months: int, year: int = 2026, change: str = "") -> str:
    rows = [f"{m * 100 + d},{year}-{m:02d}-{d:02d}T10:00:00,{d}.5,{d % 2 == 0}" for m in months for d in (3, 9, 20)]
    return "\n".join(["id,at,x,y", *rows, *([change] if change else [])]) + "\n"


@pytest.fixture
def model(model_of, folder):
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4))
    return model_of({"kind": "files", "path": "rows.csv", "format": "csv", "columns": COLUMNS})


@pytest.fixture
def run(model, folder, read_at, doors, local_store):
    def run(
        store: Any = local_store,
        as_of: datetime = AS_OF,
        at: datetime = read_at,
        model: Any = model,
        started: datetime | None = None,
        **data: Any,
    ) -> Snapshot:
        model = model.model_copy(update={"data": model.data.model_copy(update=data)})
        return ingest(store, model, folder, as_of=as_of, at=at, started=started, connections=doors())

    return run


def test_a_snapshot_pins_the_partitions_that_its_windows_touch(run, local_store) -> None:
    snapshot = run()
    assert [(p.slot, p.rows) for p in snapshot.partitions] == [
        ("2026-01", 3),
        ("2026-02", 3),
        ("2026-03", 3),
        ("2026-04", 3),
    ]
    assert snapshot.schema == {"at": "timestamp", "id": "integer", "x": "float", "y": "boolean"}
    assert Snapshot.load(local_store, "shop", snapshot.digest) == snapshot


def test_repeating_an_ingestion_changes_nothing(run, local_store) -> None:
    first = run()
    before = sorted(local_store.list(""))
    assert run() == first
    assert sorted(local_store.list("")) == before


def test_only_what_is_lacking_or_newest_is_read_again(run, folder, model) -> None:
    first = run()
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4).replace("20.5", "9.5"))
    again = run()
    assert [a == b for a, b in zip(first.partitions, again.partitions, strict=True)] == [True, True, False, False]
    all_of_them = model.model_copy(update={"data": model.data.model_copy(update={"recheck": 4})})
    assert not {p.content for p in run(model=all_of_them).partitions} & {p.content for p in first.partitions}


@pytest.mark.parametrize(("recheck", "read"), [(1, ["2026-03", "2026-04"]), (2, ["2026-02", "2026-03", "2026-04"])])
def test_a_run_on_the_first_of_a_month_reads_the_months_before_again_which_recheck_counts(
    run, folder, model, recheck, read
) -> None:
    assert datetime(2026, 4, 1, tzinfo=UTC) == AS_OF
    before = run()
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4).replace("20.5", "9.5"))
    again = run(model=model.model_copy(update={"data": model.data.model_copy(update={"recheck": recheck})}))
    changed = [b.slot for a, b in zip(before.partitions, again.partitions, strict=True) if a.content != b.content]
    assert changed == read


def test_a_corrected_partition_is_a_new_content_beside_the_old_one(run, folder, local_store, model) -> None:
    before = run()
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4, change="999,2026-04-21T10:00:00,1.5,true"))
    after = run()
    assert [a.content == b.content for a, b in zip(before.partitions, after.partitions, strict=True)] == [True] * 3 + [
        False
    ]
    assert local_store.exists(before.partition_key(before.partitions[3]))
    assert len(read_rows(local_store, before, model, folder, window="both")) == 9
    assert after.partitions[3].rows == 4


def test_identity_of_a_partition_does_not_depend_on_the_file_that_its_rows_came_in(
    run, folder, model_of, tmp_path, doors, read_at
) -> None:
    one = run()
    header, *rows = lines(1, 2, 3, 4).splitlines()
    (folder / "rows.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert run(LocalStore(tmp_path / "other")) == one


def test_the_order_of_runs_does_not_change_what_they_pin(run, tmp_path) -> None:
    dates = [AS_OF - timedelta(days=days) for days in (0, 9, 17)]
    one, two = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "two")
    forwards = {date: run(one, date).digest for date in dates}
    assert {date: run(two, date).digest for date in reversed(dates)} == forwards


def test_a_partition_is_read_again_until_its_last_label_is_known(run, model, local_store) -> None:
    delayed = model.model_copy(
        update={"data": model.data.model_copy(update={"recheck": 0, "label_delay": model.data.windows.holdout})}
    )

    def log_length() -> int:
        return len(Catalogue(local_store, "shop", snapshot.source).log.read())

    snapshot = run(as_of=datetime(2026, 5, 3, tzinfo=UTC), at=datetime(2026, 5, 3, tzinfo=UTC), model=delayed)
    assert log_length() == 1
    run(as_of=datetime(2026, 5, 3, tzinfo=UTC), at=datetime(2026, 5, 9, tzinfo=UTC), model=delayed)
    assert log_length() == 2
    for _ in range(2):
        run(as_of=datetime(2026, 5, 3, tzinfo=UTC), at=datetime(2026, 6, 9, tzinfo=UTC), model=delayed)
        assert log_length() == 3


def test_a_gap_is_asked_for_again_and_filled_when_its_rows_come_late(run, folder, model_of) -> None:
    monthly = model_of({"kind": "files", "path": "%Y-%m.csv", "format": "csv", "columns": COLUMNS}, recheck=0)
    for month in (1, 3, 4):
        (folder / f"2026-{month:02d}.csv").write_text(lines(month))
    assert [p.rows for p in run(model=monthly).partitions] == [3, 0, 3, 3]
    (folder / "2026-02.csv").write_text(lines(2))
    assert [p.rows for p in run(model=monthly).partitions] == [3, 3, 3, 3]


def test_dated_files_hold_the_dates_of_the_declared_zone(run, folder, model_of) -> None:
    daily = model_of(
        {"kind": "files", "path": "%Y-%m-%d.csv", "format": "csv", "columns": COLUMNS},
        timezone="America/New_York", partition="day", windows={"train": "1d", "holdout": "1d"},
    )  # fmt: skip
    (folder / "2026-03-30.csv").write_text("id,at,x,y\n1,2026-03-30 20:30:00,1.0,true\n")
    (folder / "2026-03-31.csv").write_text("id,at,x,y\n2,2026-03-31 10:00:00,1.0,true\n")
    as_of = datetime(2026, 4, 1, tzinfo=UTC)
    (folder / "2026-03-29.csv").write_text("id,at,x,y\n3,2026-03-29 22:00:00,1.0,true\n")
    snapshot = run(as_of=as_of, model=daily)
    assert {p.slot: p.rows for p in snapshot.partitions} == {"2026-03-30": 1, "2026-03-31": 2, "2026-04-01": 0}
    (folder / "2026-03-31.csv").write_text("id,at,x,y\n2,2026-04-02 10:00:00,1.0,true\n")
    with pytest.raises(SourceError, match="another date"):
        run(as_of=as_of, model=daily)


def test_a_changed_schema_is_said_with_column_before_and_now(run, folder, model_of) -> None:
    import pandas as pd

    model = model_of({"kind": "files", "path": "rows.parquet", "format": "parquet"})
    frame = pd.read_csv(folder / "rows.csv", parse_dates=["at"])
    frame.to_parquet(folder / "rows.parquet")
    run(model=model)
    frame.assign(x="a").to_parquet(folder / "rows.parquet")
    with pytest.raises(SchemaChanged, match=r"column `x`(.|\n)*float \(before\)(.|\n)*string \(now\)"):
        run(model=model)
    frame.assign(z=1).drop(columns="x").to_parquet(folder / "rows.parquet")
    with pytest.raises(SchemaChanged, match="gone: x; new: z"):
        run(model=model)


def test_a_column_that_is_added_later_is_left_alone_and_said(run, folder, model_of, caplog) -> None:
    import pandas as pd

    model = model_of({"kind": "files", "path": "rows.parquet", "format": "parquet"})
    frame = pd.read_csv(folder / "rows.csv", parse_dates=["at"])
    frame.to_parquet(folder / "rows.parquet")
    before = run(model=model)
    for added in (1, "text", [[1, 2]] * len(frame), None):
        frame.assign(z=added).to_parquet(folder / "rows.parquet")
        assert run(model=model).partitions == before.partitions
    assert "columns that the first rows did not have are left alone: z" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("103,2026-01-03T10:00:00,1.5,true", "same id"),
        ("103,2026-01-04T10:00:00,1.5,true", "same id"),
        (",2026-01-03T10:00:00,1.5,true", "without a value"),
        ("7,,1.5,true", "without a value"),
        ("7,9999-01-03T10:00:00,1.5,true", "beyond the years"),
    ],
)
def test_rows_that_cannot_be_told_apart_or_placed_in_time_are_refused(run, folder, row, message) -> None:
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4, change=row))
    with pytest.raises(SourceError, match=message):
        run()


def test_repeated_ids_are_found_when_the_event_time_is_part_of_them(run, folder, model_of) -> None:
    model = model_of({"kind": "files", "path": "rows.csv", "format": "csv", "columns": COLUMNS}, row_id=["id", "at"])
    run(model=model)
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4, change="403,2026-04-03T10:00:00,8.5,true"))
    with pytest.raises(SourceError, match="same id"):
        run(model=model)


def test_levels_that_look_alike_are_reported_and_kept(run, folder, model_of, caplog, local_store) -> None:
    model = model_of(
        {"kind": "files", "path": "rows.csv", "format": "csv", "columns": {**COLUMNS, "c": {"type": "string"}}}
    )
    levels = ["Zürich", "Zu\u0308rich", "Zürich ", "Zü\u200brich", "Bern", "Bern"]
    rows = [f"{n},2026-{1 + n % 3:02d}-03T10:00:00,1.5,true,{level}" for n, level in enumerate(levels)]
    (folder / "rows.csv").write_text("\n".join(["id,at,x,y,c", *rows]))
    snapshot = run(model=model)
    assert "3 levels of column c look like another one" in caplog.text
    assert "rich" not in caplog.text
    assert set(read_rows(local_store, snapshot, model, folder, window="both")["c"]) == set(levels)


def test_a_window_longer_than_the_data_is_a_warning_and_an_empty_one_an_error(run, folder, caplog) -> None:
    (folder / "rows.csv").write_text(lines(2, 3))
    snapshot = run()
    assert "begins before the data" in caplog.text
    assert coverage(snapshot, snapshot.split.train).begins_before_data
    with pytest.raises(NotEnoughRows, match="holdout"):
        run(as_of=datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(NotEnoughRows, match="train"):
        run(as_of=datetime(2026, 2, 28, tzinfo=UTC))
    assert "has gaps" not in caplog.text.partition("begins")[0]


def test_an_as_of_in_the_future_is_refused(run) -> None:
    with pytest.raises(DataError, match="future"):
        run(at=AS_OF - timedelta(seconds=1))


def test_a_glob_that_finds_nothing_says_so(run, model_of) -> None:
    with pytest.raises(SourceError, match="No file"):
        run(model=model_of({"kind": "files", "path": "none/*.csv", "format": "csv", "columns": COLUMNS}))


def test_ingestions_side_by_side_end_as_one(run, store, read_at) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(run(store).digest)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 4
    assert len(set(digests)) == 1
    assert len(Catalogue(store, "shop", run(store).source).log.verify()) == 1


def corrected(folder: Path, change: str = "499,2026-04-21T10:00:00,8.5,true") -> None:
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4, change=change))


def rows_of(snapshot: Snapshot, slot: str) -> int:
    return next(pinned.rows for pinned in snapshot.partitions if pinned.slot == slot)


@pytest.mark.parametrize("days", [-40, 40])
def test_a_clock_that_was_wrong_once_hides_no_correction(run, folder, read_at, days) -> None:
    before = run(at=read_at + timedelta(days=days), started=read_at)
    corrected(folder)
    after = run(at=read_at + timedelta(hours=1))
    assert rows_of(after, "2026-04") == rows_of(before, "2026-04") + 1
    assert run(at=read_at + timedelta(hours=2)) == after


def test_a_worker_whose_clock_is_slow_makes_no_run_fail(run, read_at) -> None:
    assert run(at=AS_OF - timedelta(days=40), started=AS_OF) == run(at=read_at)


IN_APRIL, IN_MAY = datetime(2026, 4, 12, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC)


def test_what_a_clock_ahead_calls_complete_is_read_again_and_then_stands(run, folder, local_store) -> None:
    """The whole deployment was 40 days ahead once: April was read before it was over, and called complete."""
    source = run(as_of=IN_APRIL, at=IN_APRIL + timedelta(days=40)).source
    corrected(folder)
    later = run(as_of=IN_MAY, at=IN_MAY, recheck=0)
    assert rows_of(later, "2026-04") == 4
    for days in (1, 90):
        assert run(as_of=IN_MAY, at=IN_MAY + timedelta(days=days), recheck=0) == later
    entries = Catalogue(local_store, "shop", source).log.read()
    assert [any(one["slot"] == "2026-04" for one in entry.body["partitions"]) for entry in entries[:3]] == [
        True,
        True,
        False,
    ]


def test_slots_are_called_complete_by_when_the_run_began_and_by_no_workers_clock(run, folder) -> None:
    run(as_of=IN_APRIL, at=IN_APRIL + timedelta(days=40), started=IN_APRIL)
    corrected(folder)
    assert rows_of(run(as_of=IN_MAY, at=IN_MAY + timedelta(days=60), recheck=0), "2026-04") == 4


def test_one_clock_far_off_changes_nothing_about_what_was_known_at_another_instant(local_store) -> None:
    catalogue = Catalogue(local_store, "shop", "s" * 64)
    day = timedelta(days=1)

    def observe(content: str, at: datetime) -> None:
        one = Observation("2026-03", content, content, 1, 1, to_iso(AS_OF))
        assert not catalogue.record([one], {}, at, seen=0 if content == "0" else 9, started=at)

    for number in range(8):
        wrong = {2: 40 * day, 5: -40 * day}.get(number, 0 * day)
        observe(str(number), AS_OF + number * day + wrong)
    known = [catalogue.known_by(AS_OF + number * day, Duration("0s"))["2026-03"].content for number in range(8)]
    # Each moves only what is known at its neighbours' instants, by no more than a day: 2 is known late, 5 early.
    assert known == ["0", "1", "1", "1", "5", "5", "6", "7"]
    assert catalogue.newest()["2026-03"].content == "7"


def test_of_two_that_read_at_once_neither_hides_what_the_other_saw(
    run, folder, local_store, read_at, monkeypatch
) -> None:
    """The other one records a correction while this one still holds the rows from before it."""
    observe, others = source_pinning.read_slots, iter([1])

    def observe_slowly(*arguments):
        found = observe(*arguments)
        if next(others, None):
            corrected(folder)
            monkeypatch.setattr(source_pinning, "read_slots", observe)
            run(at=read_at - timedelta(days=1))
            monkeypatch.setattr(source_pinning, "read_slots", observe_slowly)
        return found

    run()
    monkeypatch.setattr(source_pinning, "read_slots", observe_slowly)
    assert rows_of(run(), "2026-04") == 4
    assert rows_of(run(), "2026-04") == 4


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_kill_at_any_call_of_the_store_leaves_nothing_that_a_repetition_does_not_mend(run, tmp_path, mode) -> None:
    counted = FaultyStore(LocalStore(tmp_path / "whole"))
    expected = run(counted).digest
    for number in range(1, counted.calls + 1):
        store = LocalStore(tmp_path / f"{number}")
        with pytest.raises(Killed):
            run(FaultyStore(store, fail_at=number, mode=mode))
        assert run(store).digest == expected
        assert sorted(store.list("")) == sorted(counted.list(""))


def test_bytes_that_are_not_those_pinned_are_never_parsed(run, local_store, model, folder) -> None:
    snapshot = run()
    path = Path(local_store.root) / snapshot.partition_key(snapshot.partitions[1])
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    with pytest.raises(ObjectCorrupt, match="2026-02"):
        read_rows(local_store, snapshot, model, folder, window="train")


def test_rows_of_a_window_are_named_by_slot_and_position(run, local_store, model, folder) -> None:
    snapshot = run()
    frame = read_rows(local_store, snapshot, model, folder, window="holdout", columns=["id"], positions=True)
    assert list(frame[SLOT]) == ["2026-03"] * 3
    assert list(frame[POSITION]) == [0, 1, 2]
    assert list(frame["id"]) == [303, 309, 320]


def test_a_late_correction_changes_what_is_read_as_now_known_and_not_what_was_known_then(
    run, folder, model, caplog
) -> None:
    caplog.set_level(logging.INFO)
    then = model.model_copy(update={"data": model.data.model_copy(update={"corrections": "as_known_then"})})
    first, later = AS_OF + timedelta(days=40), AS_OF + timedelta(days=50)
    as_of = AS_OF + timedelta(days=45)
    before = run(as_of=as_of, at=as_of, model=then)
    assert run(as_of=as_of, at=as_of) == before
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4, change="999,2026-04-21T10:00:00,1.5,true"))
    everything = {"recheck": 4}
    now_known = run(
        as_of=as_of, at=later, model=model.model_copy(update={"data": model.data.model_copy(update=everything)})
    )
    assert now_known.digest != before.digest
    assert "before later corrections" not in caplog.text
    assert run(as_of=as_of, at=later, model=then) == before
    assert "as known at as-of, before later corrections: 2026-04" in caplog.text
    assert run(as_of=first, at=later, model=then).partitions[-2].rows == 3  # not on record then: the first on record


def test_what_was_read_of_a_partition_under_way_is_not_what_was_known_of_it_later(run, folder) -> None:
    """As a schedule runs: a few seconds after each as-of, so that what such a run reads is on record after it."""
    late = "999,2026-04-21T10:00:00,1.5,true"

    def look(
        as_of: datetime, *months: int, change: str = "", after: timedelta = timedelta(seconds=5), **data: Any
    ) -> int:
        (folder / "rows.csv").write_text(lines(*months, change=change))
        known_then = {"corrections": "as_known_then", "recheck": 9, "label_delay": Duration("10d"), **data}
        return rows_of(run(as_of=as_of, at=as_of + after, **known_then), "2026-04")

    assert look(AS_OF + timedelta(days=10), 1, 2, 3, 4) == 3
    assert look(datetime(2026, 5, 8, tzinfo=UTC), 1, 2, 3, 4) == 3
    whole = datetime(2026, 5, 12, tzinfo=UTC)
    assert look(whole, 1, 2, 3, 4, change=late) == 4, "labels were due until the tenth"
    assert look(whole, 1, 2, 3, 4, after=timedelta(days=40)) == 4, "a correction of the whole, not known then"


def waiting(model: ModelConfig, wait: Any, **data: Any) -> ModelConfig:
    facts = model.data.model_dump(mode="json", by_alias=True) | {"wait": wait} | data
    return model.model_copy(update={"data": Data.model_validate(facts)})


@pytest.mark.parametrize("corrections", ["as_now_known", "as_known_then"])
def test_a_partition_that_is_not_full_yet_is_waited_for_by_rows_or_by_its_newest_row(
    model, folder, doors, local_store, corrections
) -> None:
    def look(wait: dict[str, Any], hours: int = 1) -> Snapshot:
        chosen, at = waiting(model, wait, corrections=corrections), AS_OF + timedelta(hours=hours)
        return ingest(local_store, chosen, folder, as_of=AS_OF, at=at, connections=doors(), wait=True)

    (folder / "rows.csv").write_text(lines(1, 2, 3))
    with pytest.raises(NotYetThere, match="only 3 rows") as caught:
        look({"at_most": "6h", "rows": 4})
    assert "4 rows by" in str(caught.value)
    with pytest.raises(NotYetThere, match="only 3 rows"):
        look({"at_most": "6h", "until": "watermark", "within": "277h"})
    found = look({"at_most": "6h", "until": "watermark", "within": "278h"})  # the 20th, 10:00
    assert look({"at_most": "6h", "rows": 3}) == found
    assert look({"at_most": "6h", "rows": 4}, hours=6).partitions == found.partitions, "in the end, what there is"


def test_late_rows_are_waited_for_and_what_was_not_there_is_not_on_record(model, folder, doors, local_store) -> None:
    def look(hours: int, corrections: str = "as_known_then") -> Snapshot:
        chosen = waiting(model, "6h", corrections=corrections)
        at = AS_OF + timedelta(hours=hours)
        return ingest(local_store, chosen, folder, as_of=AS_OF, at=at, connections=doors(), wait=True)

    (folder / "rows.csv").write_text(lines(1, 2))
    with pytest.raises(NotYetThere) as caught:
        look(1)
    assert caught.value.until == AS_OF + timedelta(hours=6)
    assert "Partition 2026-03 has no row so far" in str(caught.value)
    (folder / "rows.csv").write_text(lines(1, 2, 3))
    found = look(2)
    assert [p.rows for p in found.partitions][:3] == [3, 3, 3]
    assert look(4) == found, "by what was known at its as-of, the late rows are the first that were"


def test_rows_are_read_once_the_marker_of_the_newest_partition_is_there(model, folder, doors, local_store) -> None:
    wait = {"at_most": "6h", "until": "file", "file": "done/%Y-%m.ok"}

    def look(hours: int, corrections: str = "as_known_then") -> Snapshot:
        chosen, at = waiting(model, wait, corrections=corrections), AS_OF + timedelta(hours=hours)
        return ingest(local_store, chosen, folder, as_of=AS_OF, at=at, connections=doors(), wait=True)

    (folder / "done").mkdir()
    (folder / "done" / "2026-02.ok").touch()
    (folder / "rows.csv").write_text(lines(1, 2) + "303,2026-03-03T10:00:00,3.5,False\n")
    with pytest.raises(NotYetThere) as caught:
        look(1)
    assert caught.value.until == AS_OF + timedelta(hours=6)
    assert "Partition 2026-03 has no marker done/2026-03.ok so far" in str(caught.value)
    assert not list(local_store.list("")), "a load under way is not on record"
    (folder / "rows.csv").write_text(lines(1, 2, 3))
    (folder / "done" / "2026-03.ok").touch()
    found = look(2)
    assert [p.rows for p in found.partitions][:3] == [3, 3, 3]
    assert look(4) == found, "the first that is on record is the whole"


def test_a_partition_with_a_marker_and_no_row_is_not_late(model, folder, doors, local_store) -> None:
    wait = {"at_most": "6h", "until": "file", "file": "%Y-%m.ok"}
    (folder / "rows.csv").write_text(lines(1, 2))
    (folder / "2026-03.ok").touch()
    at = AS_OF + timedelta(hours=1)
    with pytest.raises(NotEnoughRows, match="no row for the holdout window") as caught:
        ingest(local_store, waiting(model, wait), folder, as_of=AS_OF, at=at, connections=doors(), wait=True)
    assert not isinstance(caught.value, NotYetThere)


def test_what_is_on_record_and_not_read_again_needs_no_marker(model, folder, doors, local_store) -> None:
    wait = {"at_most": "6h", "until": "file", "file": "%Y-%m.ok"}
    read = AS_OF + timedelta(days=60)
    before = ingest(local_store, model, folder, as_of=AS_OF, at=read, connections=doors())
    chosen = waiting(model, wait, recheck=0)
    again = ingest(
        local_store,
        chosen,
        folder,
        as_of=AS_OF,
        at=AS_OF + timedelta(hours=1),
        started=read,
        connections=doors(),
        wait=True,
    )
    assert again.partitions == before.partitions


@pytest.mark.parametrize(
    "wait",
    [
        {"until": "file", "file": "%Y-%m.ok"},
        {"until": "rows", "rows": 3},
        {"until": "watermark", "within": "278h"},
    ],
)
@pytest.mark.parametrize("waits", [True, False])
def test_what_had_not_come_when_the_wait_ended_is_read_again_by_the_next_run(
    model, folder, doors, local_store, wait, waits
) -> None:
    def look(months: int, hours: int) -> Snapshot:
        chosen = waiting(model, {"at_most": "6h", **wait}, corrections="as_now_known")
        as_of = AS_OF.replace(month=AS_OF.month + months)
        at = as_of + timedelta(hours=hours)
        return ingest(local_store, chosen, folder, as_of=as_of, at=at, connections=doors(), wait=waits)

    (folder / "rows.csv").write_text(lines(1, 2) + "303,2026-03-03T10:00:00,3.5,False\n")
    assert {one.slot: one.rows for one in look(0, 7).partitions}["2026-03"] == 1
    (folder / "rows.csv").write_text(lines(1, 2, 3, 4))
    for name in ("2026-03.ok", "2026-04.ok"):
        (folder / name).touch()
    assert {one.slot: one.rows for one in look(1, 1).partitions}["2026-03"] == 3


def test_when_the_wait_is_over_a_run_goes_on_with_what_there_is(model, folder, doors, local_store) -> None:
    (folder / "rows.csv").write_text(lines(1, 2))
    with pytest.raises(NotEnoughRows, match="no row for the holdout window") as caught:
        ingest(
            local_store,
            waiting(model, "6h"),
            folder,
            as_of=AS_OF,
            at=AS_OF + timedelta(hours=6),
            connections=doors(),
            wait=True,
        )
    assert not isinstance(caught.value, NotYetThere)


def test_a_partition_that_is_not_over_is_not_waited_for(model, folder, doors, local_store) -> None:
    (folder / "rows.csv").write_text(lines(1, 2, 3))
    as_of = AS_OF + timedelta(hours=3)
    snapshot = ingest(local_store, waiting(model, "6h"), folder, as_of=as_of, at=as_of, connections=doors(), wait=True)
    assert snapshot.partitions[-1].slot == "2026-04" and not snapshot.partitions[-1].rows
