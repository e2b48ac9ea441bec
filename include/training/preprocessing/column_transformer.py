"""The column transformer that a model's `features` declare: the first half of its pipeline."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    PolynomialFeatures,
    TargetEncoder,
)

from include.config.sections.features import STEPS, Categorical, Dates, Features, Group, Numeric, Text
from include.training.preprocessing.category_encoder import CategoryEncoder
from include.training.preprocessing.category_interactions import CategoryInteraction
from include.training.preprocessing.column_filters import MissingColumnFilter
from include.training.preprocessing.datetime_features import DatetimeFeatures
from include.training.preprocessing.float_converter import FloatConverter
from include.training.preprocessing.outliers import OutlierClipper
from include.training.preprocessing.text_column import TextColumn

_STRATEGIES = {"mean": "mean", "median": "median", "mode": "most_frequent", "constant": "constant"}


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


_STEPS: dict[str, Any] = {word: _class(facts.path) for word, facts in STEPS.items()}
STORED_STEPS = frozenset(
    f"{_STEPS[word].__module__}.{_STEPS[word].__qualname__}" for word, facts in STEPS.items() if not facts.stored
)
"""The classes of scikit-learn that a declared `scale` or `skew` puts into model files: the loader trusts them."""
NATIVE_LEVELS = 255
"""How many levels histogram gradient boosting can tell apart in one column (its `max_bins`)."""
_NATIVE = "native"

Step = tuple[str, Any]


def build_column_transformer(
    features: Features, *, missing: bool, native: bool, sparse: bool, target: str = "binary", seed: int = 0
) -> ColumnTransformer:
    """Build the transformer of a model's columns, not yet fitted: one small pipeline for each group.

    Parameters
    ----------
    features : Features
        What the model declares.
    missing : bool
        Whether the estimator takes missing numbers. One that does not gets the median where `impute: none` is declared.
    native : bool
        Whether the estimator takes levels as numbers. One that does not gets `one_hot` where `native` is declared.
    sparse : bool
        Whether the estimator takes sparse matrices.
    target : {"binary", "multiclass", "continuous"}
        What target encoding takes the mean of.
    seed : int
        Of target encoding, which divides rows at random.
    """
    # Levels come first, as they always did: the order is part of a model file's bytes.
    groups: list[Group] = [*features.categorical, *features.numeric, *features.dates]
    built: list[tuple[str, Any, list[str]]] = []
    for group in groups:
        match group:
            case Categorical():
                steps = list(_levels(group, native, sparse, target, seed))
            case Numeric():
                steps = list(_numbers(group, missing))
            case Dates():
                steps = list(_dates(group, missing))
        kind = _NATIVE if native and getattr(group, "encode", "") == "native" else type(group).__name__.lower()
        transformer = steps[0][1] if len(steps) == 1 else Pipeline(steps)
        built.append((_free(kind, built), transformer, list(group.columns)))
    for text in features.text:
        for column in text.columns:
            built.append(
                (_free("text", built), Pipeline([("texts", TextColumn()), ("weights", _words(text))]), [column])
            )
    return ColumnTransformer(built, sparse_threshold=1.0 if sparse else 0.0)


def native_positions(prepared: ColumnTransformer) -> list[int]:
    """Return where a fitted preparation puts the columns that a native estimator treats as levels."""
    places = {name: where for name, where in prepared.output_indices_.items() if name.rstrip("_0123456789") == _NATIVE}
    return [position for where in places.values() for position in range(where.start, where.stop)]


def numeric_position(prepared: ColumnTransformer, column: str) -> int:
    """Return where a fitted preparation puts a numeric column; raises `LookupError` if it becomes none or several."""
    for name, _, columns in prepared.transformers_:
        where = prepared.output_indices_[name]
        if name.startswith("numeric") and column in columns and where.stop - where.start == len(columns):
            return int(where.start) + list(columns).index(column)
    raise LookupError(column)


def _free(kind: str, taken: list[tuple[str, Any, list[str]]]) -> str:
    names = {name for name, *_ in taken}
    return next(n for n in itertools.chain([kind], (f"{kind}_{i}" for i in itertools.count(2))) if n not in names)


def _levels(group: Categorical, native: bool, sparse: bool, target: str, seed: int) -> Iterator[Step]:
    if group.max_missing is not None:
        yield "filled", MissingColumnFilter(group.max_missing)
    if group.cross:
        yield "cross", CategoryInteraction()
    encode: str = "one_hot" if group.encode == "native" and not native else group.encode
    if encode == "target":
        encode = "ordinal_or_gap" if group.impute == "none" else "ordinal"
    yield (
        "levels",
        CategoryEncoder(
            encode=encode,
            impute="none" if group.impute == "drop_row" else group.impute,
            min_frequency=group.min_frequency,
            max_levels=NATIVE_LEVELS if encode == "native" else None,
            sparse=sparse,
        ),
    )
    if group.encode == "target":
        yield "target", TargetEncoder(target_type=target, random_state=seed)


def _numbers(group: Numeric, missing: bool) -> Iterator[Step]:
    yield "numbers", FloatConverter()
    if group.max_missing is not None:
        yield "filled", MissingColumnFilter(group.max_missing)
    if group.outliers is not None and group.outliers.action != "drop_row":
        yield "outliers", OutlierClipper(**group.outliers.model_dump())
    open_to_gaps = missing and group.degree == 1
    impute = "median" if group.impute == "drop_row" or (group.impute == "none" and not open_to_gaps) else group.impute
    if impute != "none":
        yield "impute", _imputer(impute, fill_value=group.fill_value, indicator=group.indicator)
    if group.skew != "none":
        yield "skew", _STEPS[group.skew]()
    if group.scale != "none":
        yield "scale", _STEPS[group.scale]()
    if group.degree > 1:
        yield "products", PolynomialFeatures(group.degree, interaction_only=group.products_only, include_bias=False)


def _dates(group: Dates, missing: bool) -> Iterator[Step]:
    yield "parts", DatetimeFeatures(group.parts, group.cyclic, group.timezone)
    if not missing:
        yield "impute", _imputer("median")
    if group.scale != "none":
        yield "scale", _STEPS[group.scale]()


def _imputer(impute: str, *, fill_value: float = 0.0, indicator: bool = False) -> SimpleImputer:
    # keep_empty_features: a column without any value becomes a constant instead of shifting its neighbours.
    fill = fill_value if impute == "constant" else None
    return SimpleImputer(
        strategy=_STRATEGIES[impute], fill_value=fill, add_indicator=indicator, keep_empty_features=True
    )


def _words(group: Text) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb" if group.unit == "character" else "word",
        ngram_range=(1, group.ngrams),
        max_features=group.max_features,
        min_df=group.min_rows,
    )
