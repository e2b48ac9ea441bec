from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from include.config.settings import ROOT
from include.errors import DataError, ModelFileRefused, TrainingError
from include.training.persistence import model_file
from include.training.persistence.model_file import dump, load, predict_scores
from include.training.preprocessing.float_converter import FloatConverter

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.tile([1.0, 2.0, np.nan], 20)})


def fitted(estimator: Any) -> Pipeline:
    return Pipeline([("numbers", FloatConverter()), ("estimator", estimator)]).fit(FRAME, FRAME.a)


GOOD = dump(fitted(DecisionTreeRegressor(random_state=0)))


def members(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, body in contents.items():
            archive.writestr(name, body)
    return out.getvalue()


def loaded(body: bytes) -> Pipeline:
    return load(body, hashlib.sha256(body).hexdigest())


def with_schema(change: Any) -> bytes:
    contents = members(GOOD)
    schema = json.loads(contents["schema.json"])
    change(schema)
    return packed(contents | {"schema.json": json.dumps(schema).encode()})


def test_a_model_file_reads_back_and_is_written_again_with_the_same_bytes() -> None:
    again = loaded(GOOD)
    assert dump(again) == GOOD
    assert predict_scores(again, FRAME).tolist() == predict_scores(loaded(GOOD), FRAME).tolist()


def test_any_flipped_byte_and_any_wrong_digest_are_refused() -> None:
    digest = hashlib.sha256(GOOD).hexdigest()
    for place in range(0, len(GOOD), len(GOOD) // 50):
        broken = bytearray(GOOD)
        broken[place] ^= 1
        with pytest.raises(ModelFileRefused, match="digest"):
            load(bytes(broken), digest)
    with pytest.raises(ModelFileRefused, match="digest"):
        load(GOOD, "0" * 64)


@pytest.mark.parametrize(
    "object_", [os.system, print, skops.io.dump, {"k": zipfile.ZipFile}], ids=["system", "print", "dump", "type"]
)
def test_a_file_of_skops_with_a_foreign_type_is_refused(object_: Any) -> None:
    with pytest.raises(ModelFileRefused, match="not permitted"):
        loaded(model_file._canonical(skops.io.dumps(object_)))


@pytest.mark.parametrize(
    ("loader", "module", "name"),
    [
        ("FunctionNode", "posix", "system"),
        ("TypeNode", "subprocess", "Popen"),
        ("ConstructorFromReduceNode", "builtins", "eval"),
        ("ConstructorFromReduceNode", "sklearn.pipeline", "Pipeline"),
        ("MethodNode", "sklearn.pipeline", "Pipeline"),
        ("OperatorFuncNode", "operator", "attrgetter"),
        ("ObjectNode", "sklearn.svm._classes", "NuSVC"),
        ("ListNode", "os", "system"),
        (["ObjectNode"], "sklearn.pipeline", "Pipeline"),
    ],
)
def test_a_type_that_is_not_on_the_list_is_refused_wherever_the_schema_hides_it(
    loader: Any, module: str, name: str
) -> None:
    node = {"__loader__": loader, "__module__": module, "__class__": name, "content": {"args": ["touch evil"]}}

    def plant(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["steps"]["content"][0]["content"].append(node)

    with pytest.raises(ModelFileRefused, match="not permitted"):
        loaded(with_schema(plant))


@pytest.mark.parametrize(
    ("loader", "module", "name"),
    [
        ("ListNode", "pathlib", "PurePosixPath"),  # would be called with what the file holds
        ("TupleNode", "pathlib", "PurePosixPath"),
        ("SetNode", "collections", "OrderedDict"),
        ("TypeNode", "pathlib", "PurePosixPath"),  # a key's type is called with the key
        ("TypeNode", "collections", "OrderedDict"),
        ("FunctionNode", "pathlib", "PurePosixPath"),
        ("MethodNode", "pathlib", "PurePosixPath"),
        ("ConstructorFromReduceNode", "pathlib", "PurePosixPath"),
        ("DictNode", "no_such_library", "Thing"),
    ],
)
def test_what_a_deployment_permits_is_built_from_its_state_and_never_called_with_it(
    loader: str, module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    permitted = "pathlib.PurePosixPath, collections.OrderedDict, no_such_library.Thing"
    monkeypatch.setenv("RATCHET_PERMITTED_TYPES", permitted)
    node = {"__loader__": loader, "__module__": module, "__class__": name, "content": []}

    def plant(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["steps"]["content"][0]["content"].append(node)

    with pytest.raises(ModelFileRefused, match="not permitted"):
        loaded(with_schema(plant))


def test_an_older_protocol_with_laxer_readers_is_refused() -> None:
    with pytest.raises(ModelFileRefused, match="protocol"):
        loaded(with_schema(lambda schema: schema.update(protocol=0)))


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/passwd", "evil.txt", "0.npz", "a/0.npy", "99.npy"])
def test_a_member_that_no_model_file_has_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileRefused):
        loaded(packed(members(GOOD) | {name: b"evil"}))
    assert not list(tmp_path.parent.glob("evil*"))


def test_a_compressed_member_is_refused_so_that_a_bomb_never_inflates() -> None:
    bomb = packed({"schema.json": b" " * 300 * 2**20}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**20
    with pytest.raises(ModelFileRefused, match="compressed"):
        loaded(bomb)


def test_a_schema_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ModelFileRefused, match="too large"):
        loaded(packed({"schema.json": b" " * (64 * 2**20 + 1)}))


def test_a_schema_nested_too_deep_is_refused() -> None:
    with pytest.raises(ModelFileRefused):
        loaded(packed({"schema.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000}))


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(1,)"])
def test_an_array_whose_header_promises_another_length_is_refused(shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    contents = members(GOOD)
    contents[next(name for name in contents if name.endswith(".npy"))] = array
    with pytest.raises(ModelFileRefused, match="header"):
        loaded(packed(contents))


def test_a_truncated_or_foreign_file_is_refused() -> None:
    for body in (b"", b"PK", GOOD[:-30], b"\x80\x04\x95", packed({"x.npy": b""}), packed({"schema.json": b"[]"})):
        with pytest.raises(ModelFileRefused):
            loaded(body)


@pytest.mark.parametrize(
    "estimator", [DecisionTreeRegressor(random_state=0), HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=5)]
)
@pytest.mark.parametrize("field", ["left", "feature"])
def test_a_tree_that_leads_outside_its_arrays_is_refused(estimator: Any, field: str) -> None:
    contents = members(dump(fitted(estimator)))
    for name, body in contents.items():
        if name == "schema.json":
            continue
        array = np.load(io.BytesIO(body))
        fields = [one for one in array.dtype.names or () if one.startswith(field)]
        if fields:
            array[fields[0]][0] = 10**6
            out = io.BytesIO()
            np.save(out, array)
            contents[name] = out.getvalue()
    with pytest.raises(ModelFileRefused, match="outside"):
        loaded(packed(contents))


def test_trees_keep_nothing_of_the_file_but_their_numbers() -> None:
    written = fitted(HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5))
    pipeline = loaded(dump(written))
    trees = [tree for trees in pipeline[-1]._predictors for tree in trees]
    assert len({id(tree.nodes.dtype) for tree in trees}) == 1
    for tree in trees:
        for array in (tree.nodes, tree.raw_left_cat_bitsets, tree.binned_left_cat_bitsets):
            assert array.base is None  # a view would keep the array that was read, with its own description
    assert pipeline.predict(FRAME).tolist() == written.predict(FRAME).tolist()
    assert dump(pipeline) == dump(written)


def test_what_load_would_refuse_is_not_written() -> None:
    class Foreign(DecisionTreeRegressor):
        pass

    with pytest.raises(TrainingError, match="model file"):
        dump(fitted(Foreign()))


def test_rows_without_a_column_that_the_model_reads_can_not_be_predicted() -> None:
    with pytest.raises(DataError, match="column"):
        predict_scores(loaded(GOOD), FRAME[["a"]])


def test_skops_stays_quiet_when_airflow_is_loaded() -> None:
    code = (
        "import airflow.models.dag, airflow.utils, io; from contextlib import redirect_stderr, redirect_stdout;"
        "import sys; sys.stderr.flush(); print('---', flush=True);"
        "from include.training.persistence.model_file import _skops; _skops()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "deprecated" not in run.stdout.partition("---")[2]
    assert "skops" not in run.stderr
