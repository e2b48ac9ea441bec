"""The server answers a row with the champion of its segment where one is in force: the same one, and the same number, as scores and notebooks."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, _Nowhere, month
from segmented import declare_segments, opposed, run_segments

from include.config.sections.rows.segments import ledger_name
from include.data.segment_log import SegmentLog
from include.data.segments import Level, SegmentList
from include.notebook import load_champion
from include.registry.ledger import Ledger
from include.scoring.golden import PREDICTED, load_golden
from include.scoring.publication import Publication
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.content import put_content, to_iso
from include.storage.local import LocalStore
from tests.faults import FaultyStore, Killed
from tests.include.serving.conftest import ACTOR, ONLINE, Process, Served, World, as_json

Start = Callable[..., Served]


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served_segments")
    rows = opposed()
    turned = (rows["sent_at"] >= month(4)) & (rows["sent_at"] < month(7)) & (rows["carrier"] != "cat")
    rows.loc[turned, "late"] = ~rows.loc[
        turned, "late"
    ]  # what April's champions say is wrong by July, and July's by October
    model, store = declare_segments(root / "parcels", rows), LocalStore(root / "store")
    (root / "parcels" / "online.py").write_text(ONLINE)
    for number in (4, 7):
        run_segments(store, model, root / "parcels", month(number))
    return root


@pytest.fixture
def world(segmented: Path, tmp_path: Path) -> World:
    shutil.copytree(segmented, tmp_path / "w")
    found = World(tmp_path / "w")
    assert {name: len(ledger_of(found, name).timeline().champions()) for name in ("ant", "bee", "cat")} == {
        "ant": 1,
        "bee": 2,
        "cat": 0,
    }, "the world needs a segment with two champions, one with one, and one without"
    return found


def ledger_of(world: World, segment: str) -> Ledger:
    return Ledger(world.store, f"parcels/segments/{segment}")


def champion_of(world: World, segment: str) -> str | None:
    return ledger_of(world, segment).timeline().champion


def withdraw(world: World, segment: str) -> None:
    ledger = ledger_of(world, segment)
    ledger.withdraw(str(ledger.timeline().champion), "wrong units", actor=ACTOR, at=NOW)


def one_of(world: World, carrier: str) -> list[dict[str, Any]]:
    rows = world.rows(200)
    return as_json(rows[rows["carrier"] == carrier].head(1))


def said(served: Served, carrier: str) -> tuple[str, float]:
    answer = served.post(one_of(served.world, carrier))
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["predictions"]
    assert answer.headers["x-ratchet-version"] == row["version"] == answer.json()["version"]
    return row["version"], row["prediction"]


def in_a_notebook(world: World, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a person gets who loads the champion of each row's segment, or that of all rows."""
    parts = []
    for carrier, own in rows.groupby("carrier"):
        name = f"parcels/{carrier}" if champion_of(world, str(carrier)) else "parcels"
        loaded = load_champion(name, store=world.store.root.as_uri())
        parts.append(loaded.predict(own)[["prediction", "label"]].assign(version=loaded.id))
    return pd.concat(parts).loc[rows.index]


def test_a_row_gets_one_number_from_server_score_and_notebook(start: Start, world: World) -> None:
    model = world.model
    interval = interval_at(model, month(9))
    snapshot = ingest_interval(world.store, model, world.folder, interval, at=NOW, connections=_Nowhere())
    manifest = score(world.store, model, world.folder, snapshot, at=NOW)
    assert manifest is not None and set(manifest.segments) == {"bee", "ant"}
    scores = Publication(world.store, "parcels", interval).read(manifest).to_pandas().set_index("parcel")
    frame = pd.read_parquet(world.folder / "rows.parquet")
    rows = frame[frame["parcel"].isin(scores.index[:120])].drop(columns=["late"]).reset_index(drop=True)
    answer = start().post(as_json(rows))
    online = pd.DataFrame(answer.json()["predictions"])
    batch, notebook = scores.loc[rows["parcel"]], in_a_notebook(world, rows)
    assert online["version"].nunique() == 3
    for column in ("version", "prediction", "label"):
        assert online[column].tolist() == batch[column].tolist() == notebook[column].tolist(), column


def test_several_versions_are_named_row_by_row_and_in_the_headers(start: Start, world: World) -> None:
    rows = world.rows(60)
    answer = start().post(as_json(rows))
    versions = [row["version"] for row in answer.json()["predictions"]]
    pooled = world.champions[-1]
    assert versions == [champion_of(world, carrier) or pooled for carrier in rows["carrier"]]
    assert answer.json()["version"] is None and answer.json()["as_of"] is None
    assert set(answer.headers["x-ratchet-version"].split(", ")) == set(versions)
    as_of = {one: f"{one[:4]}-{one[4:6]}-01T00:00:00Z" for one in versions}
    named = answer.headers["x-ratchet-version"].split(", ")
    assert answer.headers["x-ratchet-as-of"].split(", ") == [as_of[one] for one in named]


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"])
def test_tables_say_the_version_of_each_row_in_their_order(start: Start, world: World, kind: str) -> None:
    served, rows = start(), world.rows(60)
    expected = pd.DataFrame(served.post(as_json(rows)).json()["predictions"])
    sink = io.BytesIO()
    if kind == "text/csv":
        rows.to_csv(sink, index=False)
    elif kind.endswith("parquet"):
        rows.to_parquet(sink, index=False)
    else:
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    answer = served.client.post(
        "/models/parcels/predict", content=sink.getvalue(), headers={"content-type": kind, "accept": kind}
    )
    assert answer.status_code == 200, answer.text
    found = io.BytesIO(answer.content)
    if kind == "text/csv":
        table = pd.read_csv(found)
    elif kind.endswith("parquet"):
        table = pd.read_parquet(found)
    else:
        table = pa.ipc.open_stream(found).read_all().to_pandas()
    assert table["version"].tolist() == expected["version"].tolist()
    assert table["prediction"].tolist() == expected["prediction"].tolist()


def test_the_open_inference_protocol_has_a_tensor_of_versions(start: Start, world: World) -> None:
    served, rows = start(), as_json(world.rows(40))
    expected = pd.DataFrame(served.post(rows).json()["predictions"])
    types = {one["name"]: one["datatype"] for one in served.client.get("/v2/models/parcels").json()["inputs"]}
    inputs = [
        {"name": name, "datatype": types[name], "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name in rows[0]
    ]
    answer = served.client.post("/v2/models/parcels/infer", json={"inputs": inputs}).json()
    found = {one["name"]: one["data"] for one in answer["outputs"]}
    assert found["version"] == expected["version"].tolist()
    assert found["prediction"] == expected["prediction"].tolist()
    named = served.client.get("/v2/models/parcels").json()
    assert {one["name"] for one in named["outputs"]} == set(found)
    pooled = world.champions[-1]
    alone = served.client.post(f"/v2/models/parcels/versions/{pooled}/infer", json={"inputs": inputs}).json()
    assert alone["model_version"] == pooled, "a version that is asked for answers all rows"
    assert {one["name"]: one["data"] for one in alone["outputs"]}["version"] == [pooled] * len(rows)


def test_a_single_row_of_a_segment_goes_by_its_compiled_form(start: Start, world: World) -> None:
    served = start()
    before = said(served, "bee")
    served.look()
    (bee,) = [one for one in served.live.models["parcels"].segments.loaded if one.version == before[0]]
    assert bee.single is not None
    assert said(served, "bee")[1] == pytest.approx(before[1], abs=1e-9)
    metrics = served.client.get("/metrics").text
    assert f'ratchet_serving_rows_total{{model="parcels",path="single",version="{before[0]}"}}' in metrics


def test_a_rollback_and_a_promotion_of_a_segment_are_in_force_at_the_next_look(start: Start, world: World) -> None:
    served = start()
    first, second = (version for _, version in ledger_of(world, "bee").timeline().champions())
    assert said(served, "bee")[0] == second
    withdraw(world, "bee")
    assert said(served, "bee")[0] == second, "until it is looked at"
    served.look()
    assert said(served, "bee")[0] == first
    withdraw(world, "bee")
    served.look()
    assert said(served, "bee")[0] == world.champions[-1], "without a champion of its own that of all rows answers"
    run_segments(world.store, world.model, world.folder, month(10))
    new = champion_of(world, "bee")
    assert new not in (None, first, second), "the world needs a third champion"
    served.look()
    assert said(served, "bee")[0] == new


def more_segments(world: World, count: int) -> None:
    levels = tuple(Level(f"level{number:03d}", 500) for number in range(count))
    found = SegmentList(to_iso(month(8)), f"of {count}", "carrier", levels, 0, 0, 0)
    SegmentLog(world.store, "parcels").keep(found, at=NOW)


@pytest.mark.parametrize("segments", [3, 60])
def test_a_look_costs_the_same_however_many_segments_there_are(start: Start, world: World, segments: int) -> None:
    more_segments(world, segments - 3)
    counted = FaultyStore(world.store)
    served = start(store=counted)
    said(served, "bee")
    served.look()
    before = counted.calls
    served.look()
    assert counted.calls == before + 2, "one for the model of all rows, and one for all segments"


def test_news_of_one_segment_reads_the_ledger_of_that_one(start: Start, world: World) -> None:
    read: list[str] = []

    class Noting(FaultyStore):
        def get(self, key: str) -> bytes:
            read.append(key)
            return super().get(key)

    start_with = start(store=Noting(world.store))
    withdraw(world, "ant")
    read.clear()
    start_with.look()
    assert {key.split("/")[2] for key in read if "/ledger/" in key and key.startswith("parcels/segments/")} == {"ant"}


def test_a_writer_that_was_slow_or_killed_after_its_announcement_is_seen(start: Start, world: World) -> None:
    served, ledger = start(), ledger_of(world, "bee")
    first, second = (version for _, version in ledger.timeline().champions())
    SegmentLog(world.store, "parcels").announce("bee", len(ledger.entries()), at=to_iso(NOW))
    for _ in range(3):  # nothing is written yet
        served.look()
        assert said(served, "bee")[0] == second
    withdraw(world, "bee")
    served.look()
    assert said(served, "bee")[0] == first


@pytest.mark.parametrize("mode", ["before", "after"])
def test_wherever_a_rollback_is_killed_it_is_seen_once_it_is_repeated(start: Start, world: World, mode: Any) -> None:
    served, ledger = start(), ledger_of(world, "bee")
    first, second = (version for _, version in ledger.timeline().champions())
    assert said(served, "bee")[0] == second
    killed = 0
    for number in range(1, 60):
        store = FaultyStore(world.store, fail_at=number, mode=mode)
        try:
            Ledger(store, ledger.model).withdraw(second, "wrong units", actor=ACTOR, at=NOW)
        except Killed:
            killed += 1
            served.look()
            assert said(served, "bee")[0] == champion_of(world, "bee")
            continue
        break
    served.look()
    assert killed > 5 and said(served, "bee")[0] == first == champion_of(world, "bee")


def test_no_more_versions_of_segments_are_in_memory_than_is_said(start: Start, world: World) -> None:
    served = start()
    segments = served.live.models["parcels"].segments
    assert not segments.loaded, "nothing is loaded before it is asked for"
    segments._most = 1
    expected = {carrier: said(start(), carrier) for carrier in ("bee", "ant", "cat")}
    for carrier in ("bee", "ant", "cat", "bee", "ant"):
        assert said(served, carrier) == expected[carrier]
        served.look()
        assert len(segments.loaded) == 1 or carrier == "cat"
    assert len(segments.loaded) == 1


def test_versions_of_segments_are_compiled_one_a_look_and_answer_the_same(start: Start, world: World) -> None:
    served = start()
    first = {carrier: said(served, carrier) for carrier in ("bee", "ant")}
    segments, compiled = served.live.models["parcels"].segments, []
    for _ in range(4):
        compiled.append(sum(one.single is not None for one in segments.loaded))
        served.look()
    assert compiled == [0, 1, 2, 2], "a look compiles one, so that no request waits for all of them"
    assert {carrier: said(served, carrier) for carrier in ("bee", "ant")} == first


def change_golden(world: World, segment: str, version: str) -> None:
    model = f"parcels/segments/{segment}"
    (golden,) = load_golden(world.store, model, version)
    values = [[one[0] + 0.001] for one in golden[PREDICTED].to_pylist()]
    sink = pa.BufferOutputStream()
    pq.write_table(golden.drop_columns([PREDICTED]).append_column(PREDICTED, pa.array(values)), sink)
    put_content(world.store, f"{model}/golden/{version}", ".parquet", sink.getvalue().to_pybytes())


def test_a_segment_that_does_not_predict_its_golden_rows_answers_nobody_and_others_go_on(
    start: Start, world: World
) -> None:
    change_golden(world, "bee", str(champion_of(world, "bee")))
    served = start()
    answer = served.post(one_of(world, "bee"))
    assert answer.status_code == 503 and "segment bee" in answer.json()["error"] and "retry-after" in answer.headers
    assert said(served, "ant")[0] == champion_of(world, "ant")
    assert said(served, "cat")[0] == world.champions[-1]


def test_the_version_before_answers_on_where_the_new_one_of_a_segment_is_refused(start: Start, world: World) -> None:
    served = start()
    before = said(served, "bee")
    run_segments(world.store, world.model, world.folder, month(10))
    new = champion_of(world, "bee")
    assert new != before[0]
    change_golden(world, "bee", str(new))
    served.look()
    assert said(served, "bee") == before
    withdraw(world, "bee")
    served.look()
    assert said(served, "bee") == before


def test_a_withdrawn_version_of_a_segment_answers_no_more_even_if_no_other_can_be_loaded(
    start: Start, world: World
) -> None:
    served = start()
    first = next(version for _, version in ledger_of(world, "bee").timeline().champions())
    said(served, "bee")
    change_golden(world, "bee", first)
    withdraw(world, "bee")
    served.look()
    assert served.post(one_of(world, "bee")).status_code == 503


def test_nothing_is_answered_before_it_is_known_which_segments_have_versions(start: Start, world: World) -> None:
    path = world.store.root / "parcels/segments/bee/ledger"
    (path / "00000000.json").write_bytes(b"{}")
    shutil.rmtree(world.store.root / "parcels/segments/bee/ledger_checkpoints", ignore_errors=True)
    for folder in (world.store.root / "parcels/segments/bee").glob("*checkpoint*"):
        shutil.rmtree(folder)
    served = start()
    assert served.post(one_of(world, "cat")).status_code == 503
    assert served.client.get("/v2/health/ready").status_code == 503


def test_the_request_log_says_where_in_the_request_a_row_stood(start: Start, world: World) -> None:
    world.add("serving: {request_log: {}}\n")
    served, rows = start(), world.rows(30)
    answer = served.post(as_json(rows), headers={"x-request-id": "mixed"})
    said(served, "bee")
    served.logger.flush()
    keys = [key for key in world.store.list("parcels/requests/") if key.endswith(".parquet")]
    logged = pd.concat([pq.read_table(pa.BufferReader(world.store.get(key))).to_pandas() for key in keys])
    mixed = logged[logged["request_id"] == "mixed"].sort_values("request_row")
    assert mixed["request_row"].tolist() == list(range(30))
    assert mixed["parcel"].tolist() == rows["parcel"].tolist()
    assert mixed["version"].tolist() == [row["version"] for row in answer.json()["predictions"]]
    assert logged.loc[logged["request_id"] != "mixed", "request_row"].tolist() == [0]


def test_models_and_their_segments_are_listed(start: Start, world: World) -> None:
    (listed,) = start().client.get("/models").json()["models"]
    expected = {
        name: {"version": champion_of(world, name), "as_of": to_iso(month(number))}
        for name, number in (("ant", 4), ("bee", 7))
    }
    assert listed["version"] == world.champions[-1] and listed["segments"] == expected


def test_swaps_in_the_middle_of_requests_mix_no_row(world: World) -> None:
    """Each row's number is that of the version that it names, whatever is put in force meanwhile."""
    rows = world.rows(40)
    parts: dict[str, dict[int, float]] = {}
    for model in ("parcels", "parcels/ant", "parcels/bee"):
        own = rows if model == "parcels" else rows[rows["carrier"] == model.partition("/")[2]]
        for at, version in Ledger(world.store, ledger_name(model)).timeline().champions():
            loaded = load_champion(model, at=at, store=world.store.root.as_uri())
            assert loaded.id == version
            parts[version] = loaded.predict(own)["prediction"].to_dict()
    server = Process(world, "--workers", "1")
    found: list[dict[str, Any]] = []
    try:
        server.wait_ready()
        body, stop = {"rows": as_json(rows)}, threading.Event()

        def ask() -> None:
            with httpx.Client() as client:
                while not stop.is_set():
                    found.append(
                        client.post(f"http://{server.address}/models/parcels/predict", json=body, timeout=30).json()
                    )

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for one in asking:
            one.start()
        for segment in ("bee", "ant", "bee"):
            threading.Event().wait(1.0)
            withdraw(world, segment)
        threading.Event().wait(1.5)
        stop.set()
        for one in asking:
            one.join()
    finally:
        server.end()
    seen = set()
    for answer in found:
        assert "predictions" in answer, answer
        for place, row in enumerate(answer["predictions"]):
            assert row["prediction"] == parts[row["version"]][place]
            seen.add(row["version"])
    assert len(seen) >= 4, "the swaps must have been seen"
