"""A corpus of hostile inputs for every parser of stored or foreign bytes, and one runner that measures what each of them costs.

Each case runs in a process of its own that was forked from a warm one: a limit of memory and of processor time holds it,
and what it imports, starts or writes is seen.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from include.audit import offline_check
from include.config.load import load_model
from include.config.sections.rows.sources import FilesSource
from include.config.time_zones import Clock
from include.data.sources.file_listing import find_files
from include.data.sources.formats.parquet import read_parquet
from include.data.sources.formats.text import read_text
from include.errors import RatchetError
from include.registry.timeline import fold
from include.serving.protocol import bodies
from include.serving.protocol import open_inference as oip
from include.serving.protocol.row_schema import Column, RequestSchema
from include.signing.envelope import unseal
from include.signing.keys import TrustedKeys
from include.storage.checkpoints import Checkpoint, unpack
from include.storage.content import canonical_json, digest, get_content
from include.storage.entries import open_entry, seal_fields
from include.storage.local import LocalStore
from include.training.persistence.model_file import dump, load
from include.training.preprocessing.float_converter import FloatConverter

Parser = Callable[[bytes], object]
MEGABYTES = 200
"""How much memory a refusal may take."""
SECONDS = 1.0
"""How much processor time a refusal may take."""

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.tile([1.0, 2.0, np.nan], 20)})
COLUMNS = {"id": "string", "at": "timestamp", "weight": "float", "count": "integer", "late": "boolean"}
SCHEMA = RequestSchema(
    tuple(Column(name, kind, required=True) for name, kind in COLUMNS.items()), Clock("UTC"), "target"
)  # type: ignore[arg-type]
ROWS = pa.table(
    {
        "id": ["a", "b", "c"],
        "at": pa.array(pd.to_datetime(["2026-01-01", "2026-01-02", None], utc=True)),
        "weight": [1.5, None, 2.5],
        "count": [1, 2, None],
        "late": [True, False, None],
    }
)


# The parsers, by what they read.


def _model_file(body: bytes) -> object:
    return load(body, hashlib.sha256(body).hexdigest())


def _yaml(body: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parcels" / "model.yaml"
        path.parent.mkdir()
        path.write_bytes(body)
        return load_model(path)


def _source(kind: str, suffix: str, body: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"rows.{suffix}").write_bytes(body)
        columns = {name: {"type": kind_} for name, kind_ in COLUMNS.items()}
        declared: dict[str, Any] = {"kind": "files", "path": f"rows.{suffix}", "format": kind, "columns": columns}
        source = FilesSource.model_validate(declared)
        (file,) = find_files(source, [], "UTC", Path(folder), None)
        read = read_parquet if kind == "parquet" else read_text
        return sum(table.num_rows for table in read(file, source, "UTC"))


def _event(body: bytes) -> object:
    """Read an event whose digest is right: whoever may write to an unsigned ledger can see to that."""
    fields = body[body.find(b",") + 1 :] if body.startswith(b'{"digest"') else body[1:]
    sealed = b'{"digest":"%s",' % digest(b"{" + fields).encode() + fields
    return fold([open_entry(sealed, 0, where="hostile")])


def _checkpoint(body: bytes) -> object:
    return unpack(body, Checkpoint(2), where="hostile")


def _envelope(body: bytes) -> object:
    return unseal("application/x", body, TrustedKeys(()), where="hostile")


def _pack(body: bytes) -> object:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "pack.zip"
        path.write_bytes(body)
        if offline_check.main([str(path)]):
            raise RatchetError("WRONG")
        return None


def _card(body: bytes) -> object:
    """Read a card whose bytes are others than those that it is named by."""
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder))
        store.put_if_absent(f"m/cards/{'0' * 64}.html", body)
        return get_content(store, "m/cards", ".html", "0" * 64)


def _json_body(body: bytes) -> object:
    return SCHEMA.rows(bodies.rows_in(bodies.read_json(body)))


def _tensors(body: bytes) -> object:
    return oip.read_request(body, None, SCHEMA, max_rows=1000)


def _table_body(kind: str) -> Parser:
    return lambda body: bodies.read_table(body, kind, SCHEMA, max_rows=1000, max_bytes=2**20)


PARSERS: dict[str, Parser] = {
    "model file": _model_file,
    "yaml": _yaml,
    "csv": lambda body: _source("csv", "csv", body),
    "packed csv": lambda body: _source("csv", "csv.gz", body),
    "json lines": lambda body: _source("json_lines", "jsonl", body),
    "parquet": lambda body: _source("parquet", "parquet", body),
    "ledger event": _event,
    "checkpoint": _checkpoint,
    "envelope": _envelope,
    "pack": _pack,
    "card": _card,
    "json body": _json_body,
    "tensors": _tensors,
    "csv body": _table_body(bodies.CSV),
    "arrow body": _table_body(bodies.STREAM),
    "parquet body": _table_body(bodies.PARQUET),
}


# What a good input looks like: from these the corpus is made, and the mutations of `benchmarks.fuzz`.


def fitted(estimator: Any) -> Pipeline:
    return Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, FRAME.a)


def packed(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, body in contents.items():
            archive.writestr(name, body)
    return out.getvalue()


def members(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _parquet(table: pa.Table, **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True, **settings)
    return sink.getvalue()


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _fields(number: int = 0, **changed: Any) -> dict[str, Any]:
    actor = {"trigger": "manual", "dag": "d", "run": "r"}
    body = {"version": "v", "as_of": "2026-01-01T00:00:00Z", "model_file": "0" * 64, "record": "1" * 64, "actor": actor}
    previous = "2" * 64 if number else None
    fields = {"number": number, "previous": previous, "kind": "registered", "at": "2026-01-01T00:00:00Z", "nonce": "n"}
    return {**fields, "body": body, **changed}


def _sealed(**changed: Any) -> bytes:
    return seal_fields(_fields(**changed))


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(body) + packer.flush()


_CSV = b"id,at,weight,count,late\na,2026-01-01T00:00:00Z,1.5,1,true\nb,2026-01-02T00:00:00Z,2.5,2,false\n"
_LINE = b'{"id": "a", "at": "2026-01-01T00:00:00Z", "weight": 1.5, "count": 1, "late": true}\n'
_ROW = {"id": "a", "at": "2026-01-01T00:00:00Z", "weight": 1.5, "count": 1, "late": True}
_OIP = {
    "inputs": [
        {"name": "id", "datatype": "BYTES", "shape": [1], "data": ["a"]},
        {"name": "at", "datatype": "BYTES", "shape": [1], "data": ["2026-01-01T00:00:00Z"]},
        {"name": "weight", "datatype": "FP64", "shape": [1], "data": [1.5]},
        {"name": "count", "datatype": "INT64", "shape": [1], "data": [1]},
        {"name": "late", "datatype": "BOOL", "shape": [1], "data": [True]},
    ]
}
_YAML = (
    (Path(__file__).parents[1] / "include/models/flight_delay/model.yaml")
    .read_bytes()
    .replace(b"name: flight_delay", b"name: parcels")
)
_ENVELOPE = canonical_json(
    {
        "payloadType": "application/x",
        "payload": base64.b64encode(b'{"at": "2026-01-01T00:00:00Z"}').decode(),
        "signatures": [{"keyid": "0" * 64, "sig": "AAAA"}],
    }
)
_PACK = packed(
    {
        "subject.json": b'{"model": "m", "version": "v"}',
        "trusted.json": b"[]",
        "sbom.cdx.json": b'{"components": []}',
        "store/m/ledger/00000000.json": _sealed(),
    }
)

TREE = dump(fitted(DecisionTreeRegressor(max_depth=3, random_state=0)))
SEEDS: dict[str, list[bytes]] = {
    "model file": [
        TREE,
        dump(fitted(HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=5, random_state=0))),
        dump(Pipeline([("numbers", FloatConverter()), ("estimator", SVR())]).fit(FRAME[["a"]], FRAME.a)),
    ],
    "yaml": [_YAML],
    "csv": [_CSV],
    "packed csv": [_gzip(_CSV)],
    "json lines": [_LINE * 2],
    "parquet": [_parquet(ROWS)],
    "ledger event": [
        _sealed(),
        _sealed(kind="decided", body={"version": "v", "outcome": "PROMOTE"}),
        _sealed(kind="withdrawn", body={"version": "v", "reason": "r"}),
        _sealed(kind="aliased", body={"version": "v", "alias": "a", "given": True}),
    ],
    "checkpoint": [_gzip(_sealed() + b"\n" + _sealed(number=1))],
    "envelope": [_ENVELOPE],
    "pack": [_PACK],
    "card": [b"<p>card</p>"],
    "json body": [json.dumps({"rows": [_ROW]}).encode()],
    "tensors": [json.dumps(_OIP).encode()],
    "csv body": [_CSV],
    "arrow body": [_arrow(ROWS)],
    "parquet body": [_parquet(ROWS)],
}


def _schema(change: Callable[[dict[str, Any]], object], body: bytes = TREE) -> bytes:
    contents = members(body)
    schema = json.loads(contents["schema.json"])
    change(schema)
    return packed(contents | {"schema.json": json.dumps(schema).encode()})


def _planted(loader: Any, module: str, name: str, content: Any = None) -> bytes:
    node = {
        "__loader__": loader,
        "__module__": module,
        "__class__": name,
        "content": content or {"args": ["touch evil"]},
    }
    return _schema(lambda schema: schema["content"]["content"]["steps"]["content"][0]["content"].append(node))


def _array(header: bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    whole = b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + body
    contents = members(TREE)
    return packed(contents | {next(name for name in contents if name.endswith(".npy")): whole})


def _header(descr: str, shape: str) -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()


def _tree_of(field: str, value: int, body: bytes = TREE) -> bytes:
    contents = members(body)
    for name, kept in contents.items():
        array = np.load(io.BytesIO(kept)) if name.endswith(".npy") else np.zeros(0)
        if found := [one for one in array.dtype.names or () if one.startswith(field)]:
            array[found[0]][0] = value
            out = io.BytesIO()
            np.save(out, array)
            contents[name] = out.getvalue()
    return packed(contents)


def _claims_more() -> bytes:
    """A member whose entry in the directory promises 4 GB."""
    body = bytearray(TREE)
    place = body.rfind(b"PK\x01\x02")
    body[place + 20 : place + 28] = (0xFFFFFFF0).to_bytes(4, "little") * 2
    return bytes(body)


def _encrypted() -> bytes:
    body = bytearray(TREE)
    body[body.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


def _twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in [*members(TREE).items(), ("schema.json", b"{}")]:
            archive.writestr(name, body)
    return out.getvalue()


_DEEP = 100_000
_TYPES = [
    ("FunctionNode", "posix", "system"),
    ("FunctionNode", "builtins", "eval"),
    ("TypeNode", "subprocess", "Popen"),
    ("TypeNode", "ctypes", "CDLL"),
    ("ConstructorFromReduceNode", "builtins", "eval"),
    ("ConstructorFromReduceNode", "sklearn.pipeline", "Pipeline"),
    ("MethodNode", "sklearn.pipeline", "Pipeline"),
    ("OperatorFuncNode", "operator", "attrgetter"),
    ("ObjectNode", "sklearn.svm._classes", "NuSVC"),
    ("ObjectNode", "antigravity", "Anything"),
    ("ObjectNode", "this", "Anything"),
    ("ListNode", "os", "system"),
    ("DictNode", "collections", "OrderedDict"),
    ("CachedNode", "builtins", "list"),
    ("NoSuchNode", "builtins", "list"),
    (["ObjectNode"], "sklearn.pipeline", "Pipeline"),
    (None, "sklearn.pipeline", "Pipeline"),
]


def _model_files() -> dict[str, Callable[[], bytes]]:
    every: dict[str, Callable[[], bytes]] = {
        f"the type {module}.{name} by {loader}": lambda one=(loader, module, name): _planted(*one)  # type: ignore[misc]
        for loader, module, name in _TYPES
    }
    for name in ("../../evil.txt", "/etc/passwd", "evil.txt", "0.npz", "a/0.npy", "99.npy", "0.NPY", "0.npy\x00.txt"):
        every[f"the member {name!r}"] = lambda name=name: packed(members(TREE) | {name: b"evil"})  # type: ignore[misc]
    for shape in ("(1000000000000,)", "(1,)", "(-1,)", "(2**63,)", "(True,)", "(10,) * 30", "()"):
        every[f"an array of shape {shape}"] = lambda shape=shape: _array(_header("'<f8'", shape))  # type: ignore[misc]
    for descr in ("'|O'", "[('a', '|O')]", "'V2147483647'", "'<M8[ns]'", "'<U500000000'", "__import__('os')", "'('*9"):
        every[f"an array of type {descr}"] = lambda descr=descr: _array(_header(descr, "(1,)"))  # type: ignore[misc]
    every |= {
        "nothing": lambda: b"",
        "a pickle": lambda: b"\x80\x04\x95cos\nsystem\n(S'touch evil'\ntR.",
        "an empty zip": lambda: packed({}),
        "no schema": lambda: packed({"0.npy": b""}),
        "a schema that is a list": lambda: packed({"schema.json": b"[]"}),
        "a schema of no JSON": lambda: packed({"schema.json": b"\xff\xfe{"}),
        "cut short": lambda: TREE[:-30],
        "a member twice": _twice,
        "a member that claims 4 GB": _claims_more,
        "an encrypted member": _encrypted,
        "a bomb": lambda: packed({"schema.json": b" " * 300 * 2**20}, zipfile.ZIP_DEFLATED),
        "a bomb beside a good schema": lambda: packed(members(TREE) | {"9.npy": bytes(2**27)}, zipfile.ZIP_DEFLATED),
        "a member packed by lzma": lambda: packed(members(TREE), zipfile.ZIP_LZMA),
        "a schema of 65 MB": lambda: packed({"schema.json": b" " * (65 * 2**20)}),
        "a schema of millions of lists": lambda: packed({"schema.json": b"[" + b"[]," * (15 * 2**20) + b"[]]"}),
        "a schema of millions of names": lambda: packed({"schema.json": b"[" + b'{"":0},' * (8 * 2**20) + b"0]"}),
        "a schema nested too deep": lambda: packed({"schema.json": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP}),
        "lists nested too deep": lambda: packed({"schema.json": b"[" * _DEEP + b"]" * _DEEP}),
        "a number of a million digits": lambda: packed({"schema.json": b"1" * 10**6}),
        "an older protocol": lambda: _schema(lambda schema: schema.update(protocol=0)),
        "a protocol to come": lambda: _schema(lambda schema: schema.update(protocol=99)),
        "an array of version 9": lambda: _array(_header("'<f8'", "(1,)"), version=b"\x09\x00"),
        "an array with a header of 64 kB": lambda: _array(_header("'<f8'", "(1,)").ljust(65000)),
        "an array that is a pickle": lambda: _array(b"cos\nsystem\n(S'touch evil'\ntR."),
        "a child outside of its tree": lambda: _tree_of("left", 10**6),
        "a tree that is a circle": lambda: _tree_of("left", 0),
        "a column outside of the rows": lambda: _tree_of("feature", 10**6),
        "a column below zero": lambda: _tree_of("feature", -5),
        "a boosted tree with a child outside": lambda: _tree_of("left", 10**6, SEEDS["model file"][1]),
        "no pipeline": lambda: _schema(lambda schema: schema.update(schema["content"]["content"]["steps"])),
    }
    return every | _boosters()


def _boosters() -> dict[str, Callable[[], bytes]]:
    """Model files whose native part is hostile, from the corpora of their own tests."""
    from tests.include.training import test_boosted_trees, test_xgboost_trees

    made: dict[str, Callable[[], bytes]] = {}

    def change(body: bytes, changed: bytes) -> bytes:
        contents = members(body)
        for name, kept in contents.items():
            if name.endswith(".npy") and np.load(io.BytesIO(kept)).dtype == np.uint8:
                out = io.BytesIO()
                np.save(out, np.frombuffer(changed, dtype=np.uint8))
                contents[name] = out.getvalue()
        return packed(contents)

    def grow(make: Callable[[], Any]) -> tuple[bytes, bytes]:
        estimator, rows = make(), test_xgboost_trees.FRAME
        target = rows.c % 3 + rows.a / 1000
        body = dump(Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(rows, target))
        return body, estimator.native_.tobytes()

    for library, corpus, make in (
        ("lightgbm", test_boosted_trees.HOSTILE, _lightgbm),
        ("xgboost", test_xgboost_trees.HOSTILE, _xgboost),
    ):
        grown: list[tuple[bytes, bytes]] = []
        for name, mutation in corpus.items():

            def build(mutation: Any = mutation, make: Any = make, grown: Any = grown) -> bytes:
                if not grown:
                    grown.append(grow(make))
                return change(grown[0][0], mutation(grown[0][1]))

            made[f"{library}: {name}"] = build
    return made


def _lightgbm() -> Any:
    from include.training.estimators.boosting.lightgbm_trees import LightGBMRegressor

    return LightGBMRegressor(n_estimators=2, num_leaves=3, categorical_features=[2], random_state=0)


def _xgboost() -> Any:
    from include.training.estimators.boosting.xgboost_trees import XGBoostRegressor

    return XGBoostRegressor(n_estimators=2, max_depth=3, categorical_features=[2], max_cat_to_onehot=1, random_state=0)


def _events() -> dict[str, Callable[[], bytes]]:
    bodies_ = {"nothing": {}, "a list": [], "a text": "x", "null": None, "a number": 1}
    every: dict[str, Callable[[], bytes]] = {
        f"{kind} with a body of {name}": lambda kind=kind, body=body: _sealed(kind=kind, body=body)  # type: ignore[misc]
        for kind in ("registered", "decided", "rebuilt", "aliased", "tagged", "withdrawn")
        for name, body in bodies_.items()
    }
    good = _fields()["body"]
    every |= {
        "a kind that is unknown": lambda: _sealed(kind="deleted"),
        "a kind that is a list": lambda: _sealed(kind=["registered"]),
        "a number that is a text": lambda: _sealed(number="0"),
        "a number that is true": lambda: _sealed(number=False),
        "a field more": lambda: _sealed(surprise=1),
        "a field less": lambda: canonical_json({"digest": "0" * 64, "number": 0}),
        "an instant that is none": lambda: _sealed(body=good | {"as_of": "tomorrow"}),
        "an instant that is a number": lambda: _sealed(body=good | {"as_of": 10**12}),
        "an instant of when it was written that is none": lambda: _sealed(at=["now"]),
        "a trigger that is unknown": lambda: _sealed(body=good | {"actor": {"trigger": "root"}}),
        "an actor that is a list": lambda: _sealed(body=good | {"actor": []}),
        "a version that is a list": lambda: _sealed(body=good | {"version": []}),
        "an origin of nothing": lambda: _sealed(body=good | {"origin": {}}),
        "nested too deep": lambda: b"{" + b'"a":{' * _DEEP + b"}" * _DEEP + b"}",
        "no JSON": lambda: b"\x00" * 1000,
        "nothing": lambda: b"",
    }
    return every


def _texts() -> dict[str, dict[str, Callable[[], bytes]]]:
    aliases = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(8)
    )
    return {
        "yaml": {
            "aliases of aliases": lambda: aliases,
            "an anchor in itself": lambda: b"name: &a [*a]\n",
            "nested too deep": lambda: b"[" * _DEEP,
            "mappings nested too deep": lambda: b"a: " + b"{a: " * 10_000,
            "an object of Python": lambda: b"name: !!python/object/apply:os.system ['touch evil']\n",
            "a module of Python": lambda: b"name: !!python/module:antigravity\n",
            "a tag of its own": lambda: b"name: !evil x\n",
            "bytes that are no text": lambda: b"\xff\xfe\x00name",
            "a zero": lambda: b"name: a\x00b\n",
            "a key twice": lambda: _YAML + b"name: other\n",
            "a key that is a list": lambda: b"? [a]\n: b\n",
            "two megabytes": lambda: b"a" * 2**21,
            "a hundred thousand keys": lambda: b"".join(b"k%d: 1\n" % n for n in range(100_000)),
            "a number of 5,000 digits": lambda: _YAML.replace(b"partition: month", b"partition: " + b"9" * 5000),
            "a pattern that never ends": lambda: _YAML.replace(b"name: parcels", b"name: " + b"a" * 50_000 + b"!"),
            "a duration beyond all": lambda: _YAML.replace(b"label_delay: 1d", b"label_delay: 99999999999999d"),
            "a cron that never comes": lambda: _YAML.replace(b'"@monthly"', b'"0 0 30 2 *"'),
            "nothing": lambda: b"",
            "a list": lambda: b"- a\n",
            "two documents": lambda: _YAML + b"---\n" + _YAML,
        },
        "csv": {
            "no line end": lambda: b"x" * 2**20,
            "a quote without an end": lambda: _CSV + b'"' + b"x,\n" * 2**18,
            "a field of 20 MB": lambda: _CSV + b"x" * (20 * 2**20) + b",,,,\n",
            "a million columns": lambda: b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n",
            "a header twice": lambda: b"id,id,at,weight,count,late\n",
            "a zip": lambda: _PACK,
            "zeros": lambda: _CSV + b"\x00" * 1000,
            "another encoding": lambda: _CSV.decode().encode("utf-16"),
            "half a letter": lambda: _CSV + b"\xc3,2026-01-01,1,1,true\n",
            "too few fields": lambda: _CSV + b"a\n",
            "a number beyond all": lambda: _CSV + b"a,2026-01-01T00:00:00Z,1.5," + b"9" * 400 + b",true\n",
            "an instant beyond all": lambda: _CSV + b"a,99999-01-01T00:00:00Z,1.5,1,true\n",
            "a formula where a number is declared": lambda: (
                _CSV + b"a,2026-01-01T00:00:00Z,=cmd|' /C calc'!A0,1,true\n"
            ),
            "nothing": lambda: b"",
        },
        "packed csv": {
            "a bomb": lambda: _gzip(b"id" + b"x" * (300 * 2**20)),
            "a bomb of empty rows": lambda: _gzip(_CSV + b",,,,\n" * (20 * 2**20)),
            "cut short": lambda: _gzip(_CSV * 1000)[:-20],
            "rubbish behind it": lambda: _gzip(_CSV) + b"evil",
            "another format": lambda: _PACK,
        },
        "json lines": {
            "nested too deep": lambda: b"[" * _DEEP + b"\n",
            "no object": lambda: b"[1]\n",
            "a line of 20 MB": lambda: b'{"id": "' + b"x" * (20 * 2**20) + b'"}\n',
            "a key twice": lambda: b'{"id": "a", "id": "b"}\n',
            "a text where a number is declared": lambda: _LINE.replace(b"1.5", b'"1.5; DROP"'),
            "half an object": lambda: _LINE + b'{"id": ',
            "a text that is none": lambda: _LINE.replace(b'"a"', b'"\xff\xfe"'),
            "no JSON": lambda: b"\x00\x01\x02\n",
        },
    }


def _tables() -> dict[str, dict[str, Callable[[], bytes]]]:
    good, wide = SEEDS["parquet"][0], pa.table({"id": pa.array(["x" * 2**20] * 256)})

    def footer(change: Callable[[bytearray], object]) -> bytes:
        body = bytearray(good)
        change(body)
        return bytes(body)

    def set_length(body: bytearray) -> None:
        body[-8:-4] = (0x7FFFFFFF).to_bytes(4, "little")

    def flip(body: bytearray) -> None:
        body[body.find(np.float64(2.5).tobytes())] ^= 0xFF

    foreign: dict[str, Callable[[], bytes]] = {
        "nothing": lambda: b"",
        "only its marks": lambda: b"PAR1PAR1",
        "a footer that claims 2 GB": lambda: footer(set_length),
        "a flipped byte": lambda: footer(flip),
        "cut short": lambda: good[: len(good) // 2],
        "a footer of rubbish": lambda: b"PAR1" + b"\xff" * 5000 + (5000).to_bytes(4, "little") + b"PAR1",
        "a column whose name is no text": lambda: good.replace(b"weight", b"\xa9eight"),
        "other columns": lambda: _parquet(pa.table({"evil": [1]})),
        "a type that nobody declared": lambda: _parquet(ROWS.set_column(3, "count", pa.array([["a"], [], None]))),
        "a text that is none": lambda: _parquet(ROWS.set_column(0, "id", _no_text())),
        "a zip": lambda: _PACK,
    }
    table = SEEDS["arrow body"][0]
    return {
        "parquet": foreign,
        "parquet body": foreign
        | {
            "a bomb": lambda: _parquet(wide, compression="zstd", use_dictionary=False),
            "one long text for every row": lambda: _parquet(
                pa.table({"id": pa.array(["x" * 2**19] * 1000)}), compression="zstd"
            ),
            "one long large text for every row": lambda: _parquet(
                pa.table({"id": pa.array(["x" * 2**19] * 1000, pa.large_string())}), compression="zstd"
            ),
            "one long text in every list": lambda: _parquet(
                pa.table({"id": pa.array([["x" * 2**19]] * 400)}), compression="zstd"
            ),
            "a histogram that is too long": lambda: _histogram(),
            "twenty thousand columns": lambda: _parquet(pa.table(dict.fromkeys(_STRANGE[:20_000], pa.array(["a"])))),
            "a bomb of rows": lambda: _parquet(pa.table({"id": pa.array(["x"] * 2_000_000)})),
        },
        "arrow body": {
            "nothing": lambda: b"",
            "cut short": lambda: table[: len(table) // 2],
            "a length beyond all": lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + table[8:],
            "rubbish": lambda: b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\xff" * 64,
            "packed buffers": lambda: _packed_arrow(),
            "fifty thousand columns": lambda: _arrow(pa.table(dict.fromkeys(_STRANGE[:50_000], pa.array([1])))),
            "a thousand columns of one name": lambda: _arrow(pa.table([pa.array(["a"])] * 1000, ["id"] * 1000)),
            "offsets outside": lambda: table.replace(
                (1).to_bytes(4, "little") + (2).to_bytes(4, "little"), b"\xff" * 8
            ),
        },
        "csv body": {
            "nothing": lambda: b"",
            "too many rows": lambda: _CSV + b"a,,,,\n" * 100_000,
            "zeros": lambda: b"\x00" * 1000,
            "a quote without an end": lambda: _CSV + b'"' + b"x" * 2**20,
            "a hundred thousand columns": lambda: b",".join(b"c%d" % n for n in range(100_000)) + b"\n1\n",
            "other columns": lambda: b"evil\n1\n",
        },
    }


def _histogram() -> bytes:
    """A file of which pyarrow ends the process if it is asked for the facts of a column that says to be required."""
    good = SEEDS["parquet"][0]
    place = good.find(b"\x25\x02\x18\x06weight") + 1
    assert place, "the element of the schema that says `optional`"
    return good[:place] + b"\x00" + good[place + 1 :]


def _no_text() -> pa.Array:
    """Texts of which one is no UTF-8."""
    offsets, bytes_ = pa.array([0, 1, 3, 4], pa.int32()), pa.py_buffer(b"a\xff\xfec")
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets.buffers()[1], bytes_])


def _packed_arrow() -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    zeros = pa.table({"id": pa.array(["x" * 2**20] * 64)})
    with pa.ipc.new_stream(sink, zeros.schema, options=options) as writer:
        writer.write_table(zeros)
    return sink.getvalue()


_STRANGE = [f"weight_{number}" for number in range(100_000)]
"""Names that are none of the schema's, each near to one."""


def _requests() -> dict[str, dict[str, Callable[[], bytes]]]:
    def rows(**changed: Any) -> bytes:
        return json.dumps({"rows": [_ROW | changed]}).encode()

    def tensor(**changed: Any) -> bytes:
        inputs = [{**_OIP["inputs"][0], **changed}, *_OIP["inputs"][1:]]
        return json.dumps({"inputs": inputs}).encode()

    return {
        "json body": {
            "nothing": lambda: b"",
            "nested too deep": lambda: b"[" * _DEEP,
            "a key twice": lambda: b'{"rows": [], "rows": []}',
            "infinity": lambda: rows(weight=float("inf")),
            "a number beyond all": lambda: b'{"rows": [{"count": ' + b"9" * 4000 + b"}]}",
            "a number of a million digits": lambda: b'{"rows": [{"count": ' + b"9" * 10**6 + b"}]}",
            "a truth for a number": lambda: rows(weight=True),
            "an object for a text": lambda: rows(id={"$ne": None}),
            "an unknown column": lambda: rows(__proto__="x"),
            "the target": lambda: rows(target=1),
            "a hundred thousand columns": lambda: rows(**dict.fromkeys(_STRANGE, 1)),
            "a hundred thousand columns in place of its own": lambda: json.dumps(dict.fromkeys(_STRANGE, 1)).encode(),
            "a column that is missing in every row": lambda: json.dumps(
                [dict.fromkeys(_STRANGE[:40], 1)] * 1000
            ).encode(),
            "an instant of the year 9999": lambda: rows(at="9999-12-31T23:59:59Z"),
            "half a letter": lambda: b'{"rows": ["\xc3"]}',
            "half a surrogate": lambda: b'{"rows": [{"id": "\\ud800"}]}',
            "no object": lambda: b"7",
        },
        "tensors": {
            "nothing": lambda: b"",
            "no tensors": lambda: b'{"inputs": []}',
            "tensors that are numbers": lambda: b'{"inputs": [1]}',
            "a shape beyond all": lambda: tensor(shape=[2**62]),
            "a shape below zero": lambda: tensor(shape=[-1]),
            "a shape of truths": lambda: tensor(shape=[True]),
            "a shape of many": lambda: tensor(shape=[1] * 1000),
            "another datatype": lambda: tensor(datatype="FP64"),
            "an unknown tensor": lambda: tensor(name="evil"),
            "a name that is a list": lambda: tensor(name=[]),
            "bytes that are not there": lambda: tensor(data=None, parameters={"binary_data_size": 2**40}),
            "a tensor twice": lambda: json.dumps({"inputs": [_OIP["inputs"][0]] * 2}).encode(),
            "more rows": lambda: tensor(shape=[2], data=["a", "b"]),
            "nested data": lambda: tensor(data=[[["a"]]]),
        },
    }


def _stored() -> dict[str, dict[str, Callable[[], bytes]]]:
    return {
        "checkpoint": {
            "nothing": lambda: b"",
            "no gzip": lambda: b"evil",
            "cut short": lambda: SEEDS["checkpoint"][0][:-8],
            "rubbish behind it": lambda: SEEDS["checkpoint"][0] + b"evil",
            "a bomb": lambda: _gzip(bytes(300 * 2**20)),
            "a bomb of lines": lambda: _gzip(b"\n" * (300 * 2**20)),
            "other entries": lambda: _gzip(_sealed(number=1) + b"\n" + _sealed()),
            "an entry nested too deep": lambda: _gzip(_deep_entry() + b"\n" + _sealed(number=1)),
        },
        "envelope": {
            "nothing": lambda: b"",
            "nested too deep": lambda: b"[" * _DEEP,
            "no signature": lambda: _ENVELOPE.replace(b'"signatures":[', b'"signatures":[],"x":['),
            "no base64": lambda: _ENVELOPE.replace(b'"sig":"', b'"sig":"!!'),
            "an unknown key": lambda: _ENVELOPE,
            "a payload nested too deep": lambda: canonical_json(
                json.loads(_ENVELOPE) | {"payload": base64.b64encode(b"[" * _DEEP).decode()}
            ),
            "a list": lambda: b"[]",
        },
        "pack": {
            "nothing": lambda: b"",
            "an empty zip": lambda: packed({}),
            "a bomb": lambda: packed({**members(_PACK), "store/m/x": bytes(300 * 2**20)}, zipfile.ZIP_DEFLATED),
            "many small bombs": lambda: packed(
                {**members(_PACK), **{f"store/m/{n}": bytes(2**20) for n in range(300)}}, zipfile.ZIP_DEFLATED
            ),
            "damaged bytes of a packed member": _damaged_pack,
            "an encrypted member": lambda: _PACK.replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
            ),
            "a changed event": lambda: packed(
                members(_PACK) | {"store/m/ledger/00000000.json": b'{"digest":"' + b"0" * 64 + b'","x":1}'}
            ),
            "a subject nested too deep": lambda: packed(members(_PACK) | {"subject.json": b"[" * _DEEP}),
            "a subject that is a list": lambda: packed(members(_PACK) | {"subject.json": b"[]"}),
            "only one event, of a registration": lambda: _PACK,
        },
        "card": {
            "another page": lambda: b"<script>planted()</script>",
            "nothing": lambda: b"",
            "20 MB": lambda: b"x" * (20 * 2**20),
        },
    }


def _deep_entry() -> bytes:
    content = b"{" + b'"a":{' * _DEEP + b"}" * _DEEP + b"}"
    return b'{"digest":"%s",' % digest(content).encode() + content[1:]


def _damaged_pack() -> bytes:
    body = bytearray(packed({**members(_PACK), "store/m/x": os.urandom(50) * 100}, zipfile.ZIP_DEFLATED))
    place = body.find(b"store/m/x") + 40
    body[place : place + 20] = b"\xff" * 20
    return bytes(body)


CORPUS: dict[str, dict[str, Callable[[], bytes]]] = {
    "model file": _model_files(),
    "ledger event": _events(),
    **_texts(),
    **_tables(),
    **_requests(),
    **_stored(),
}


# The runner.


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    said: str
    """The class of the error that refused it, ``accepted``, or what ended its process."""
    refused: bool
    seconds: float
    megabytes: float
    did: tuple[str, ...]
    """What it imported, started, connected to or wrote, beside what a parser may."""


_WATCHED = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "ctypes.dlopen")
_MAY_BE_IMPORTED = (
    "include.",
    "sklearn.",
    "skops.",
    "numpy.",
    "pandas.",
    "pyarrow.",
    "scipy.",
    "encodings.",
    "pydantic",
    "yaml",
    "lightgbm",
    "xgboost",
)


def run(parser: str, body: bytes) -> Outcome:
    """Give a parser one input, in a process of its own, and return what became of it."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        with os.fdopen(sender, "w") as answer:
            answer.write(json.dumps(_held(parser, body)))
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as answer:
        said = answer.read()
    _, status, usage = os.wait4(child, 0)
    if not said:
        ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"
        return Outcome(ended, False, usage.ru_utime + usage.ru_stime, 0.0, ())
    told, refused, seconds, megabytes, did = json.loads(said)
    return Outcome(told, refused, seconds, megabytes, tuple(did))


def _held(parser: str, body: bytes) -> tuple[str, bool, float, float, list[str]]:
    """Parse under limits, a little above what is promised, so that what is broken is told and not only ended."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * MEGABYTES * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    did: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event in _WATCHED:
            did.append(event)
        elif event == "import" and not str(arguments[0]).startswith(_MAY_BE_IMPORTED):
            did.append(f"import {arguments[0]}")
        elif event == "open" and _writes(*arguments[:2]):
            did.append(f"wrote {arguments[0]}")

    sys.addaudithook(watch)
    before, began = _resident(), resource.getrusage(resource.RUSAGE_SELF)
    try:
        PARSERS[parser](body)
        said, refused = "accepted", False
    except RatchetError as error:
        said, refused = type(error).__name__, True
    except BaseException as error:  # noqa: BLE001 - what else is raised is what the runner looks for
        said, refused = f"{type(error).__module__}.{type(error).__name__}", False
    watching = False
    ended = resource.getrusage(resource.RUSAGE_SELF)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return said, refused, seconds, max(0.0, ended.ru_maxrss / 1024 - before), did


def _writes(path: object, mode: object) -> bool:
    """Tell whether a file is opened to write, other than a temporary one."""
    if not isinstance(path, str) or not isinstance(mode, str) or not set(mode) & set("wax+"):
        return False
    return not path.startswith(tempfile.gettempdir())


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def warm() -> None:
    """Parse the good inputs once, so that what parsers import by themselves is there."""
    pa.set_cpu_count(1)
    for parser, seeds in SEEDS.items():
        for body in seeds:
            with contextlib.suppress(Exception):
                PARSERS[parser](body)
