"""The protocol as Triton's own client speaks it, and as nobody should."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton

from tests.include.serving.conftest import Process, Served, World, as_json

Start = Callable[..., Served]
DATATYPES = {"parcel": "INT64", "weight": "FP64", "distance": "FP64", "carrier": "BYTES", "sent_at": "BYTES"}


def tensors(rows: pd.DataFrame, *, binary: bool, **types: str) -> list[triton.InferInput]:
    found = []
    for name, datatype in (DATATYPES | types).items():
        values = rows[name].map(lambda at: at.isoformat()) if name == "sent_at" else rows[name]
        kind = {"BYTES": object, "INT64": np.int64, "FP64": np.float64, "FP32": np.float32, "INT32": np.int32}[datatype]
        tensor = triton.InferInput(name, [len(rows)], datatype)
        tensor.set_data_from_numpy(values.to_numpy().astype(kind), binary_data=binary)
        found.append(tensor)
    return found


def test_tritons_client_asks_for_health_metadata_and_predictions(process: Callable[..., Process], world: World) -> None:
    server = process()
    server.wait_ready()
    rows, version = world.rows(25), world.champions[-1]
    expected = world.expected(version, rows)
    with triton.InferenceServerClient(server.address) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("parcels")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        described = client.get_model_metadata("parcels")
        assert described["versions"] == [version]
        assert {one["name"]: one["datatype"] for one in described["inputs"]} == DATATYPES
        assert {one["name"]: one["datatype"] for one in described["outputs"]} == {
            "prediction": "FP64",
            "label": "BOOL",
            "out_of_domain": "BOOL",
        }
        for binary in (True, False):
            answer = client.infer("parcels", tensors(rows, binary=binary), request_id="r-1")
            assert answer.as_numpy("prediction").tolist() == expected
            assert answer.as_numpy("label").dtype == bool
            assert answer.get_response()["model_version"] == version and answer.get_response()["id"] == "r-1"
        wanted = [triton.InferRequestedOutput("prediction", binary_data=False)]
        answer = client.infer(
            "parcels", tensors(rows, binary=True, parcel="INT32"), outputs=wanted, model_version=version
        )
        assert answer.as_numpy("prediction").tolist() == expected
        assert answer.as_numpy("label") is None
        with pytest.raises(triton.InferenceServerException, match="not in memory"):
            client.infer("parcels", tensors(rows, binary=True), model_version="1")
        with pytest.raises(triton.InferenceServerException, match="no such model"):
            client.infer("parcel", tensors(rows, binary=True))
    assert server.end() == 0


def request(rows: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(rows)], "data": [row[name] for row in rows]}
        for name, datatype in DATATYPES.items()
    ]
    return {"inputs": inputs} | changed


def test_a_missing_value_is_null_or_nan(start: Start, world: World) -> None:
    served = start()
    (row,) = as_json(world.rows(1))
    expected = served.post([{**row, "distance": None}]).json()["predictions"][0]["prediction"]
    asked = request([{**row, "distance": None}])
    answer = served.client.post("/v2/models/parcels/infer", json=asked).json()
    assert answer["outputs"][0] == {"name": "prediction", "datatype": "FP64", "shape": [1], "data": [expected]}
    (tensor,) = (one for one in asked["inputs"] if one["name"] == "distance")
    del tensor["data"]
    tensor["parameters"] = {"binary_data_size": 8}
    said = json.dumps(asked).encode()
    header = {"inference-header-content-length": str(len(said)), "content-type": "application/octet-stream"}
    answer = served.client.post("/v2/models/parcels/infer", content=said + struct.pack("<d", np.nan), headers=header)
    assert answer.json()["outputs"][0]["data"] == [expected]


def spoil(asked: dict[str, Any], how: Callable[[list[dict[str, Any]]], object]) -> dict[str, Any]:
    how(asked["inputs"])
    return asked


@pytest.mark.parametrize(
    "how",
    [
        lambda inputs: inputs.clear(),
        lambda inputs: inputs.append(inputs[0]),
        lambda inputs: inputs[0].update(name="parcl"),
        lambda inputs: inputs[0].update(name=5),
        lambda inputs: inputs[0].update(datatype="BYTES"),
        lambda inputs: inputs[0].update(datatype=[]),
        lambda inputs: inputs[0].update(shape=[2]),
        lambda inputs: inputs[0].update(shape=[-1]),
        lambda inputs: inputs[0].update(shape=[1, 1, 1]),
        lambda inputs: inputs[0].update(shape=[10**9], data=[]),
        lambda inputs: inputs[0].update(data="x"),
        lambda inputs: inputs[0].update(data=[[1]]),
        lambda inputs: inputs[0].update(parameters={"binary_data_size": 8}),
        lambda inputs: inputs[0].update(parameters={"binary_data_size": -1}),
        lambda inputs: inputs[0].update(parameters=[1]) or inputs[0].pop("data"),
        lambda inputs: inputs.pop(1),
        lambda inputs: inputs.__setitem__(0, 5),
    ],
)
def test_a_request_that_breaks_the_protocol_is_refused(start: Start, world: World, how: Any) -> None:
    asked = spoil(request(as_json(world.rows(1))), how)
    answer = start().client.post("/v2/models/parcels/infer", json=asked)
    assert answer.status_code in (400, 413, 422), answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize("outputs", [[{"name": "predicton"}], [5], {"name": "prediction"}, [{}], "prediction"])
def test_an_output_that_there_is_not_is_refused(start: Start, world: World, outputs: Any) -> None:
    asked = request(as_json(world.rows(1)), outputs=outputs)
    assert start().client.post("/v2/models/parcels/infer", json=asked).status_code == 400


@pytest.mark.parametrize("length", ["-1", "x", "99999", "1e3", "9" * 30])
def test_a_length_beyond_the_body_is_refused(start: Start, world: World, length: str) -> None:
    asked = json.dumps(request(as_json(world.rows(1))))
    header = {"inference-header-content-length": length}
    assert start().client.post("/v2/models/parcels/infer", content=asked, headers=header).status_code == 400


@pytest.mark.parametrize(
    "raw", [b"", b"\x05\x00\x00\x00ant", b"\xff\xff\xff\xffant", b"\x01\x00\x00\x00\xff", b"\x03\x00\x00\x00antX"]
)
def test_binary_texts_that_do_not_fit_are_refused(start: Start, world: World, raw: bytes) -> None:
    asked = request(as_json(world.rows(1)))
    (tensor,) = (one for one in asked["inputs"] if one["name"] == "carrier")
    del tensor["data"]
    tensor["parameters"] = {"binary_data_size": len(raw)}
    said = json.dumps(asked).encode()
    header = {"inference-header-content-length": str(len(said))}
    answer = start().client.post("/v2/models/parcels/infer", content=said + raw, headers=header)
    assert answer.status_code == 400
