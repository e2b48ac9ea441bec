"""Model files: a fitted pipeline as bytes that are the same for the same fit, and that can't run code when read.

The format is skops. Its writer names things by memory address and time; here they are numbered by first appearance, so
that equal fits give equal bytes in every process. Members are stored and never compressed: nothing can inflate.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from include.errors import DataError, ModelFileRefused, TrainingError
from include.training.estimators.clusterers import is_clustering
from include.training.estimators.predictions import (
    class_probabilities,
    positive_probability,
    predicted_clusters,
    predicted_values,
)
from include.training.persistence.array_bounds import check_bounds
from include.training.persistence.trusted_types import is_trusted
from include.training.persistence.type_names import module_path, stored_name

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

SCHEMA_LIMIT = 64 * 2**20
"""Bytes of JSON that are parsed at most; a forest of a thousand trees needs about six million."""

_SCHEMA = "schema.json"
_MEMBER = re.compile(r"[0-9]{1,9}\.npy")
_NO_IDENTITY = frozenset({"JsonNode", "TypeNode", "TupleNode", "DTypeNode", "SliceNode"})


def dump(pipeline: Pipeline) -> bytes:
    """Write a fitted pipeline.

    Raises
    ------
    TrainingError
        When it holds something that `load` would refuse.
    """
    skops = _skops()
    try:
        body = _canonical(skops.dumps(pipeline))
        _inspect(body)
    except (ModelFileRefused, skops.exceptions.UnsupportedTypeException) as refused:
        raise TrainingError(
            "the fitted pipeline can't be kept as a model file",
            found=getattr(refused, "found", None) or refused,
            remedy="leave the estimator's `params` at values whose types `include.training.persistence.trusted_types` lists; of a class by its "
            "path, who runs this deployment can permit the types that it holds: RATCHET_PERMITTED_TYPES",
        ) from refused
    return body


def load(body: bytes, digest: str) -> Pipeline:
    """Read a model file whose bytes have the given sha256.

    Everything is looked at before anything is built: digest, members, sizes, array headers, and every type that the
    file names against the list in `include.training.persistence.trusted_types`, which no file can extend.

    Raises
    ------
    ModelFileRefused
        When any of these is not as `dump` writes it.
    """
    found = hashlib.sha256(body).hexdigest()
    if found != digest:
        raise ModelFileRefused(
            "the model file does not have the digest that it is named by",
            expected=digest,
            found=found,
            remedy="restore the file from a copy; until then another version can be put in force",
        )
    types = _inspect(body)
    from sklearn.pipeline import Pipeline

    try:
        here = _renamed(body, lambda name: module_path(stored_name(name)))
        pipeline = _skops().loads(here, trusted=sorted(map(module_path, types)))
    except Exception as broken:  # a crafted schema can fail in any way; all of them mean the same
        raise ModelFileRefused("the model file can't be put together", found=type(broken).__name__) from broken
    if type(pipeline) is not Pipeline:
        raise ModelFileRefused("the model file holds no pipeline", expected="Pipeline", found=type(pipeline).__name__)
    check_bounds(pipeline)
    return pipeline


def identity(body: bytes) -> str:
    """Return a digest of what a model file holds: that of its bytes as this release would write them."""
    _inspect(body)
    return hashlib.sha256(_renamed(body, stored_name)).hexdigest()


def predict_scores(pipeline: Pipeline, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the probability of the positive class, the predicted value, or the number of the cluster, for each row.

    Of more than two classes the probability of each: an array of shape (n_rows, n_classes), in the order of
    `FitRecord.classes`.

    Raises
    ------
    DataError
        When the frame lacks a column that the pipeline reads.
    """
    columns = list(pipeline.feature_names_in_)
    if missing := [name for name in columns if name not in frame]:
        raise DataError(
            "a model can't predict these rows: it reads a column that they do not have",
            expected=", ".join(columns),
            found=f"no {', '.join(missing)}",
        )
    if is_clustering(pipeline[-1]):
        return predicted_clusters(pipeline, frame)
    if hasattr(pipeline, "predict_proba"):
        return positive_probability(class_probabilities(pipeline, frame))
    return predicted_values(pipeline, frame)


@cache
def _skops() -> Any:
    # On import skops asks every loaded module for the names of numpy's and scipy's functions; Airflow's modules answer
    # each question with a deprecation warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skops.io
        import skops.io.exceptions
    return skops.io


def _renamed(body: bytes, rename: Callable[[str], str]) -> bytes:
    """Return a model file with its types named otherwise; the same bytes if none of them changes."""
    with ZipFile(io.BytesIO(body)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        changed = False
        for node in _nodes(schema):
            changed |= _rename(node, rename)
        if not changed:
            return body
        members = [(name, archive.read(name)) for name in archive.namelist() if name != _SCHEMA]
    return _archive(schema, members)


def _rename(node: dict[str, Any], rename: Callable[[str], str]) -> bool:
    before = _type_of(node)
    after = rename(before)
    if after != before:
        node["__module__"], _, node["__class__"] = after.rpartition(".")
    return after != before


def _type_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _canonical(written: bytes) -> bytes:
    with ZipFile(io.BytesIO(written)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        bodies = {name: _without_padding(archive.read(name)) for name in archive.namelist() if name != _SCHEMA}
    identities: dict[int, int] = {}
    members: dict[bytes, str] = {}
    for node in _nodes(schema):
        _rename(node, stored_name)
        if "file" in node:
            body = bodies[node["file"]]
            suffix = node["file"].rpartition(".")[2]
            node["file"] = members.setdefault(body, f"{len(members)}.{suffix}")
        identity = node.pop("__id__", None)
        # Two equal immutable values may or may not be one object in memory; only shared mutable state means something.
        if identity is not None and node["__loader__"] not in _NO_IDENTITY:
            node["__id__"] = identities.setdefault(identity, len(identities) + 1)
    return _archive(schema, [(name, body) for body, name in members.items()])


def _archive(schema: Any, members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for name, body in [(_SCHEMA, _compact(schema)), *members]:
            entry = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return out.getvalue()


def _without_padding(body: bytes) -> bytes:
    # The nodes of a tree have seven bytes between them that mean nothing and hold whatever was in memory.
    array = np.load(io.BytesIO(body), allow_pickle=False) if body.startswith(b"\x93NUMPY") else None
    if array is None or array.dtype.names is None:
        return body
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _compact(schema: Any) -> bytes:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=True).encode()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict that skops could take for a node, in document order; without recursion, for deep schemas."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            # In a fitted pipeline no attribute or key is called so; a file that uses the name otherwise is refused.
            if "__loader__" in here:
                yield here
            waiting.extend(reversed(here.values()))
        elif isinstance(here, list):
            waiting.extend(reversed(here))


def _inspect(body: bytes) -> set[str]:
    """Return the types that a file names, all of which are permitted."""
    try:
        with ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            _check_members(entries, len(body))
            schema = json.loads(archive.read(_SCHEMA))
            used, types = _check_types(schema)
            names = {entry.filename for entry in entries} - {_SCHEMA}
            if used != names:
                raise _refused("members and schema differ", expected=sorted(used)[:5], found=sorted(names)[:5])
            for name in names:
                _check_array(name, archive.read(name))
            return types
    except (BadZipFile, ValueError, RecursionError, NotImplementedError, EOFError, KeyError) as broken:
        raise _refused(f"it can't be read: {type(broken).__name__}") from broken


def _check_members(entries: list[ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    if strange := [name for name in names if name != _SCHEMA and not _MEMBER.fullmatch(name)]:
        raise _refused("a member has a name that no model file has", expected="schema.json, 0.npy", found=strange[0])
    if len(set(names)) != len(names) or _SCHEMA not in names:
        raise _refused("a member is there twice or the schema is missing")
    if any(entry.compress_type != ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise _refused("a member is compressed or encrypted", expected="members stored as they are")
    if any(entry.file_size != entry.compress_size for entry in entries) or sum(e.file_size for e in entries) > size:
        raise _refused("members claim more bytes than the file has")
    schema = next(entry.file_size for entry in entries if entry.filename == _SCHEMA)
    if schema > SCHEMA_LIMIT:
        raise _refused("the schema is too large", expected=f"at most {SCHEMA_LIMIT} bytes", found=f"{schema} bytes")


def _check_types(schema: Any) -> tuple[set[str], set[str]]:
    """Return the members that a schema names, and the types."""
    from skops.io._protocol import PROTOCOL

    # An older protocol would choose older, laxer readers; the file must not.
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL or "__loader__" not in schema:
        raise _refused("the schema is of another protocol", expected=PROTOCOL)
    used: set[str] = set()
    found: set[str] = set()
    factories: set[int] = set()
    for node in _nodes(schema):
        loader, name = node["__loader__"], stored_name(_type_of(node))
        if not isinstance(loader, str) or not is_trusted(loader, name, factory=id(node) in factories):
            raise _refused(
                "it names a type that is not permitted",
                found=f"{name} ({loader})",
                remedy="model files are written by Ratchet only; find out where this one comes from",
            )
        found.add(name)
        if loader == "DefaultDictNode" and isinstance(node.get("content"), dict):
            factories.add(id(node["content"].get("default_factory")))
        if "file" in node:
            used.add(str(node["file"]))
    return used, found


def _check_array(name: str, body: bytes) -> None:
    from numpy.lib import format as npy

    stream = io.BytesIO(body)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise _refused("an array is written in a way that no model file uses", found=name)
    shape, _, dtype = readers[version](stream)
    count = 1
    for length in shape:
        count *= length
    if dtype.hasobject or stream.tell() + count * dtype.itemsize != len(body):
        raise _refused("an array is not as long as its header says, or holds objects", found=name)


def _refused(message: str, **facts: Any) -> ModelFileRefused:
    return ModelFileRefused(f"the model file is refused: {message}", **facts)
