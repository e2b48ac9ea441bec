"""Scores delivered to a table (PostgreSQL, SQLite) and to files: nothing lost or doubled, whatever is killed or comes late."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from chain_run import NOW, month

from include.command_line.ledger_queries import batch_scores
from include.config.sections.score import FilesDelivery, TableDelivery
from include.data.windows import Window
from include.errors import DataError
from include.scoring.deliver import Delivered, deliver
from include.scoring.delivered_files import DeliveredFiles
from include.scoring.delivered_table import DeliveredTable
from include.scoring.publication import name_of
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed
from tests.include.scoring.conftest import World
from tests.postgres_server import postgres_server

ACTOR = {"trigger": "manual", "dag": "rollback_parcels", "run": "r"}
TABLE = TableDelivery(kind="table", connection="warehouse", table="scores")


class Doors:
    """Connections of a test: one database."""

    def __init__(self, engine: sa.Engine | None = None) -> None:
        self._engine = engine

    def sql(self, connection: str) -> Any:
        return self._engine

    def s3(self, connection: str | None) -> Any:
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[sa.Engine]:
    with postgres_server() as engine:
        yield engine


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> sa.Engine:
    if request.param == "sqlite":
        return sa.create_engine(f"sqlite:///{tmp_path}/scores.db")
    postgres: sa.Engine = request.getfixturevalue("server")
    with postgres.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS scores, scores_delivered")
    return postgres


def put(world: World, number: int, engine: sa.Engine) -> Delivered:
    window = Window(month(number), month(number + 1))
    return deliver(world.store, world.model, TABLE, window, at=NOW, connections=Doors(engine))


def table(engine: sa.Engine, number: int) -> pd.DataFrame:
    """Return what stands in the table for a month, as the scores' own columns."""
    if not sa.inspect(engine).has_table("scores"):
        return pd.DataFrame()
    rows = pd.read_sql("SELECT * FROM scores ORDER BY parcel", engine)
    rows = rows[pd.to_datetime(rows["interval_after"], utc=True) == month(number)]
    return rows.drop(columns=["model", "interval_after", "interval_until"]).reset_index(drop=True)


def assert_delivered(engine: sa.Engine, world: World, number: int) -> None:
    there, published = table(engine, number), world.read(number).sort_values("parcel", ignore_index=True)
    there["sent_at"] = pd.to_datetime(there["sent_at"], utc=True)
    for name in ("label", "out_of_domain"):
        there[name] = there[name].astype(bool)
    pd.testing.assert_frame_equal(there, published, check_dtype=False)


def corrected(world: World) -> World:
    """Correct one row of August, and score the month again."""
    wider = world.model.data.model_copy(update={"recheck": 400})
    later = World(world.folder, world.store, world.model.model_copy(update={"data": wider}))
    rows = pd.read_parquet(world.folder / "rows.parquet")
    place = rows.index[(rows["sent_at"] > month(8)) & (rows["sent_at"] < month(9)) & (rows["weight"] > 0)][5]
    rows.loc[place, "distance"] = 1900.0
    rows.to_parquet(world.folder / "rows.parquet", index=False)
    later.score(8)
    return later


def test_an_interval_is_delivered_once_and_beside_others(world: World, engine: sa.Engine) -> None:
    for number in (5, 8):
        world.score(number)
        assert put(world, number, engine).rows == len(world.read(number))
    assert put(world, 5, engine).rows == 0
    for number in (5, 8):
        assert_delivered(engine, world, number)


def test_a_correction_writes_only_the_rows_that_it_changed(world: World, engine: sa.Engine) -> None:
    world.score(8)
    put(world, 8, engine)
    system = "xmin" if engine.dialect.name == "postgresql" else "rowid"
    seen = pd.read_sql(f"SELECT parcel, {system} AS written FROM scores", engine).astype(str).set_index("parcel")
    later = corrected(world)
    done = put(later, 8, engine)
    assert len(later.publication(8).manifests()) == 2
    assert done.rows == 2, "one row deleted, one row written"
    assert_delivered(engine, later, 8)
    again = pd.read_sql(f"SELECT parcel, {system} AS written FROM scores", engine).astype(str).set_index("parcel")
    assert (seen["written"] == again["written"].reindex(seen.index)).sum() >= len(seen) - 1


def test_a_rollback_names_what_is_superseded_and_delivers_the_champion_before(world: World, engine: sa.Engine) -> None:
    for number in (6, 7):
        world.score(number)
        assert put(world, number, engine).superseded == ()
    first, second = (version for _, version in world.ledger.timeline().champions())
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    (named,) = put(world, 6, engine).superseded
    assert (name_of(named.interval), named.version, named.champion) == (
        *("20240701T000000Z-20240801T000000Z", second, first),
    )
    world.score(7)
    assert put(world, 7, engine).superseded == ()
    assert set(table(engine, 7)["version"]) == {first}
    assert_delivered(engine, world, 7)


def test_the_command_lists_intervals_and_names_the_superseded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_STORE", world.store.url)
    for number in (6, 7):
        world.score(number)
    first, second = (version for _, version in world.ledger.timeline().champions())
    assert "superseded" not in batch_scores("parcels")
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    told = batch_scores("parcels").splitlines()
    (line,) = (line for line in told if "superseded" in line)
    assert line.startswith("2024-07-01T00:00:00Z") and second in line and line.endswith(first)
    assert told[-1] == "1 to score again: clear or backfill score_parcels for those dates."


def test_an_older_publication_that_comes_late_changes_nothing(world: World, engine: sa.Engine) -> None:
    world.score(8)
    later = corrected(world)
    put(later, 8, engine)
    old = later.publication(8).manifests()[0]
    delivered = DeliveredTable(engine, "scores", "parcels", ["parcel", "sent_at"])
    assert delivered.deliver(old, 1, later.publication(8).read(old), lambda digest: None, at=NOW) == 0
    assert_delivered(engine, later, 8)


def test_rows_that_somebody_deleted_are_written_again(world: World, engine: sa.Engine) -> None:
    world.score(8)
    put(world, 8, engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM scores WHERE prediction < 0.5")
    assert put(world, 8, engine).rows > 0
    assert_delivered(engine, world, 8)


def test_a_table_that_lacks_a_column_is_refused_by_name(world: World, engine: sa.Engine) -> None:
    world.score(8)
    put(world, 8, engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE scores DROP COLUMN label")
    with pytest.raises(DataError, match="no column `label`"):
        put(corrected(world), 8, engine)


def rolled_back(world: World) -> World:
    """Withdraw the version that scored July, and score the month again by the champion before it."""
    _, second = (version for _, version in world.ledger.timeline().champions())
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    world.score(7)
    return world


def die_at(url: Any, world: World, number: int, place: int) -> None:
    """Deliver a month in this process, which is killed after its statement (or commit) number ``place``."""
    engine, seen = sa.create_engine(url), iter(range(1, 10_000))

    def tick(*_: Any) -> None:
        if next(seen) == place:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(engine, "after_cursor_execute", tick)
    sa.event.listen(engine, "commit", tick)  # before the driver is told
    put(world, number, engine)


@pytest.mark.parametrize(("number", "change"), [(8, corrected), (7, rolled_back)], ids=["correction", "rollback"])
def test_killed_after_any_statement_the_interval_is_whole_before_or_whole_after(
    world: World, engine: sa.Engine, number: int, change: Callable[[World], World]
) -> None:
    for each in (6, number):
        world.score(each)
        put(world, each, engine)
    old, beside = table(engine, number), table(engine, 6)
    later = change(world)
    fork, killed = multiprocessing.get_context("fork"), 0
    after = 0
    for place in range(1, 100):
        child = fork.Process(target=die_at, args=(engine.url, later, number, place))
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1
        there = table(engine, number)
        if not there.equals(old):  # it was killed after its transaction
            assert_delivered(engine, later, number)
            with engine.begin() as connection:  # begin the next round from the old state
                connection.exec_driver_sql("DELETE FROM scores_delivered")
                connection.exec_driver_sql("DELETE FROM scores")
            delivered = DeliveredTable(engine, "scores", "parcels", ["parcel", "sent_at"])
            for each in (6, number):
                first = later.publication(each).manifests()[0]
                scores = later.publication(each).read(first)
                delivered.deliver(first, 1, scores, lambda digest: None, at=NOW)
            after += 1
    assert killed > after > 0
    assert_delivered(engine, later, number)
    assert put(later, number, engine).rows == 0
    assert table(engine, 6).equals(beside), "another interval is as it was"
    whole = pd.read_sql("SELECT parcel, interval_after FROM scores", engine)
    assert not whole.duplicated().any() and len(whole) == len(beside) + len(later.read(number))


def test_two_deliveries_at_once_write_each_row_once(world: World, server: sa.Engine) -> None:
    with server.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS scores, scores_delivered")
    world.score(8)
    with ThreadPoolExecutor(4) as pool:
        done = [one.rows for one in pool.map(lambda _: put(world, 8, server), range(4))]
    assert sorted(done) == [0, 0, 0, len(world.read(8))]
    assert_delivered(server, world, 8)


@pytest.mark.parametrize("mode", ["before", "after"])
def test_killed_at_any_write_no_manifest_names_a_file_that_is_not_there(
    world: World, tmp_path: Path, mode: Any
) -> None:
    world.score(8)
    publication = world.publication(8)
    (manifest,) = publication.manifests()
    body, place = b"scores", LocalStore(tmp_path / "lake")
    for at in range(1, 10):
        try:
            assert DeliveredFiles(FaultyStore(place, fail_at=at, mode=mode), "parcels").deliver(manifest, 1, body) >= 0
            break
        except Killed:
            keys = list(place.list(""))
            assert len([key for key in keys if key.endswith(".json")]) <= len([k for k in keys if "parquet" in k])
    assert len(list(place.list(""))) == 2


def test_of_files_the_manifest_with_the_greatest_number_is_in_force(world: World, tmp_path: Path) -> None:
    files = FilesDelivery(kind="files", path=(tmp_path / "lake").as_uri())
    window = Window(month(7), month(8))

    def put_files() -> Delivered:
        return deliver(world.store, world.model, files, window, at=NOW, connections=Doors())

    first, second = (version for _, version in world.ledger.timeline().champions())
    world.score(7)
    assert put_files().rows == len(world.read(7))
    assert put_files().rows == 0
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    assert [one.version for one in put_files().superseded] == [second]
    world.score(7)
    assert put_files().superseded == ()
    place = LocalStore(tmp_path / "lake")
    assert DeliveredFiles(place, "parcels").versions() == [(window, first)]
    newest = max(place.list(f"parcels/manifests/{name_of(window)}/"))
    said = pd.read_json((tmp_path / "lake" / newest), typ="series")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "lake" / said["file"]), world.read(7))
