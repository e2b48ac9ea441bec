from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, month, run_chain

from include.config.load import load_model
from include.config.schedule_ticks import interval_until
from include.data.windows import Window
from include.errors import NotEnoughRows
from include.scoring.score import interval_at
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed
from tests.include.scoring.conftest import World

ACTOR = {"trigger": "manual", "dag": "rollback_parcels", "run": "r"}


def champions(world: World) -> list[str]:
    found = [version for _, version in world.ledger.timeline().champions()]
    assert len(found) == 2, "the world needs two promoted versions"
    return found


def test_each_interval_is_scored_by_the_champion_as_of_its_start(world: World) -> None:
    first, second = champions(world)
    scored = {number: world.score(number) for number in (3, 5, 6, 7)}
    assert [one and one.version for one in scored.values()] == [None, first, first, second]


def test_the_scores_are_the_rows_of_the_interval_with_id_time_prediction_label_and_version(world: World) -> None:
    manifest = world.score(5)
    scores, rows = world.read(5), pd.read_parquet(world.folder / "rows.parquet")
    inside = rows[(rows["sent_at"] > month(5)) & (rows["sent_at"] <= month(6))]
    assert list(scores) == ["parcel", "sent_at", "prediction", "label", "version", "out_of_domain"]
    assert scores["parcel"].tolist() == inside["parcel"].tolist()
    assert manifest is not None and manifest.rows == len(inside)
    assert scores["prediction"].between(0, 1).all()
    assert (scores["label"] == (scores["prediction"] >= 0.5)).all()
    assert set(scores["version"]) == {manifest.version}


def test_rows_without_a_label_are_scored(world: World) -> None:
    rows = pd.read_parquet(world.folder / "rows.parquet")
    assert rows.loc[rows["sent_at"] >= month(8), "late"].isna().all()
    manifest = world.score(8)
    assert manifest is not None and manifest.rows > 100


def test_scored_again_nothing_changes(world: World) -> None:
    first = world.score(5)
    before = {key: world.store.get(key) for key in world.store.list("")}
    assert world.score(5) == first
    assert {key: world.store.get(key) for key in world.store.list("")} == before


def test_after_a_rollback_the_scores_by_the_champion_before_stand_beside_the_old_ones(world: World) -> None:
    first, second = champions(world)
    world.score(7)
    world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
    world.score(7)
    assert [one.version for one in world.publication(7).manifests()] == [second, first]
    assert set(world.read(7)["version"]) == {first}


def test_rows_unlike_those_fitted_on_are_flagged_and_counted_by_column(world: World) -> None:
    rows = pd.read_parquet(world.folder / "rows.parquet")
    places = rows.index[(rows["sent_at"] > month(8)) & (rows["sent_at"] < month(9))][:3]
    rows.loc[places[0], "carrier"] = "dog"
    rows.loc[places[1], "distance"] = 1e6
    rows.loc[places[2], "weight"] = np.nan
    rows.to_parquet(world.folder / "rows.parquet", index=False)
    manifest = world.score(8)
    assert manifest is not None
    assert manifest.columns["carrier"] == 1
    assert manifest.columns["distance"] >= 1
    scores = world.read(8).set_index("parcel")
    assert scores.loc[rows.loc[places, "parcel"], "out_of_domain"].all()
    assert scores["out_of_domain"].sum() == manifest.outside < manifest.rows / 10


def test_columns_are_derived_by_the_code_that_the_version_was_fitted_with(world: World) -> None:
    world.score(5)
    before = world.publication(5).manifests()
    path = world.folder / "features.py"
    path.write_text(path.read_text().replace(">= 18", ">= 3"))
    world.score(5)
    assert world.publication(5).manifests() == before


def test_an_interval_without_rows_is_said_so(world: World) -> None:
    with pytest.raises(NotEnoughRows):
        world.score(14)


@pytest.mark.parametrize("mode", ["before", "after"])
def test_killed_at_any_write_nobody_sees_half_a_partition(world: World, mode: str) -> None:
    whole = world.score(5)
    body = world.read(5)
    shutil.rmtree(world.store.root / "parcels" / "scores")
    for at in range(1, 100):
        try:
            world.score(5, FaultyStore(world.store, fail_at=at, mode=mode))
            break
        except Killed:
            newest = world.publication(5).newest()
            assert newest in (None, whole)
    assert world.score(5) == whole
    assert world.read(5).equals(body)
    assert len(world.publication(5).manifests()) == 1


def test_a_champion_that_lands_meanwhile_scores_the_rows_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = champions(world)
    put = world.store.put_if_absent

    def withdraw_then_put(key: str, body: bytes) -> bool:
        if "/scores/" in key and key.endswith(".parquet"):
            world.ledger.withdraw(second, "wrong units", actor=ACTOR, at=NOW)
        return put(key, body)

    monkeypatch.setattr(world.store, "put_if_absent", withdraw_then_put)
    manifest = world.score(7)
    assert manifest is not None and manifest.version == first
    assert [one.version for one in world.publication(7).manifests()] == [first]


@pytest.mark.parametrize("order", [(4, 7), (7, 4)])
def test_the_order_of_runs_does_not_change_a_byte(trained: Path, tmp_path: Path, order: tuple[int, ...]) -> None:
    folder = trained / "parcels"
    world = World(folder, LocalStore(tmp_path / "store"), load_model(folder / "model.yaml"))
    for number in order:
        run_chain(world.store, world.model, folder, month(number))
    for number in reversed(order):
        world.score(number)
    reference = World(folder, LocalStore(trained / "store"), world.model)
    for number in order:
        reference.score(number)
        assert world.publication(number).newest() == reference.publication(number).newest()


def test_an_interval_lies_between_two_ticks(world: World) -> None:
    assert interval_at(world.model, month(6)) == Window(month(5), month(6))
    assert interval_at(world.model, month(6).replace(day=17, hour=3)) == Window(month(5), month(6))
    for cron in ("@daily", "0 0 * * *"):
        noon = month(6).replace(hour=12, second=59, microsecond=999_999)
        assert interval_until(cron, noon, "UTC") == (month(5).replace(day=31), month(6))
        assert interval_until(cron, month(6), "UTC") == (month(5).replace(day=31), month(6))
    assert interval_until("@quarterly", month(6), "UTC") == (month(1), month(4))
