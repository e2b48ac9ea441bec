"""What was delivered is on record: pages name what is superseded, and an erasure names and mends what stands elsewhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from chain_run import NOW, month

from include.command_line.recording import deliver as command
from include.config.sections.score import DeltaDelivery, FilesDelivery, Score, TableDelivery
from include.data.windows import Window
from include.errors import ConfigError
from include.retention.erase import erase
from include.retention.people import People
from include.scoring.deliver import deliver
from include.scoring.delivered_columns import column_name
from include.scoring.delivered_table import DeliveredTable
from include.scoring.delivery_log import DeliveryLog, places
from tests.include.scoring.conftest import World
from tests.include.scoring.test_deliver import Doors, corrected

LATER = NOW + timedelta(days=1)


class Places:
    """A table, a folder of files and a Delta Lake table, to which a model delivers."""

    def __init__(self, world: World, root: Path) -> None:
        self.root, self.engine = root, sa.create_engine(f"sqlite:///{root}/scores.db")
        self.places = (
            TableDelivery(kind="table", connection="warehouse", table="scores"),
            FilesDelivery(kind="files", path=(root / "files").as_uri()),
            DeltaDelivery(kind="delta", path=(root / "delta").as_uri()),
        )
        self.model = world.model.model_copy(update={"score": Score(deliver=self.places)})
        self.world = World(world.folder, world.store, self.model)

    def put(self, number: int) -> None:
        window = Window(month(number), month(number + 1))
        for place in self.places:
            deliver(self.world.store, self.model, place, window, at=NOW, connections=Doors(self.engine))

    def parcels(self, number: int) -> list[set[int]]:
        """Return whose rows stand at each place for a month, and in any file of the folder."""
        deltalake = pytest.importorskip("deltalake")
        rows = pd.read_sql("SELECT * FROM scores", self.engine)
        lake = deltalake.DeltaTable(self.places[2].path).to_pyarrow_table().to_pandas()
        files = [set(pq.read_table(one)["parcel"].to_pylist()) for one in (self.root / "files").rglob("*.parquet")]
        found = [rows[pd.to_datetime(rows["interval_after"], utc=True) == month(number)], lake]
        return [
            set(found[0]["parcel"]),
            set(lake[lake["interval_after"] == month(number)]["parcel"]),
            set().union(*files),
        ]


@pytest.fixture
def delivered(world: World, tmp_path: Path) -> Places:
    return Places(world, tmp_path)


def test_what_stands_where_is_folded_and_a_rollback_is_seen(delivered: Places) -> None:
    world = delivered.world
    for number in (6, 7):
        world.score(number)
        delivered.put(number)
        delivered.put(number)
    log = DeliveryLog(world.store, "parcels")
    assert len(log.read()) == 6 and len(list(world.store.list("parcels/deliveries/log/"))) == 6, "once each"
    found = places(log.read().values(), world.ledger.timeline())
    assert [(one.intervals, one.superseded, one.owed) for one in found] == [(2, 0, 0)] * 3
    assert {one.place.split()[0] for one in found} == {"table", "files", "delta"}
    assert all(one.rows == len(world.read(6)) + len(world.read(7)) for one in found)
    second = world.ledger.timeline().champion
    world.ledger.withdraw(str(second), "wrong units", actor={"trigger": "manual"}, at=NOW)
    assert [one.superseded for one in places(log.read().values(), world.ledger.timeline())] == [1] * 3


def test_an_erasure_names_each_place_and_delivered_again_nobody_of_theirs_is_there(
    delivered: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = delivered.world
    for number in (7, 8):
        world.score(number)
        delivered.put(number)
    delivered_again = Places(corrected(World(world.folder, world.store, delivered.model)), delivered.root)
    delivered_again.put(8)  # so that the folder has a file of an earlier publication
    theirs = sorted(world.read(8)["parcel"])[:3]
    people = People(("parcel",), frozenset((str(one),) for one in theirs))
    said = erase(world.store, delivered.model, people, at=LATER)
    assert len(said.deliveries) == 3 and "table scores of connection warehouse" in said.told()
    assert "20240801T000000Z-20240901T000000Z" in said.told() and "20240701T000000Z" not in "".join(said.deliveries)

    done = erase(world.store, delivered.model, people, at=LATER, remove=True)
    assert done.deliveries == said.deliveries and "include deliver" in done.told()
    assert all(set(theirs) <= there for there in delivered.parcels(8)), "they are still elsewhere"
    owed = places(DeliveryLog(world.store, "parcels").read().values(), world.ledger.timeline())
    assert [one.owed for one in owed] == [1] * 3

    monkeypatch.setattr(command, "declared", lambda name: delivered.model)
    monkeypatch.setattr(command, "store_of_settings", lambda: world.store)
    monkeypatch.setattr(command, "airflow_connections", lambda: Doors(delivered.engine))
    told = command.deliver("parcels", LATER)
    assert told.count("20240801T000000Z-") == 3 and "20240701T000000Z-20240801T000000Z" not in told
    for there in delivered.parcels(8):
        assert not set(theirs) & there and set(world.read(8)["parcel"]) <= there
    owed = places(DeliveryLog(world.store, "parcels").read().values(), world.ledger.timeline())
    assert [one.owed for one in owed] == [0] * 3
    assert command.deliver("parcels", LATER) == "Everything that was delivered equals what is published."
    assert erase(world.store, delivered.model, people, at=LATER, remove=True).deliveries == ()


def test_scores_with_erased_rows_that_the_source_still_had_are_delivered_whole(world: World, tmp_path: Path) -> None:
    files, window = FilesDelivery(kind="files", path=(tmp_path / "files").as_uri()), Window(month(8), month(9))

    def put() -> set[Path]:
        world.score(8)
        deliver(world.store, world.model, files, window, at=LATER, connections=Doors())
        return set((tmp_path / "files").rglob("*.parquet"))

    first, rows = put(), world.read(8)
    people = People(("parcel",), frozenset({(str(rows["parcel"][0]),)}))
    assert erase(world.store, world.model, people, at=LATER, remove=True).objects["scores"] == 1
    assert put() == first, "the source has the rows, so they are scored as before"
    assert len(pq.read_table(first.pop())) == len(rows)


def test_a_name_that_is_too_long_for_the_database_is_cut_and_stays_unique(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "contribution_of_" + "average_number_of_purchases_over_the_last_ninety_days"
    assert column_name(long, 9999) == long and column_name("x" * 63, 63) == "x" * 63
    cut = [column_name(f"{long}_{end}", 63) for end in ("web", "shop")]
    assert len(set(cut)) == 2 and all(len(one) == 63 and one.startswith("contribution_of_average") for one in cut)
    assert len(column_name("ü" * 40, 63).encode()) <= 63


def test_postgresql_holds_two_long_columns_and_changes_their_rows(world: World) -> None:
    from tests.postgres_server import postgres_server

    world.score(8)
    publication = world.publication(8)
    (manifest,) = publication.manifests()
    names = [f"contribution_of_average_number_of_purchases_over_the_last_ninety_days_{end}" for end in ("web", "shop")]
    scores = publication.read(manifest)
    for name in names:
        scores = scores.append_column(name, scores["prediction"])
    with postgres_server() as engine:
        table = DeliveredTable(engine, "scores", "parcels", ["parcel", "sent_at"])
        assert table.deliver(manifest, 1, scores, lambda digest: None, at=NOW) == scores.num_rows
        assert table.deliver(manifest, 1, scores, lambda digest: None, at=NOW) == 0
        there = pd.read_sql("SELECT * FROM scores", engine)
        assert [name for name in there if name.startswith("contribution")] == [column_name(name, 63) for name in names]
        with pytest.raises(ConfigError, match="too long for the database"):
            DeliveredTable(engine, "s" * 60, "parcels", ["parcel"])


def test_the_page_shows_each_place(delivered: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.config.settings import Settings
    from ratchet_ui.cache import page_cache
    from ratchet_ui.pages import draw_model

    world = delivered.world
    world.score(8)
    delivered.put(8)
    monkeypatch.setenv("RATCHET_STORE", world.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(world.folder.parent))
    cache = page_cache.PageCache(Settings.from_environment())
    monkeypatch.setattr(cache, "declared", lambda: ({"parcels": delivered.model}, []))
    monkeypatch.setattr("ratchet_ui.pages.buttons_for", lambda *_: [])
    viewer: Any = None
    page = draw_model(cache, viewer, "parcels", "", page=1, now=LATER)
    assert "Delivered scores" in page and "table scores of connection warehouse" in page
    assert "as published" in page and "superseded" not in page
    world.ledger.withdraw(str(world.ledger.timeline().champion), "wrong units", actor={"trigger": "manual"}, at=NOW)
    assert "1 superseded" in draw_model(cache, viewer, "parcels", "", page=1, now=LATER)
