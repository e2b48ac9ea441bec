"""Model files: a fitted pipeline as bytes that are the same for the same fit, and that can't run code when read.

The format is skops. Its writer names things by memory address and time; here they are numbered by first appearance, so
that equal fits give equal bytes in every process. Members are stored and never compressed: nothing can inflate.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

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
from include.training.persistence.file_inspection import SCHEMA, inspect, nodes_of, type_of
from include.training.persistence.type_names import module_path, stored_name

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


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
        inspect(body)
    except (ModelFileRefused, skops.exceptions.UnsupportedTypeException) as refused:
        raise TrainingError(
            "the fitted pipeline can't be stored as a model file",
            found=getattr(refused, "found", None) or refused,
            remedy="leave the estimator's `params` at values whose types `include.training.persistence.trusted_types` lists; of a class by its "
            "path, who runs this deployment can permit the types that it holds: RATCHET_PERMITTED_TYPES",
        ) from refused
    return body


def load(body: bytes, digest: str) -> Pipeline:
    """Read a model file whose bytes have the given sha256.

    Everything is checked before anything is built: digest, members, sizes, array headers, and every type that the
    file names against the list in `include.training.persistence.trusted_types`, which no file can extend.

    Raises
    ------
    ModelFileRefused
        When any of these is not as `dump` writes it.
    """
    found = hashlib.sha256(body).hexdigest()
    if found != digest:
        raise ModelFileRefused(
            "the model file does not match its digest",
            expected=digest,
            found=found,
            remedy="restore the file from a copy; until then another version can be put in force",
        )
    types = inspect(body)
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
    inspect(body)
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
        schema = json.loads(archive.read(SCHEMA))
        changed = False
        for node in nodes_of(schema):
            changed |= _rename(node, rename)
        if not changed:
            return body
        members = [(name, archive.read(name)) for name in archive.namelist() if name != SCHEMA]
    return _archive(schema, members)


def _rename(node: dict[str, Any], rename: Callable[[str], str]) -> bool:
    before = type_of(node)
    after = rename(before)
    if after != before:
        node["__module__"], _, node["__class__"] = after.rpartition(".")
    return after != before


def _canonical(written: bytes) -> bytes:
    with ZipFile(io.BytesIO(written)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        bodies = {name: _without_padding(archive.read(name)) for name in archive.namelist() if name != SCHEMA}
    identities: dict[int, int] = {}
    members: dict[bytes, str] = {}
    for node in nodes_of(schema):
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
        for name, body in [(SCHEMA, _compact(schema)), *members]:
            entry = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return out.getvalue()


def _without_padding(body: bytes) -> bytes:
    # The nodes of a tree have seven bytes between them that mean nothing and hold what was in memory before.
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
