"""What is learned of columns in partitions is what is learned of all rows in memory, to 1e-9."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.data.frames import read_rows
from include.leakage.preparation import _NEAR, _differences
from include.storage.content import get_content
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_estimator import learn_preparation
from include.training.input_domain import InputDomain, fit_input_domain
from include.training.out_of_core.parted_rows import open_parted_rows
from include.training.out_of_core.statistics import ColumnValues, moments, quantiles
from include.training.persistence.model_file import load
from include.training.preprocessing.float_converter import FloatConverter
from include.training.training_rows import read_training_rows
from tests.include.training.out_of_core.conftest import FEATURES, Shelf, shelve, wide_parcels


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelve(tmp_path_factory.mktemp("wide"), wide_parcels(), features=FEATURES)


def dense(prepare: Any, frame: pd.DataFrame) -> Any:
    matrix = prepare.transform(frame[list(prepare.feature_names_in_)])
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix


@pytest.mark.parametrize("name", ["simple", "lightgbm"])
def test_the_fitted_preparation_is_that_of_all_rows_in_memory(name: str, shelf: Shelf, address: str) -> None:
    recipe = recipe_of(shelf.model, name)
    alone, _, rows = learn_preparation(recipe, read_training_rows(*shelf.given, recipe))
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        assert len(parted.parts) == 8
        together, _, _ = learn_preparation(recipe, parted)
        prepared = parted.answers(partial(dense, together[0][1]))
    assert list(_differences(together[0][1], alone[0][1], (), _NEAR)) == []
    np.testing.assert_allclose(prepared, dense(alone[0][1], rows.frame), rtol=1e-9, atol=1e-9)
    assert len(rows) == len(parted)


def test_the_narrow_rows_are_those_of_the_recipe(shelf: Shelf, address: str) -> None:
    recipe = recipe_of(shelf.model, "simple")
    alone = read_training_rows(*shelf.given, recipe)
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        assert set(parted.frame) == {"sent_at", "parcel", "late"}
        np.testing.assert_array_equal(parted.target, alone.target)
        some = np.arange(3, len(parted), 7)
        fetched = parted.at(some).fetched().frame
    for column in alone.frame:
        assert fetched[column].astype(object).where(fetched[column].notna(), None).tolist() == (
            alone.frame[column].iloc[some].astype(object).where(alone.frame[column].iloc[some].notna(), None).tolist()
        )


def test_order_statistics_are_exact(shelf: Shelf, address: str) -> None:
    recipe = recipe_of(shelf.model, "simple")
    columns = ["price", "weight", "steps", "count", "empty", "distance"]
    values, shares = ColumnValues(columns, (FloatConverter(),)), [0.0, 0.01, 0.25, 0.5, 0.75, 0.999, 1.0]
    matrix = FloatConverter().transform(read_training_rows(*shelf.given, recipe).frame[columns])
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        found = moments(parted, values)
        cut = quantiles(parted, values, found.known, shares)
    some = [place for place, name in enumerate(columns) if name != "empty"]
    np.testing.assert_allclose(cut[:, some], np.nanquantile(matrix[:, some], shares, axis=0), rtol=1e-15)
    assert np.isnan(cut[:, columns.index("empty")]).all()
    np.testing.assert_allclose(found.mean[some], np.nanmean(matrix[:, some], axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance[some], np.nanvar(matrix[:, some], axis=0), rtol=1e-12)


def test_the_record_names_the_engine_the_rows_and_the_domain(shelf: Shelf, address: str) -> None:
    record = fit_candidate(*shelf.given, "logistic_regression", cluster=address)
    recipe = recipe_of(shelf.model, "logistic_regression")
    rows = read_training_rows(*shelf.given, recipe)
    assert record.engine == "dask"
    assert record.to_json()["engine"] == "dask"
    assert record.train.rows == len(rows)
    assert record.cv is not None
    domain = get_content(shelf.store, "parcels/domains", ".json", str(record.domain))
    known, alone = InputDomain.from_json(json.loads(domain)), fit_input_domain(recipe.features, rows.frame)
    assert known.categorical == alone.categorical
    assert known.numeric == alone.numeric
    body = get_content(shelf.store, "parcels/models", ".skops", record.model_file)
    pipeline = load(body, hashlib.sha256(body).hexdigest())
    assert pipeline.predict_proba(rows.frame[list(record.columns)]).shape == (len(rows), 2)


def test_workers_without_the_models_folder_take_its_code_from_the_store(
    shelf: Shelf, address: str, tmp_path: Path
) -> None:
    recipe = recipe_of(shelf.model, "simple")
    with open_parted_rows(*shelf.given, recipe, address) as parted:
        source = replace(parted.workers.sent.result(), folder=tmp_path / "nowhere")
        frame = source.read(parted.parts[0], ["evening"])
    expected = read_rows(
        *shelf.given[:1], shelf.snapshot, shelf.model, shelf.folder, window="train", columns=["evening"]
    )
    assert frame["evening"].tolist() == expected["evening"].iloc[: len(frame)].tolist()
