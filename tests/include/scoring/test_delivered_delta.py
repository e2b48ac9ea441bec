"""Scores in a Delta Lake table, in a folder and on S3: merged by id and interval, in one commit, whatever is killed or comes late."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, month

from include.config.sections.score import DeltaDelivery
from include.data.sources.lake.delta import storage_options
from include.data.sources.lake.s3_access import S3Access
from include.data.windows import Window
from include.errors import ConfigError, DataError
from include.scoring import delivered_delta
from include.scoring.deliver import Delivered, deliver
from include.scoring.delivered_delta import DeliveredDelta
from include.scoring.delivery_log import DeliveryLog
from tests.include.scoring.conftest import World
from tests.include.scoring.test_deliver import corrected

deltalake = pytest.importorskip("deltalake")
ACTOR = {"trigger": "manual", "dag": "rollback_parcels", "run": "r"}


class Lake:
    """A Delta Lake table, and the connections that lead to it."""

    def __init__(self, path: str, client: Any) -> None:
        self.place, self._client = DeltaDelivery(kind="delta", path=path, connection="lake"), client
        self.options = storage_options(S3Access.of(client)) if client is not None else None

    def s3(self, connection: str | None) -> Any:
        assert connection == "lake"
        return self._client

    def sql(self, connection: str) -> Any:
        raise AssertionError(connection)

    def put(self, world: World, number: int) -> Delivered:
        window = Window(month(number), month(number + 1))
        return deliver(world.store, world.model, self.place, window, at=NOW, connections=self)

    @property
    def table(self) -> Any:
        return deltalake.DeltaTable(self.place.path, storage_options=self.options)

    def read(self, number: int) -> pd.DataFrame:
        rows = self.table.to_pyarrow_table().to_pandas().sort_values("parcel", ignore_index=True)
        rows = rows[rows["interval_after"] == month(number)].reset_index(drop=True)
        return rows.drop(columns=["model", "interval_after", "interval_until"])

    def assert_delivered(self, world: World, number: int) -> None:
        published = world.read(number).sort_values("parcel", ignore_index=True)
        there = self.read(number)
        assert sorted(there) == sorted(published)
        pd.testing.assert_frame_equal(there[list(published)], published, check_dtype=False)


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "local":
        return Lake((tmp_path / "lake" / "scores").as_uri(), None)
    client = request.getfixturevalue("s3_client")
    bucket = f"lake-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    return Lake(f"s3://{bucket}/scores", client)


def test_an_interval_is_delivered_once_and_beside_others(world: World, lake: Lake) -> None:
    for number in (5, 8):
        world.score(number)
        assert lake.put(world, number).rows == len(world.read(number))
    version = lake.table.version()
    assert lake.put(world, 5).rows == 0 and lake.table.version() == version, "repeated, nothing is committed"
    for number in (5, 8):
        lake.assert_delivered(world, number)


def test_a_correction_changes_the_row_that_it_changed_and_a_rollback_the_interval(world: World, lake: Lake) -> None:
    for number in (7, 8):
        world.score(number)
        lake.put(world, number)
    before = lake.read(7)
    later = corrected(world)
    assert lake.put(later, 8).rows == 1
    lake.assert_delivered(later, 8)
    pd.testing.assert_frame_equal(lake.read(7), before)

    first, second = (version for _, version in world.ledger.timeline().champions())
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    world.score(7)
    done = lake.put(world, 7)
    assert done.rows == len(before) and set(lake.read(7)["version"]) == {first}
    (named,) = done.superseded
    assert (named.interval.after, named.version, named.champion) == (month(8), second, first)
    lake.assert_delivered(world, 7)


def test_an_older_publication_that_comes_late_changes_nothing(world: World, lake: Lake) -> None:
    world.score(8)
    later = corrected(world)
    lake.put(later, 8)
    publication = later.publication(8)
    old = publication.manifests()[0]
    delivered = DeliveredDelta(lake.place.path, lake.options, "parcels", ["parcel", "sent_at"])
    assert delivered.deliver(old, 1, publication.read(old)) == 0
    lake.assert_delivered(later, 8)


def test_rows_that_somebody_deleted_are_written_again(world: World, lake: Lake) -> None:
    world.score(8)
    lake.put(world, 8)
    gone = lake.table.delete("prediction < 0.5")["num_deleted_rows"]
    assert gone and lake.put(world, 8).rows == gone
    lake.assert_delivered(world, 8)


def test_deliveries_at_once_write_each_row_once(world: World, lake: Lake) -> None:
    for number in (5, 8):
        world.score(number)
    lake.put(world, 5)
    with ThreadPoolExecutor(3) as pool:
        done = [one.rows for one in pool.map(lambda _: lake.put(world, 8), range(3))]
    assert sorted(done) == [0, 0, len(world.read(8))]
    for number in (5, 8):
        lake.assert_delivered(world, number)


def test_killed_before_its_commit_a_delivery_leaves_the_table_as_it_was(
    world: World, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.score(8)
    lake.put(world, 8)
    later, before, version = corrected(world), lake.read(8), lake.table.version()

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(delivered_delta.DeliveredDelta, "_merge", dies)
        with pytest.raises(KeyboardInterrupt):
            lake.put(later, 8)
    assert lake.table.version() == version and lake.read(8).equals(before)
    ((_, state),) = DeliveryLog(world.store, "parcels").read().items()
    assert state.record.publication == 1, "what is not there is not on record"
    assert lake.put(later, 8).rows == 1
    assert (
        DeliveryLog(world.store, "parcels")
        .read()[(f"delta {lake.place.path}", state.record.interval)]
        .record.publication
        == 2
    )


def test_a_table_that_lacks_a_column_is_refused_by_name(world: World, lake: Lake) -> None:
    world.score(8)
    lake.put(world, 8)
    rows = lake.table.to_pyarrow_table().drop_columns(["label"])
    deltalake.write_deltalake(
        lake.place.path, rows, mode="overwrite", schema_mode="overwrite", storage_options=lake.options
    )
    with pytest.raises(DataError, match="no column `label`"):
        lake.put(corrected(world), 8)


def test_without_the_library_it_is_told_what_to_install(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    world.score(8)
    monkeypatch.setitem(__import__("sys").modules, "deltalake", None)
    with pytest.raises(ConfigError, match="not installed"):
        Lake((tmp_path / "lake").as_uri(), None).put(world, 8)
