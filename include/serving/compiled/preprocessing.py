"""Preprocessing compiled for one row: from a dict of raw values to the estimator's input array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from include.scoring.predictor import Array
from include.serving.compiled.not_compiled import NotCompiled
from include.serving.protocol.row_schema import Row
from include.training.preprocessing.category_encoder import UNKNOWN_CODE, CategoryEncoder
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper
from include.training.preprocessing.signed_log import SignedLog

Vector = Callable[[Array], Array]


def number_of(value: Any) -> float:
    """Return a value as a float, NaN for a missing or infinite one."""
    if value is None:
        return math.nan
    number = float(value)
    return math.nan if math.isinf(number) else number


def text_of(value: Any) -> str | None:
    """Return a value as `CategoryEncoder` names its level, None for a missing one."""
    if type(value) is str:
        return value
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def preparation(transformer: Any) -> Callable[[Row], Array]:
    """Compile the transformer of a model's columns."""
    parts: list[tuple[slice, Callable[[Row], Array]]] = []
    width = 0
    for name, fitted, columns in transformer.transformers_:
        where = transformer.output_indices_[name]
        if where.stop == where.start:
            continue
        width = max(width, where.stop)
        steps = [step for _, step in fitted.steps] if hasattr(fitted, "steps") else [fitted]
        parts.append((where, _group(steps, list(columns))))

    def prepare(row: Row) -> Array:
        x = np.empty(width)
        for where, part in parts:
            x[where] = part(row)
        return x

    return prepare


def _group(steps: list[Any], columns: list[str]) -> Callable[[Row], Array]:
    first, *rest = steps
    if isinstance(first, FloatConverter):
        start: Callable[[Row], Array] = lambda row: np.array([number_of(row[name]) for name in columns])  # noqa: E731
    elif isinstance(first, CategoryEncoder):
        start = _encoder(first, columns)
    else:
        raise NotCompiled(f"`{type(first).__name__}` has no form for one row.")
    others = [array_step(step) for step in rest]

    def group(row: Row) -> Array:
        x = start(row)
        for step in others:
            x = step(x)
        return x

    return group


def _encoder(encoder: CategoryEncoder, columns: list[str]) -> Callable[[Row], Array]:
    tables = [
        ({str(level): int(code) for level, code in zip(levels, codes, strict=True)}, int(missing))
        for levels, codes, missing in zip(encoder.levels_, encoder.codes_, encoder.missing_, strict=True)
    ]
    named = list(zip(columns, tables, strict=True))

    def codes_of(row: Row) -> list[int]:
        found = []
        for name, (table, missing) in named:
            text = text_of(row[name])
            found.append(missing if text is None else table.get(text, UNKNOWN_CODE))
        return found

    if encoder.encode != "one_hot":
        unknown = math.nan if encoder.encode == "native" else -1.0
        return lambda row: np.array([unknown if code == UNKNOWN_CODE else float(code) for code in codes_of(row)])
    widths = [len(names) for names in encoder.names_]
    offsets = [sum(widths[:place]) for place in range(len(widths))]

    def one_hot(row: Row) -> Array:
        x = np.zeros(sum(widths))
        for offset, code in zip(offsets, codes_of(row), strict=True):
            if code != UNKNOWN_CODE:
                x[offset + code] = 1.0
        return x

    return one_hot


def array_step(step: Any) -> Vector:
    """Compile a transformer of arrays; one without a compiled form is called unchanged, which is correct but slower."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import RobustScaler, StandardScaler

    match step:
        case OutlierClipper(action="clip"):
            low, high = step.lower_, step.upper_
            return lambda x: np.minimum(np.maximum(x, low), high)
        case SimpleImputer(add_indicator=False):
            fill = np.nan_to_num(step.statistics_.astype(float))
            return lambda x: np.where(np.isnan(x), fill, x)
        case SignedLog():
            return lambda x: np.sign(x) * np.log1p(np.abs(x))
        case StandardScaler(mean_=np.ndarray(), scale_=np.ndarray()):
            center, scale = step.mean_, step.scale_
        case RobustScaler(center_=np.ndarray(), scale_=np.ndarray()):
            center, scale = step.center_, step.scale_
        case _:
            return lambda x: np.asarray(_dense(step.transform(x.reshape(1, -1))), dtype=float)[0]
    return lambda x: (x - center) / scale


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix
