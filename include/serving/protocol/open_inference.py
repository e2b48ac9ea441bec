"""The Open Inference Protocol, version 2, over REST: a tensor for each column, with the binary data extension.

https://github.com/kserve/open-inference-protocol, and Triton's ``binary_tensor_data`` extension, in which tensors follow the
JSON as bytes; Triton's clients use it unless told otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from include.config.sections.rows.sources import ColumnType
from include.errors import RequestError, nearest
from include.serving.protocol.bodies import dump, read_json
from include.serving.protocol.row_schema import RequestSchema, Row

PLATFORM = "ratchet_sklearn"
EXTENSIONS = ["binary_tensor_data"]
_TYPE_OF: dict[ColumnType, str] = {
    "string": "BYTES",
    "integer": "INT64",
    "float": "FP64",
    "boolean": "BOOL",
    "timestamp": "BYTES",
    "date": "BYTES",
}
_NUMPY = {
    "BOOL": "<u1",
    **{f"{sign}INT{bits}": f"<{'u' if sign else 'i'}{bits // 8}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
_WHOLE = tuple(name for name in _NUMPY if "INT" in name)
_TAKEN: dict[str, tuple[str, ...]] = {
    "BYTES": ("BYTES",),
    "INT64": (*_WHOLE, "FP16", "FP32", "FP64"),
    "FP64": (*_WHOLE, "FP16", "FP32", "FP64"),
    "BOOL": ("BOOL",),
}
"""Which datatypes of a request a column takes. A NaN is a missing value, also of a column of whole numbers."""


def metadata(model: str, version: str, schema: RequestSchema, outputs: pa.Schema) -> dict[str, Any]:
    """Return a model's metadata.

    Parameters
    ----------
    schema : RequestSchema
        The inputs, one tensor each.
    outputs : pa.Schema
        The outputs, one tensor each.
    """
    inputs = [{"name": c.name, "datatype": _TYPE_OF[c.type], "shape": [-1]} for c in schema.columns]
    return {
        "name": model,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": [{"name": f.name, "datatype": _datatype(f.type), "shape": [-1]} for f in outputs],
    }


def read_request(body: bytes, json_bytes: str | None, schema: RequestSchema, *, max_rows: int) -> tuple[Any, list[Row]]:
    """Return an inference request and its rows.

    Parameters
    ----------
    json_bytes : str, optional
        The header ``Inference-Header-Content-Length``: how many bytes the JSON has; tensors follow it.

    Raises
    ------
    RequestError
        When it is not as the protocol or the schema says.
    """
    length = len(body)
    if json_bytes is not None:
        if not json_bytes.isdecimal() or len(json_bytes) > 9 or int(json_bytes) > len(body):
            raise _malformed("Inference-Header-Content-Length", "a number of bytes within the body")
        length = int(json_bytes)
    request = read_json(body[:length], nan=True)
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list) or not request["inputs"]:
        raise _malformed("inputs", "a list of tensors")
    columns: dict[str, list[Any]] = {}
    rest = memoryview(body)[length:]
    rows: int | None = None
    for tensor in request["inputs"]:
        name, count, values, rest = _tensor(tensor, rest, schema, max_rows)
        if name in columns:
            raise _malformed(f"inputs: {name[:64]}", "one tensor of that name")
        if rows is not None and count != rows:
            raise _malformed(f"inputs: {name[:64]}", f"{rows} values, as many as other tensors have")
        rows, columns[name] = count, values
    if len(rest):
        raise _malformed("inputs", "no bytes after the last tensor")
    names = list(columns)
    return request, schema.rows([dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _tensor(
    tensor: Any, rest: memoryview, schema: RequestSchema, max_rows: int
) -> tuple[str, int, list[Any], memoryview]:
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise _malformed("inputs", "tensors with name, datatype, shape and data")
    name = tensor["name"]
    where = f"inputs: {name[:64]}"
    types = {column.name: column.type for column in schema.columns}
    if name not in types:
        close = nearest(name[:64], types)
        problem = {"row": None, "field": name[:64], "expected": "a column of the model", "found": "an unknown tensor"}
        raise RequestError("The request has an unknown tensor.", problems=[{**problem, "nearest": close}])
    datatype, shape = tensor.get("datatype"), tensor.get("shape")
    taken = _TAKEN[_TYPE_OF[types[name]]]
    if datatype not in taken:
        raise _malformed(where, f"datatype {' or '.join(taken)}")
    if (
        not isinstance(shape, list)
        or not all(type(length) is int and length >= 0 for length in shape)
        or len(shape) not in (1, 2)
        or (len(shape) == 2 and shape[1] != 1)
    ):
        raise _malformed(where, "shape [rows] or [rows, 1]")
    rows: int = shape[0]
    if rows > max_rows:
        raise RequestError(
            "The request has too many rows.", status=413, expected=f"at most {max_rows:,}", found=f"{rows:,}"
        )
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest):
            raise _malformed(where, "a binary_data_size within the body")
        values = _from_bytes(bytes(rest[:size]), datatype, rows, where)
        return name, rows, _missing(values, types[name]), rest[size:]
    data = tensor.get("data")
    if not isinstance(data, list):
        raise _malformed(where, "data as a list")
    nested = len(shape) == 2 and all(isinstance(value, list) for value in data)
    values = [value for one in data for value in one] if nested else data
    if len(values) != rows:
        raise _malformed(where, f"{rows} values, as the shape says")
    return name, rows, _missing(values, types[name]), rest


def _from_bytes(raw: bytes, datatype: str, rows: int, where: str) -> list[Any]:
    if datatype != "BYTES":
        kind = np.dtype(_NUMPY[datatype])
        if len(raw) != rows * kind.itemsize:
            raise _malformed(where, f"{rows * kind.itemsize} bytes")
        values = np.frombuffer(raw, kind)
        return [bool(value) for value in values] if datatype == "BOOL" else list(values.tolist())
    texts, place = [], 0
    try:
        for _ in range(rows):
            (length,) = struct.unpack_from("<I", raw, place)
            text = raw[place + 4 : place + 4 + length]
            if len(text) != length:
                raise ValueError
            texts.append(text.decode())
            place += 4 + length
        if place != len(raw):
            raise ValueError
    except (struct.error, ValueError):
        raise _malformed(where, f"{rows} UTF-8 texts, each after its length") from None
    return texts


def _missing(values: list[Any], kind: ColumnType) -> list[Any]:
    if kind in ("integer", "float"):
        return [None if value != value else value for value in values]
    return values


def _malformed(where: str, expected: str) -> RequestError:
    return RequestError(
        "The request is not as the Open Inference Protocol says.", status=400, expected=expected, where=where
    )


def answer(
    request: dict[str, Any], model: str, versions: Iterable[str], table: pa.Table, request_id: str
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how many bytes of it are JSON if tensors follow as bytes.

    Parameters
    ----------
    request : dict
        The parsed request; its `outputs` and `parameters` choose the tensors and their form.
    model : str
        The name for the answer.
    versions : iterable of str
        Who answered; of several each row says which, in the tensor ``version``.
    table : pyarrow.Table
        The answers, a row for each of the request's.
    request_id : str
        Id of the answer when the request has none.
    """
    wanted = request.get("outputs")
    names = list(table.column_names)
    parameters = request.get("parameters")
    every = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    binary = set(names) if every else set()
    if wanted:
        if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
            raise _malformed("outputs", "a list of tensors by name")
        asked = [one.get("name") for one in wanted]
        if unknown := [name for name in asked if name not in names]:
            raise _malformed(f"outputs: {str(unknown[0])[:64]}", f"one of {', '.join(names)}")
        for one in wanted:
            own = one.get("parameters")
            if isinstance(own, dict) and "binary_data" in own:
                (binary.add if own["binary_data"] is True else binary.discard)(one["name"])
        names = list(dict.fromkeys(asked))
    outputs, raw = [], []
    for name in names:
        column = table[name]
        datatype = _datatype(column.type)
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [table.num_rows]}
        values = [str(value) if datatype == "BYTES" else value for value in column.to_pylist()]
        if name in binary:
            raw.append(_to_bytes(values, datatype))
            tensor["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            tensor["data"] = values
        outputs.append(tensor)
    own_id = request.get("id")
    said = dump(
        {
            "model_name": model,
            "model_version": ",".join(versions),
            "id": own_id if isinstance(own_id, str) and own_id else request_id,
            "outputs": outputs,
        }
    )
    return said + b"".join(raw), len(said) if raw else None


def _to_bytes(values: list[Any], datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.array(values, _NUMPY[datatype]).tobytes()
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _datatype(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "BOOL"
    if pa.types.is_integer(kind):
        return "INT64"
    return "FP64" if pa.types.is_floating(kind) else "BYTES"


def example_request(schema: RequestSchema, row: Row) -> dict[str, Any]:
    """Return the request of one row."""
    types = {column.name: _TYPE_OF[column.type] for column in schema.columns}
    inputs = [{"name": name, "datatype": types[name], "shape": [1], "data": [value]} for name, value in row.items()]
    return {"inputs": inputs}
