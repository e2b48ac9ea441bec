"""Each row is scored by the champion of its segment, where it has one as of the interval, otherwise by the model of all rows."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from chain_run import BACKFILL, NOW, _Nowhere, month
from place import Place
from segmented import april_segments, run_segments  # noqa: F401 (the first is a fixture)

from include.command_line.ledger_queries import batch_scores
from include.config.model import ModelConfig
from include.config.sections.score import DeltaDelivery
from include.monitoring.predicted_rows import PredictedRows
from include.registry.ledger import Ledger
from include.scoring.champions import Champions
from include.scoring.deliver import deliver
from include.scoring.publication import Manifest, Publication
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.local import LocalStore


@pytest.fixture(scope="module")
def world(april_segments: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, ModelConfig, Path]:  # noqa: F811 (a fixture)
    place = Place(tmp_path_factory.mktemp("segment_scores") / "place")
    shutil.copytree(april_segments, place.root)
    return place.store, place.model, place.folder


def scored(world: tuple[LocalStore, ModelConfig, Path], number: int) -> tuple[Manifest, pd.DataFrame]:
    store, model, folder = world
    interval = interval_at(model, month(number))
    snapshot = ingest_interval(store, model, folder, interval, at=NOW, connections=_Nowhere())
    manifest = score(store, model, folder, snapshot, at=NOW)
    assert manifest is not None
    table = Publication(store, "parcels", interval).read(manifest).to_pandas()
    rows = pd.read_parquet(folder / "rows.parquet")[["parcel", "carrier"]]
    return manifest, table.merge(rows, on="parcel", how="left", validate="one_to_one")


def watched(
    world: tuple[LocalStore, ModelConfig, Path], manifest: Manifest
) -> tuple[tuple[Publication, Manifest], ...]:
    return ((Publication(world[0], "parcels", interval_at(world[1], month(5))), manifest),)


def answered_by(table: pd.DataFrame, carrier: str) -> int:
    return int((table["carrier"] == carrier).sum())


def test_scores_say_which_version_answered_and_keep_the_order_of_rows(
    world: tuple[LocalStore, ModelConfig, Path],
) -> None:
    store, _, _ = world
    manifest, table = scored(world, 5)
    champions = {name: Ledger(store, f"parcels/segments/{name}").timeline().champion for name in ("ant", "bee")}
    pooled = Ledger(store, "parcels").timeline().champion
    assert manifest.segments == champions and manifest.version == pooled
    answered = table.groupby("carrier")["version"].unique().to_dict()
    assert {name: list(found) for name, found in answered.items()} == {
        "ant": [champions["ant"]],
        "bee": [champions["bee"]],
        "cat": [pooled],
    }
    said = PredictedRows(
        store, world[1], interval_at(world[1], month(5)), str(pooled), watched(world, manifest), ()
    ).said()
    assert said is not None and said.num_rows == answered_by(table, "cat"), "what segments said is not held against it"
    assert table["sent_at"].is_monotonic_increasing and manifest.rows == len(table)
    assert table["prediction"].notna().all()


def test_a_delivery_with_rows_of_segments_is_superseded_by_another_version_of_all_rows_alone(
    world: tuple[LocalStore, ModelConfig, Path], tmp_path: Path
) -> None:
    pytest.importorskip("deltalake")
    place = DeltaDelivery(kind="delta", path=(tmp_path / "lake").as_uri())
    manifest, _ = scored(world, 5)
    assert manifest.segments and min(manifest.segments.values()) != manifest.version
    done = deliver(world[0], world[1], place, interval_at(world[1], month(5)), at=NOW, connections=_Nowhere())
    assert done.rows == manifest.rows and done.superseded == ()


def test_a_champion_of_later_answers_for_no_earlier_interval(world: tuple[LocalStore, ModelConfig, Path]) -> None:
    store, model, folder = world
    run_segments(store, model, folder, month(6))
    manifest, _ = scored(world, 5)
    assert all(version.startswith("202404") for version in manifest.segments.values())


def test_after_a_rollback_of_a_segment_the_model_of_all_rows_answers(
    world: tuple[LocalStore, ModelConfig, Path],
) -> None:
    store, _, _ = world
    before, _ = scored(world, 5)
    ledger = Ledger(store, "parcels/segments/ant")
    ledger.withdraw(before.segments["ant"], "wrong rows", actor=BACKFILL, at=NOW)
    after, table = scored(world, 5)
    assert set(after.segments) == {"bee"}
    assert set(table.loc[table["carrier"] == "ant", "version"]) == {after.version}


def test_without_segments_a_manifest_is_stored_as_it_always_was(
    world: tuple[LocalStore, ModelConfig, Path],
) -> None:
    manifest, _ = scored(world, 5)
    plain = Manifest(**{**vars(manifest), "segments": {}})
    assert "segments" in manifest.to_json() and "segments" not in plain.to_json()


def test_the_command_names_each_segment_whose_scores_are_superseded(
    world: tuple[LocalStore, ModelConfig, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _, _ = world
    monkeypatch.setenv("RATCHET_STORE", store.url)
    manifest, _ = scored(world, 5)
    assert "superseded" not in batch_scores("parcels") and "of segments" in batch_scores("parcels")
    bee = manifest.segments["bee"]
    Ledger(store, "parcels/segments/bee").withdraw(bee, "wrong rows", actor=BACKFILL, at=NOW)
    told = batch_scores("parcels")
    assert "segment bee: superseded: the champion as of then is nobody" in told
    assert told.endswith("1 to score again: clear or backfill score_parcels for those dates.")
    again, _ = scored(world, 5)
    assert "bee" not in again.segments and "superseded" not in batch_scores("parcels")


def test_the_ledgers_of_segments_are_read_side_by_side(world: tuple[LocalStore, ModelConfig, Path]) -> None:
    store, model, _ = world

    class Slow(LocalStore):
        parallel = 8
        under_way = most = 0
        lock = threading.Lock()

        def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
            with self.lock:
                type(self).under_way += 1
                type(self).most = max(self.most, self.under_way)
            time.sleep(0.05)
            with self.lock:
                type(self).under_way -= 1
            return super().list(prefix, after=after)

    slow = Slow(store.root)
    assert Champions(slow, model, month(5)).ids() == Champions(store, model, month(5)).ids()
    assert Slow.most > 1
