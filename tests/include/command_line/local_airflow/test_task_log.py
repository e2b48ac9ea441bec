from __future__ import annotations

import json
from pathlib import Path

from include.command_line.local_airflow.backfill import Task
from include.command_line.local_airflow.task_log import last_errors, log_of

MAPPED = Task("backfill__2013-05-01T00:00:00+00:00", "2013-05-01", "train[forest]", "train", 1, 2, "failed")


def test_a_log_is_found_where_airflow_keeps_it(tmp_path: Path):
    folder = "dag_id=retrain_x/run_id=backfill__2013-05-01T00:00:00+00:00/task_id=train/map_index=1"
    assert log_of(tmp_path, "retrain_x", MAPPED) == tmp_path / folder / "attempt=2.log"


def test_the_errors_of_a_log_are_shown_and_not_its_chatter(tmp_path: Path):
    log = tmp_path / "attempt=1.log"
    records = [
        {"level": "info", "event": "fitting"},
        {
            "level": "error",
            "event": "Task failed with exception",
            "error_detail": [{"exc_type": "DataError", "exc_value": "Rows are missing.\n  found: 3"}],
        },
        {"level": "info", "event": "bye"},
    ]
    log.write_text("\n".join(["not json", *map(json.dumps, records)]))
    assert last_errors(log) == ["Task failed with exception", "DataError: Rows are missing.", "  found: 3"]


def test_what_a_task_says_itself_is_not_told_again_as_the_exception_that_ended_it(tmp_path: Path):
    log = tmp_path / "attempt=1.log"
    thrown = [{"exc_type": "AirflowFailException", "exc_value": "Rows are missing."}]
    records = [
        {"level": "error", "event": "Rows are missing.\n  found: 3"},
        {"level": "error", "event": "Task failed with exception", "error_detail": thrown},
    ]
    log.write_text("\n".join(map(json.dumps, records)))
    assert last_errors(log) == ["Rows are missing.", "  found: 3"]


def test_a_task_that_ended_without_a_word_has_no_errors(tmp_path: Path):
    assert last_errors(tmp_path / "attempt=1.log") == []
