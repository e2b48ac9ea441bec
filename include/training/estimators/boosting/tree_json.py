"""Trees as JSON in one spelling, and the checks of what is read from it.

Two parsers of one text can disagree: which of two equal names counts, what a number of odd spelling is. So stored bytes must be
exactly what Python writes for what it has read; then a name is there once, and nothing is left to interpret.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from include.training.estimators.boosting.boosted_trees import Array, refused

JSON_LIMIT = 64 * 2**20
"""Bytes of JSON that are parsed at most; a thousand trees of 64 leaves need about 15 million."""


def write_json(model: Any) -> bytes:
    """Return the canonical JSON of a value."""
    return json.dumps(model, separators=(",", ":"), allow_nan=False).encode()


def read_json(native: bytes) -> Any:
    """Return the value; raises `ModelFileRefused` when it is too large or not written as `write_json` writes it."""
    if len(native) > JSON_LIMIT:
        raise refused("its trees are too large", expected=f"at most {JSON_LIMIT} bytes", found=len(native))
    model = json.loads(native)
    if write_json(model) != native:
        raise refused("its trees are not written as a fit writes them")
    return model


def require_only(value: Any, *names: str) -> None:
    """Raise `ModelFileRefused` unless a value is a dict of exactly these names."""
    if type(value) is not dict or set(value) != set(names):
        raise refused("its trees are of another model")


def whole_numbers(values: Any, length: int | None = None) -> Array:
    """Return a list of integers, of a given length if there is one; raises `ModelFileRefused` for anything else."""
    if type(values) is not list or not set(map(type, values)) <= {int} or len(values) != (length or len(values)):
        raise refused("a tree has another number of nodes")
    return np.array(values, dtype=np.int64)


def are_floats(values: Any, length: int) -> bool:
    """Return whether a value is a list of finite numbers of a given length."""
    return (
        type(values) is list
        and len(values) == length
        and set(map(type, values)) <= {float, int}
        and all(map(math.isfinite, values))
    )
