from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.config.model import ModelConfig
from include.config.settings import ROOT
from include.data.frames import read_rows
from include.data.quality.check import check
from include.data.quality.check_report import CheckReport, load_report
from include.data.snapshots import DUPLICATES, Snapshot
from include.errors import ConfigError, QualityError
from include.storage.content import get_content
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed
from tests.include.data.quality import checked_model as parcels

PLACES = {"expect_column_values_to_be_in_set": {"column": "place", "value_set": ["north", "south", "west"]}}
SMALL = {"expect_column_values_to_be_between": {"column": "size", "min_value": 0, "max_value": 9}}


def critical(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: {**arguments, "severity": "critical"} for name, arguments in entry.items()}


def quarantine(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: {**arguments, "quarantine": True} for name, arguments in entry.items()}


def run(store: Any, model: ModelConfig, frame: pd.DataFrame, folder: Path = Path("unused")) -> CheckReport:
    return check(store, model, folder, parcels.snapshot_of(store, frame, model))


def objects(store: LocalStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list("")}


def spoilt(frame: pd.DataFrame) -> pd.Series:
    """Sizes with one far too large in the training window, one in the holdout, and one in no window."""
    return frame["size"].mask(
        frame["at"].isin(pd.to_datetime(["2024-02-10", "2024-04-30", "2024-01-02"], utc=True)), 5000.0
    )


def test_rows_as_expected_go_on_under_their_own_snapshot(local_store: LocalStore) -> None:
    model = parcels.model_with(critical(PLACES), SMALL)
    snapshot = parcels.snapshot_of(local_store, parcels.rows(), model)
    report = check(local_store, model, Path("unused"), snapshot)
    assert (report.passed, report.snapshot, report.warnings, report.set_aside) == (True, snapshot.digest, (), 0)
    stored = load_report(local_store, "parcels", report.report)
    assert [one["status"] for one in stored["checks"]] == ["passed", "passed"]
    assert stored["rows"]["train"] + stored["rows"]["holdout"] == report.rows
    assert sum(slot["train"] + slot["holdout"] for slot in stored["coverage"]) == report.rows


def test_a_critical_failure_stops_the_run_once_report_and_page_are_stored(local_store: LocalStore) -> None:
    model = parcels.model_with(critical(PLACES))
    with pytest.raises(QualityError, match="expect_column_values_to_be_in_set on place") as caught:
        run(local_store, model, parcels.rows(place=lambda rows: rows["place"].replace("west", "moon")))
    stored = load_report(local_store, "parcels", caught.value.report)
    assert stored["checks"][0]["status"] == "failed"
    assert (stored["checks"][0]["unexpected"], stored["checks"][0]["judged"]) == (120, 359)
    assert "The run stops" in get_content(local_store, "parcels/checks", ".html", caught.value.page).decode()


def test_a_warning_is_recorded_and_the_run_goes_on(local_store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    report = run(local_store, parcels.model_with(SMALL), parcels.rows(size=spoilt))
    assert report.passed
    assert report.warnings == ("expect_column_values_to_be_between on size: 2 of 359 rows (0.56%) are not as expected",)
    assert report.warnings[0] in caplog.text


def test_exactly_the_offending_rows_are_set_aside(local_store: LocalStore) -> None:
    model = parcels.model_with(quarantine(SMALL), PLACES)
    snapshot = parcels.snapshot_of(local_store, parcels.rows(size=spoilt), model)
    report = check(local_store, model, Path("unused"), snapshot)
    assert (report.passed, report.set_aside, report.warnings) == (True, 2, ())
    before = read_rows(local_store, snapshot, model, Path("unused"), window="both")
    after = read_rows(
        local_store, Snapshot.load(local_store, "parcels", report.snapshot), model, Path("unused"), window="both"
    )
    expected = before[before["size"] <= 9].reset_index(drop=True)
    assert list(after["id"]) == list(expected["id"])
    assert len(before) - len(after) == 2


def test_rows_set_aside_before_stay_aside(local_store: LocalStore) -> None:
    frame = parcels.rows(size=spoilt, place=lambda rows: rows["place"].mask(rows["id"] == 300, "moon"))
    first = parcels.model_with(quarantine(SMALL))
    once = run(local_store, first, frame)
    second = parcels.model_with(quarantine(PLACES))
    twice = check(local_store, second, Path("unused"), Snapshot.load(local_store, "parcels", once.snapshot))
    left = read_rows(
        local_store, Snapshot.load(local_store, "parcels", twice.snapshot), second, Path("unused"), window="both"
    )
    assert (len(left), twice.set_aside) == (once.rows - 3, 1)
    assert left["size"].max() <= 9
    assert "moon" not in set(left["place"])


def test_a_row_that_offends_twice_is_set_aside_once(local_store: LocalStore) -> None:
    other = {"expect_column_values_to_not_be_in_set": {"column": "size", "value_set": [5000.0]}}
    assert (
        run(local_store, parcels.model_with(quarantine(SMALL), quarantine(other)), parcels.rows(size=spoilt)).set_aside
        == 2
    )


@pytest.mark.parametrize(("allowed", "stops"), [(2 / 359, False), (1.9 / 359, True), (0, True)])
def test_more_rows_set_aside_than_allowed_stop_the_run(local_store: LocalStore, allowed: float, stops: bool) -> None:
    model = parcels.model_with(quarantine(SMALL), max_quarantined=allowed)
    if not stops:
        assert run(local_store, model, parcels.rows(size=spoilt)).passed
        return
    with pytest.raises(QualityError, match=r"2 of 359 rows .* would be set aside"):
        run(local_store, model, parcels.rows(size=spoilt))


@pytest.mark.parametrize("asked", [lambda entry: entry, quarantine, critical])
def test_an_expectation_that_cannot_be_evaluated_stops_the_run_whatever_its_severity(
    local_store: LocalStore, asked: Any
) -> None:
    no_json = {"expect_column_values_to_match_json_schema": {"column": "place", "json_schema": {}}}  # which is no JSON
    with pytest.raises(QualityError, match="could not evaluate") as caught:
        run(local_store, parcels.model_with(asked(no_json), PLACES), parcels.rows())
    statuses = [one["status"] for one in load_report(local_store, "parcels", caught.value.report)["checks"]]
    assert statuses == ["error", "passed"]


def test_an_unknown_column_is_answered_with_the_entry_and_the_nearest_name(local_store: LocalStore) -> None:
    model = parcels.model_with(PLACES, {"expect_column_values_to_not_be_null": {"column": "sise"}})
    with pytest.raises(ConfigError, match=r"quality.expectations\[1\][\s\S]*did you mean `size`"):
        run(local_store, model, parcels.rows())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"column": "size", "min_valu": 1}, "min_value"),
        ({"min_value": 1}, "column: field required"),
        ({"column": "size", "min_value": "many"}, "min_value: value is not a valid float"),
    ],
)
def test_refused_arguments_are_answered_before_rows_are_read(
    local_store: LocalStore, arguments: Any, words: str
) -> None:
    model = parcels.model_with({"expect_column_values_to_be_between": arguments})
    with pytest.raises(ConfigError, match=r"parcels/model.yaml, quality.expectations\[0\]") as caught:
        run(local_store, model, parcels.rows())
    assert words in str(caught.value)
    assert not list(local_store.list("parcels/checks/"))


def test_rows_without_a_label_are_checked_too(local_store: LocalStore) -> None:
    model = parcels.model_with(critical({"expect_column_values_to_not_be_null": {"column": "label"}}))
    with pytest.raises(QualityError, match="on label: 1 of 359"):
        run(local_store, model, parcels.rows(label=lambda rows: rows["label"].astype("Int64").mask(rows["id"] == 200)))


def test_a_derived_column_can_be_judged(local_store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text("def derive(rows):\n    return rows.assign(double=rows['size'] * 2)\n")
    entry = {"expect_column_max_to_be_between": {"column": "double", "max_value": 18, "severity": "critical"}}
    assert run(local_store, parcels.model_with(entry, derive="features:derive"), parcels.rows(), tmp_path).passed
    (tmp_path / "features.py").write_text("def derive(rows):\n    return rows.assign(double=rows['size'] * 3)\n")
    with pytest.raises(QualityError):
        run(local_store, parcels.model_with(entry, derive="features:derive"), parcels.rows(), tmp_path)


def test_a_column_may_be_expected_that_is_not_there(local_store: LocalStore) -> None:
    with pytest.raises(QualityError, match="expect_column_to_exist on weight: does not hold"):
        run(local_store, parcels.model_with(critical({"expect_column_to_exist": {"column": "weight"}})), parcels.rows())


def test_the_table_that_is_judged_holds_the_sources_columns_and_no_other(local_store: LocalStore) -> None:
    columns = {"expect_table_columns_to_match_set": {"column_set": list(parcels.SCHEMA), "severity": "critical"}}
    assert run(local_store, parcels.model_with(columns), parcels.rows()).passed


def test_without_expectations_there_is_still_a_report_of_what_is_there(local_store: LocalStore) -> None:
    report = run(
        local_store, parcels.model_with(), parcels.rows(size=lambda rows: rows["size"].mask(rows["id"] % 2 == 0))
    )
    stored = load_report(local_store, "parcels", report.report)
    assert report.passed
    missing = {column["column"]: column["missing"] for column in stored["missing"]}
    assert (missing["place"], missing["size"]) == (0, 179)


@pytest.mark.parametrize("severity", [critical, quarantine])
def test_a_repeat_finds_its_result_without_reading_rows(local_store: LocalStore, severity: Any) -> None:
    model = parcels.model_with(severity(SMALL), max_quarantined=1)
    snapshot = parcels.snapshot_of(local_store, parcels.rows(size=spoilt), model)

    def outcome() -> Any:
        try:
            return check(local_store, model, Path("unused"), snapshot)
        except QualityError as error:
            return str(error), error.report, error.page

    first = outcome()
    shutil.rmtree(Path(local_store.url.removeprefix("file://")) / "parcels" / "partitions")
    assert outcome() == first


def test_the_same_rows_and_expectations_give_the_same_bytes(tmp_path: Path) -> None:
    stores = [LocalStore(tmp_path / name) for name in "ab"]
    for store in stores:
        run(store, parcels.model_with(quarantine(SMALL), PLACES), parcels.rows(size=spoilt))
    assert objects(stores[0]) == objects(stores[1])


def test_killed_at_any_store_call_and_repeated_it_leaves_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    model, frame = parcels.model_with(quarantine(SMALL)), parcels.rows(size=spoilt)
    quiet = LocalStore(tmp_path / "quiet")
    snapshot = parcels.snapshot_of(quiet, frame, model)
    counted = FaultyStore(quiet)
    expected = check(counted, model, Path("unused"), snapshot)
    # Dying before a call is dying after the one before it.
    for call in range(1, counted.calls + 1):
        store = LocalStore(tmp_path / f"killed{call}")
        parcels.snapshot_of(store, frame, model)
        with pytest.raises(Killed):
            check(FaultyStore(store, fail_at=call, mode="after"), model, Path("unused"), snapshot)
        assert check(store, model, Path("unused"), snapshot) == expected
        assert objects(store) == objects(quiet)


def test_no_value_of_the_data_reaches_logs_errors_or_what_is_handed_on(
    local_store: LocalStore, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    frame = parcels.rows(place=lambda rows: rows["place"].where(rows["id"] != 200, "Jane Doe, 5 Elm Street"))
    entries = [
        critical(PLACES),
        {"expect_column_distinct_values_to_be_in_set": {"column": "place", "value_set": ["north"]}},
        {"expect_column_values_to_match_json_schema": {"column": "place", "json_schema": {}}},
        {"expect_column_values_to_match_strftime_format": {"column": "place", "strftime_format": "%Y"}},
    ]
    with pytest.raises(QualityError) as caught:
        run(local_store, parcels.model_with(*entries), frame)
    report = run(local_store, parcels.model_with(PLACES), frame)
    captured = capfd.readouterr()
    said = f"{caught.value} {json.dumps(report.to_json())} {captured.out} {captured.err} {caplog.text}"
    assert "Jane" not in said


def test_report_and_page_hold_counts_and_no_value_of_a_row(local_store: LocalStore) -> None:
    frame = parcels.rows(
        place=lambda rows: rows["place"].where(rows["id"] != 200, "moon"), id=lambda rows: rows["id"] + 987000
    )
    pair = {"expect_compound_columns_to_be_unique": {"column_list": ["place", "size"]}}
    levels = {"expect_column_distinct_values_to_be_in_set": {"column": "place", "value_set": ["north"]}}
    common = {"expect_column_most_common_value_to_be_in_set": {"column": "place", "value_set": ["pole"]}}
    likely = {
        "expect_column_kl_divergence_to_be_less_than": {
            "column": "place",
            "threshold": 0.1,
            "partition_object": {"values": ["pole"], "weights": [1.0]},
        }
    }
    report = run(local_store, parcels.model_with(PLACES, pair, levels, common, likely), frame)
    stored = local_store.get(f"parcels/checks/{report.report}.json").decode()
    page = get_content(local_store, "parcels/checks", ".html", report.page).decode()
    assert "987" not in stored.replace(report.snapshot, "") and "moon" not in stored and "moon" not in page
    checks = load_report(local_store, "parcels", report.report)["checks"]
    assert checks[0]["unexpected"] == 1 and all(one["status"] == "failed" for one in [checks[0], *checks[2:4]])
    assert checks[2]["unexpected"] == 3 and checks[3]["observed"].endswith((" value", " values"))
    found = json.dumps([{key: value for key, value in one.items() if key != "arguments"} for one in checks[2:]])
    assert not any(level in found for level in ("north", "south", "west"))


def test_what_was_put_right_is_counted_on_report_page_and_log(
    local_store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = parcels.model_with(PLACES)
    snapshot = parcels.snapshot_of(local_store, parcels.rows(), model)
    first, second, *rest = snapshot.partitions
    counted = (
        replace(first, rectified=(("place", 3),)),
        replace(second, rectified=((DUPLICATES, 2), ("place", 1))),
        *rest,
    )
    snapshot = replace(snapshot, partitions=counted)
    snapshot.save(local_store)
    report = check(local_store, model, Path("unused"), snapshot)
    assert load_report(local_store, "parcels", report.report)["rectified"] == [
        {"what": DUPLICATES, "count": 2},
        {"what": "place", "count": 4},
    ]
    page = get_content(local_store, "parcels/checks", ".html", report.page).decode()
    for said in ("2 duplicate rows were dropped", "4 texts of place"):
        assert said in page and said in caplog.text
    untouched = run(local_store, parcels.model_with(PLACES), parcels.rows())
    assert "rectified" not in load_report(local_store, "parcels", untouched.report)


def test_great_expectations_leaves_nothing_on_disk_and_nothing_in_the_log(
    local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("HOME", str(empty))
    monkeypatch.setattr(tempfile, "tempdir", str(empty))
    made: list[str] = []
    real = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: made.append(real(*a, **k)) or made[-1])
    run(local_store, parcels.model_with(quarantine(SMALL), PLACES), parcels.rows(size=spoilt))
    assert ([*empty.iterdir()], made) == ([], [])
    assert {record.name for record in caplog.records} == {"include.data.quality.check"}
    said = (
        capfd.readouterr().out.splitlines()
    )  # where another test has set Airflow's logging up, our own lines are there
    assert [line for line in said if "include.data.quality.check" not in line] == []


def test_importing_the_check_does_not_import_great_expectations() -> None:
    code = "import sys, include.data.quality.check; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


BY_ROW = (
    {"expect_column_values_to_not_be_null": {"column": "size", "mostly": 0.9}},
    {"expect_column_values_to_match_regex": {"column": "place", "regex": "^(north|south)$", "mostly": 0.7}},
    {"expect_column_value_lengths_to_be_between": {"column": "place", "max_value": 5, "mostly": 0.6}},
    {"expect_column_values_to_be_between": {"column": "size", "max_value": 9, "mostly": 0.995}},
)
OF_ALL = (
    {"expect_column_values_to_be_unique": {"column": "id"}},
    {"expect_column_mean_to_be_between": {"column": "size", "max_value": 2}},
    {"expect_table_row_count_to_be_between": {"min_value": 400}},
)


@pytest.mark.parametrize("entries", [BY_ROW, OF_ALL, (*BY_ROW, *OF_ALL, quarantine(SMALL))])
def test_many_rows_are_judged_part_by_part_with_the_same_report(
    entries: tuple[dict[str, Any], ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = parcels.rows(size=lambda rows: spoilt(rows).mask(rows["id"] % 17 == 0))
    reports = []
    for rows in (1_000_000, 100, 1):
        monkeypatch.setattr("include.data.quality.check.PART", rows)
        store = LocalStore(tmp_path / str(rows))
        caplog.set_level(logging.INFO)
        report = run(store, parcels.model_with(*entries), frame)
        reports.append(load_report(store, "parcels", report.report))
    assert "part 3 of" in caplog.text
    assert reports[0] == reports[1] == reports[2]


def test_a_part_without_a_row_in_the_windows_is_no_error_and_nothing_is_derived_of_it(
    local_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.data.quality.check.PART", 1)
    later = parcels.rows().tail(2).assign(at=lambda rows: rows["at"] + pd.Timedelta("10h"), id=[1000, 1001])
    assert later["at"].max() > pd.Timestamp(parcels.AS_OF) - pd.Timedelta("12h")
    (tmp_path / "features.py").write_text(
        "def derive(frame):\n    assert len(frame)\n    return frame.assign(double=frame['size'] * 2)\n"
    )
    twice = {"expect_column_values_to_be_between": {"column": "double", "max_value": 18}}
    model = parcels.model_with(twice, derive="features:derive")
    report = run(local_store, model, pd.concat([parcels.rows(), later]), tmp_path)
    assert report.passed and not report.warnings
    assert load_report(local_store, "parcels", report.report)["coverage"][-1] == {
        "slot": "2024-05",
        "train": 0,
        "holdout": 0,
        "set_aside": 0,
    }


def test_of_many_rows_too_a_column_that_is_not_there_is_named_with_its_entry(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.data.quality.check.PART", 1)
    model = parcels.model_with(SMALL, {"expect_column_values_to_be_unique": {"column": "plaice"}})
    with pytest.raises(ConfigError, match=r"expectations\[1\]"):
        run(local_store, model, parcels.rows())
