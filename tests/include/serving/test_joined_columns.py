"""A request brings the columns that joins add in training, and gets the number that its row gets in a batch."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, month, parcels, run_chain

from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.local import LocalStore
from tests.chain.test_joins import JOINED, declared, depots
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


def looked_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with their joined columns, row by row as docs/joins.md says it, by nothing of the project."""
    second = depots()
    for name in ("seen", "told"):
        second[name] = second[name].dt.tz_localize("Europe/Berlin").dt.tz_convert("UTC")
    found = []
    for row in rows.itertuples():
        known = second[
            (second["company"] == row.carrier) & (second["seen"] <= row.sent_at) & (second["told"] <= row.sent_at)
        ]
        known = known.sort_values(["seen", "told"]).drop_duplicates("seen", keep="last")
        week = known[known["seen"] > row.sent_at - pd.Timedelta("7D")]
        newest = known[known["seen"] > row.sent_at - pd.Timedelta("3D")].tail(1)
        found.append(
            {
                "depot_queue": newest["queue"].iloc[0] if len(newest) else None,
                "depot_crew": newest["crew"].iloc[0] if len(newest) else None,
                "depot_count_7d": len(week),
                "depot_queue_sum_7d": math.fsum(week["queue"].dropna()),
                "depot_trucks_mean_7d": int(week["trucks"].sum()) / len(week) if len(week) else None,
            }
        )
    joined = pd.DataFrame(found, index=rows.index).astype({"depot_queue": float, "depot_trucks_mean_7d": float})
    return pd.concat([rows, joined], axis=1)


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    """Half a year of rows with their joined columns, which tell what is late."""
    frame = parcels()
    joined = looked_up(frame[frame["sent_at"] < month(6) + timedelta(days=6)])
    coin = np.random.default_rng(2).random(len(joined))
    chance = np.where(joined["depot_queue"].isna(), 0.4, np.where(joined["depot_queue"] > 6, 0.85, 0.1))
    return joined.assign(late=coin < chance)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, known: pd.DataFrame) -> Path:
    root = tmp_path_factory.mktemp("joined")
    model = declared(root / "parcels")
    known.drop(columns=JOINED).to_parquet(root / "parcels" / "rows.parquet", index=False)
    depots().to_csv(root / "parcels" / "depots.csv", index=False)
    run_chain(LocalStore(root / "store"), model, root / "parcels", month(4))
    return root


@pytest.fixture
def world(root: Path, tmp_path: Path) -> World:
    """Take the place of the world of the other tests of the server."""
    shutil.copytree(root, tmp_path / "w")
    return World(tmp_path / "w")


@pytest.fixture
def rows(known: pd.DataFrame) -> pd.DataFrame:
    return known[known["sent_at"] >= month(6)].drop(columns="late").reset_index(drop=True)


def test_a_request_with_what_was_known_gets_the_number_of_the_batch(
    start: Start, world: World, rows: pd.DataFrame
) -> None:
    assert rows["depot_queue"].isna().any(), "some rows have no partner"
    assert rows["depot_count_7d"].min() == 0 < rows["depot_count_7d"].max()
    window = Window(month(6) - timedelta(seconds=1), month(6) + timedelta(days=7))
    snapshot = ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, world.model, world.folder, snapshot, at=NOW)
    assert manifest is not None and manifest.version == world.champions[-1]
    batch = Publication(world.store, "parcels", window).read(manifest).to_pandas().set_index("parcel")
    served = start()
    together = served.post(as_json(rows)).json()["predictions"]
    alone = [served.post([row]).json()["predictions"][0]["prediction"] for row in as_json(rows)]
    expected = batch.loc[rows["parcel"], "prediction"].tolist()
    assert [one["prediction"] for one in together] == expected
    np.testing.assert_allclose(alone, expected, rtol=1e-12)
    other = served.post(as_json(rows.assign(depot_queue=rows["depot_queue"] + 50))).json()["predictions"]
    assert [one["prediction"] for one in other] != expected, "what is brought counts"


def test_a_request_without_them_is_told_what_they_are(start: Start, rows: pd.DataFrame) -> None:
    answer = start().post(as_json(rows.head(2).drop(columns="depot_queue")))
    assert answer.status_code == 422
    problem: dict[str, Any] = answer.json()["problems"][0]
    assert problem["field"] == "depot_queue"
    assert problem["expected"] == (
        "a finite number: queue of the newest row of depot known at the row's event time, where company = carrier, "
        "younger than 3d; null without one"
    )
    with_wrong = start().post(as_json(rows.head(1).assign(depot_count_7d="three")))
    assert with_wrong.json()["problems"][0]["field"] == "depot_count_7d"


def test_the_server_lists_them_and_says_what_they_are(start: Start) -> None:
    client = start().client
    inputs = {one["name"]: one["datatype"] for one in client.get("/v2/models/parcels").json()["inputs"]}
    assert [inputs[name] for name in JOINED] == ["FP64", "BYTES", "INT64", "FP64", "FP64"]
    row = client.get("/openapi.json").json()["components"]["schemas"]["parcels.row"]
    assert set(JOINED) <= set(row["required"])
    told = row["properties"]
    assert told["depot_count_7d"]["description"].startswith("number of rows of depot known at the row's event time")
    assert told["depot_trucks_mean_7d"]["description"].endswith("younger than 7d; null without any")
    assert told["depot_queue_sum_7d"]["description"].endswith("younger than 7d; 0 without any")
    assert "description" not in told["weight"]
