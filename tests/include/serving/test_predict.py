from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, month

from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.notebook import load_champion
from include.scoring.publication import Publication
from include.scoring.score import score
from include.serving.protocol.bodies import CSV, FILE, PARQUET, STREAM
from tests.include.serving.conftest import Served, World, as_json

Start = Callable[..., Served]


def write(rows: pd.DataFrame, kind: str) -> bytes:
    table = pa.Table.from_pandas(rows, preserve_index=False)
    sink = io.BytesIO()
    if kind == CSV:
        pa_csv.write_csv(table, sink)
    elif kind == PARQUET:
        pq.write_table(table, sink)
    else:
        with (pa.ipc.new_stream if kind == STREAM else pa.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def read(body: bytes, kind: str) -> pd.DataFrame:
    if kind == CSV:
        return pd.read_csv(io.BytesIO(body))
    if kind == PARQUET:
        return pq.read_table(io.BytesIO(body)).to_pandas()
    return (pa.ipc.open_stream if kind == STREAM else pa.ipc.open_file)(io.BytesIO(body)).read_pandas()


def test_a_row_gets_one_number_from_server_notebook_and_batch(start: Start, world: World) -> None:
    served, rows = start(), world.rows(40)
    champion = world.champions[-1]
    loaded = load_champion("parcels", store=world.store.url)
    assert loaded.id == champion
    notebook = loaded.predict(rows)["prediction"].tolist()
    together = served.post(as_json(rows)).json()["predictions"]
    alone = [served.post([row]).json()["predictions"][0] for row in as_json(rows)]
    assert [one["prediction"] for one in together] == notebook
    np.testing.assert_allclose([one["prediction"] for one in alone], notebook, rtol=1e-12)
    assert [one["label"] for one in alone] == [one["label"] for one in together]
    assert [one["out_of_domain"] for one in alone] == [one["out_of_domain"] for one in together]
    window = Window(month(8), month(9))
    snapshot = ingest_window(world.store, world.model, world.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(world.store, world.model, world.folder, snapshot, at=NOW)
    assert manifest is not None and manifest.version == champion
    batch = Publication(world.store, "parcels", window).read(manifest).to_pandas().set_index("parcel")
    assert batch.loc[rows["parcel"], "prediction"].tolist() == notebook
    assert batch.loc[rows["parcel"], "label"].tolist() == [one["label"] for one in together]
    assert batch.loc[rows["parcel"], "out_of_domain"].tolist() == [one["out_of_domain"] for one in together]


def test_an_answer_names_version_as_of_and_request(start: Start, world: World) -> None:
    answer = start().post(as_json(world.rows(1)), headers={"x-request-id": "order-7"})
    version = world.champions[-1]
    assert answer.status_code == 200
    assert answer.headers["x-ratchet-version"] == answer.json()["version"] == version
    assert answer.headers["x-ratchet-as-of"] == "2024-07-01T00:00:00Z"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "order-7"


@pytest.mark.parametrize("kind", [CSV, STREAM, FILE, PARQUET])
def test_files_of_rows_are_answered_in_kind_with_the_same_numbers(start: Start, world: World, kind: str) -> None:
    rows = world.rows(30)
    answer = start().client.post("/models/parcels/predict", content=write(rows, kind), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(kind)
    found = read(answer.content, kind)
    assert list(found) == ["prediction", "label", "out_of_domain"]
    np.testing.assert_allclose(found["prediction"], world.expected(world.champions[-1], rows), rtol=1e-15)


def test_a_row_unlike_those_fitted_on_is_flagged_with_its_columns(start: Start, world: World) -> None:
    (row,) = as_json(world.rows(1))
    strange = {**row, "carrier": "dog", "distance": 1e6}
    for rows in ([strange], [strange, row]):
        flagged = start().post(rows).json()["predictions"][0]
        assert flagged["out_of_domain"] is True
        assert sorted(flagged["outside"]) == ["carrier", "distance"]


def test_a_column_that_no_prediction_depends_on_may_be_left_out(start: Start, world: World) -> None:
    (row,) = as_json(world.rows(1))
    served = start()
    whole = served.post([row]).json()["predictions"]
    del row["parcel"]
    assert served.post([row]).json()["predictions"] == whole


@pytest.mark.parametrize(
    ("change", "field", "expected", "found", "nearest"),
    [
        ({"carrier": 5}, "carrier", "text", "number", None),
        ({"weight": "heavy"}, "weight", "a finite number", "text", None),
        ({"weight": True}, "weight", "a finite number", "boolean", None),
        ({"parcel": 1.5}, "parcel", "a whole number within 64 bits", "number", None),
        ({"parcel": 2**63}, "parcel", "a whole number within 64 bits", "number", None),
        ({"sent_at": "yesterday"}, "sent_at", "an ISO 8601 time of the years 1900 to 2199", "text", None),
        ({"sent_at": "55840-01-01T00:00:00Z"}, "sent_at", "an ISO 8601 time of the years 1900 to 2199", "text", None),
        ({"carier": "ant"}, "carier", "a column of the model", "an unknown field", "carrier"),
        ({"late": True}, "late", "no such field: it is what is predicted", "an unknown field", None),
        ({"carrier": "\ud800"}, "carrier", "text", "text", None),
    ],
)
def test_a_value_that_is_not_as_the_model_asks_is_answered_with_field_expected_found_and_nearest(
    start: Start, world: World, change: dict, field: str, expected: str, found: str, nearest: str | None
) -> None:
    row, other = as_json(world.rows(2))
    body = json.dumps({"rows": [other, {**row, **change}]})
    answer = start().client.post("/models/parcels/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    problem = {"row": 1, "field": field, "expected": expected, "found": found, "nearest": nearest}
    assert answer.json()["problems"] == [problem]


def test_an_absent_column_is_answered_with_the_misspelt_one(start: Start, world: World) -> None:
    (row,) = as_json(world.rows(1))
    row["wheight"] = row.pop("weight")
    (problem,) = start().post([row]).json()["problems"]
    assert problem["field"] == "weight" and problem["found"] == "nothing" and problem["nearest"] == "wheight"


def test_a_text_of_a_csv_that_is_no_number_is_answered_with_its_row_and_never_its_value(start, world: World) -> None:
    rows = world.rows(5).astype({"weight": object})
    rows.loc[3, "weight"] = "s3cret"
    body = rows.to_csv(index=False).encode()
    answer = start().client.post("/models/parcels/predict", content=body, headers={"content-type": CSV})
    assert answer.status_code == 422
    assert [(one["row"], one["field"]) for one in answer.json()["problems"]] == [(3, "weight")]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[1, NaN]", b'{"rows": [{"a": 1, "a": 2}]}', b"[" * 100_000, b"\xff", b"5"])
def test_a_body_that_is_no_json_of_rows_is_refused(start: Start, body: bytes) -> None:
    answer = start().client.post("/models/parcels/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("kind", [CSV, STREAM, FILE, PARQUET])
@pytest.mark.parametrize("body", [b"", b"x", b"PAR1PAR1", b"a,a\n1\n", b"\x00" * 999, b"ARROW1\x00\x00" * 9])
def test_a_broken_file_is_refused_and_breaks_nothing(start: Start, world: World, kind: str, body: bytes) -> None:
    served = start()
    answer = served.client.post("/models/parcels/predict", content=body, headers={"content-type": kind})
    assert answer.status_code in (400, 422), answer.text
    assert served.post(as_json(world.rows(1))).status_code == 200


def test_what_a_compressed_buffer_grows_to_is_not_tried_out(start: Start, world: World) -> None:
    table = pa.Table.from_pandas(world.rows(500), preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    answer = start().client.post("/models/parcels/predict", content=sink.getvalue(), headers={"content-type": STREAM})
    assert answer.status_code == 415


def test_too_many_rows_are_refused_before_they_are_read(start: Start, world: World) -> None:
    served = start(max_rows=10)
    rows = world.rows(11)
    assert served.post(as_json(rows)).status_code == 413
    for kind in (CSV, STREAM, FILE, PARQUET):
        answer = served.client.post(
            "/models/parcels/predict", content=write(rows, kind), headers={"content-type": kind}
        )
        assert answer.status_code == 413
    assert served.post([]).status_code == 422


def test_what_derive_raises_is_the_callers_422_and_in_no_log(start: Start, world: World, caplog) -> None:
    path = world.folder / "features.py"
    path.write_text(path.read_text())
    served = start()
    live = served.live.models["parcels"].champion
    assert live is not None

    def derive(frame: pd.DataFrame) -> pd.DataFrame:
        raise ValueError(f"no such carrier: {frame['carrier'].iloc[0]}")

    object.__setattr__(live.predictor, "derive", derive)
    rows = as_json(world.rows(2))
    rows[0]["carrier"] = "s3cret"
    answer = served.post(rows)
    assert answer.status_code == 422
    assert "s3cret" not in answer.text + caplog.text


def test_many_rows_are_answered_as_few_are(start: Start, world: World) -> None:
    served = start()
    rows = as_json(world.rows(300)) * 3
    few = served.post(rows[:10]).json()["predictions"]
    many = served.post(rows)
    assert len(many.request.content) > 64 * 1024 and len(many.json()["predictions"]) == 900
    assert many.json()["predictions"][:10] == few


def test_a_row_that_the_function_for_one_row_was_not_held_to_goes_by_the_pipeline(start: Start, world: World) -> None:
    served = start()
    live = served.live.models["parcels"].champion
    assert live is not None and live.single is not None
    (row,) = as_json(world.rows(1))
    whole = served.post([row]).json()["predictions"]

    def derive(row: dict) -> dict:
        raise AssertionError("s3cret")

    live.single._derive = derive
    assert served.post([row]).json()["predictions"] == whole


def test_contributions_come_with_the_rows_that_ask_for_them(start: Start, world: World) -> None:
    served, rows = start(), as_json(world.rows(3))
    answer = served.client.post("/models/parcels/predict?explain=true", json=rows)
    for one in answer.json()["predictions"]:
        explained = one["explanation"]
        total = explained["base"] + sum(explained["contributions"].values())
        assert explained["scale"] == "prediction" and total == pytest.approx(one["prediction"], abs=1e-9)
    assert served.client.post("/models/parcels/predict?explain=maybe", json=rows).status_code == 422


def test_a_wrong_name_is_answered_with_the_right_ones(start: Start) -> None:
    answer = start().client.post("/models/parcel/predict", json=[])
    assert answer.status_code == 404
    assert answer.json()["expected"] == "parcels" and "parcels" in answer.json()["remedy"]
