"""A demo that was killed, under a real Airflow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commands import declared_until

from include.registry.ledger import Ledger
from include.storage.opening import open_store

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


def test_a_demo_that_is_interrupted_is_completed_by_the_next_and_repeating_it_changes_nothing(start, tmp_path: Path):
    models = str(declared_until(tmp_path, "2013-06-01"))
    interrupted = start("demo", RATCHET_MODELS=models)
    interrupted.until(lambda: interrupted.logs("dag_id=*/*/task_id=train/*/*.log"))
    interrupted.kill()

    database = interrupted.home / "airflow" / "airflow.db"
    before = closed_backfills(database)
    tear_backfills(database)
    completed = start("demo", RATCHET_MODELS=models)
    completed.until(lambda: closed_backfills(database) >= before + 2)  # what was interrupted, and what was torn
    mend_backfills(database)
    assert completed.end() == 0, completed.said()
    assert not completed.left()
    ledger = Ledger(open_store((completed.home / "store").as_uri()), "flight_delay")
    entries, timeline = ledger.entries(), ledger.timeline()
    assert [standing.as_of.month for standing in timeline.standings] == [5, 6]
    assert all(standing.version in completed.said() for standing in timeline.standings)
    assert timeline.champion is not None

    second = start("demo", RATCHET_MODELS=models)
    assert second.end() == 0
    assert "Airflow runs" not in second.said()
    assert timeline.champion in second.said()

    repeated = start("demo", "--again", RATCHET_MODELS=models)
    assert repeated.end() == 0, repeated.said()
    assert "Airflow runs" in repeated.said()
    assert Ledger(open_store((completed.home / "store").as_uri()), "flight_delay").entries() == entries


def tear_backfills(database: Path) -> None:
    """Let Airflow fail in the middle of the creation of a backfill and keep what it has of it, as when SQLite is busy."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER torn BEFORE INSERT ON backfill_dag_run WHEN NEW.sort_ordinal = 2 "
            "BEGIN SELECT abs(-9223372036854775808); END"
        )


def mend_backfills(database: Path) -> None:
    """Let Airflow create backfills again."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("DROP TRIGGER torn")


def closed_backfills(database: Path) -> int:
    """Return how many backfills Airflow holds for ended."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return int(connection.execute("SELECT count(*) FROM backfill WHERE completed_at IS NOT NULL").fetchone()[0])
