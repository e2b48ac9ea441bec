"""Sources have the names that OpenLineage's specification gives them, so that they meet what other systems tell of the same ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare

from ratchet_operators.lineage import Lineage, LineageDataset, Removed
from ratchet_operators.source_lineage import source_of

pytest.importorskip("airflow.providers.openlineage", reason="needs requirements-openlineage.txt")

BOUNDED = "WHERE sent_at >= :start AND sent_at < :end"


def named(folder: Path, source: str) -> list[tuple[str, str]]:
    told = source_of(declare(folder, source=source), folder).to_openlineage()
    assert not told.outputs
    return [(one.namespace, one.name) for one in told.inputs]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{kind: delta, path: s3://lake/t}", [("s3://lake", "t")]),
        ("{kind: delta, path: tables/t}", [("file", "{folder}/tables/t")]),
        ("{kind: iceberg, path: orders}", [("file", "{folder}/orders")]),
        ("{kind: iceberg, path: s3://lake/t/metadata/00003-x.metadata.json}", [("s3://lake", "t")]),
        (
            f'{{kind: duckdb, query: "SELECT * FROM t {BOUNDED}", tables: {{t: {{path: rows/*.parquet, format: parquet}}, '
            "u: {path: s3://lake/u, format: parquet}}}",
            [("file", "{folder}/rows"), ("s3://lake", "u")],
        ),
        ("{kind: spark, connection: spark, table: lake.sales.orders}", [("spark://spark.example:15003", "lake.sales.orders")]),
        (
            f'{{kind: spark, connection: spark, query: "SELECT * FROM sales.orders o JOIN delta.`s3://lake/t` t ON o.a = t.a {BOUNDED}"}}',
            [("s3://lake", "t"), ("spark://spark.example:15003", "sales.orders")],
        ),
        ("{kind: python, reader: source:read}", []),
    ],
)  # fmt: skip
def test_a_source_is_named_by_its_place(
    source: str, names: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = {"conn_type": "spark_connect", "host": "spark.example", "port": 15003, "password": "secret-token"}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK", json.dumps(spark))
    folder = tmp_path / "parcels"
    assert sorted(named(folder, source)) == [(space, name.format(folder=folder)) for space, name in names]


def test_a_version_that_is_declared_is_told(tmp_path: Path) -> None:
    model = declare(tmp_path / "parcels", source="{kind: delta, path: s3://lake/t, version: 7}")
    (one,) = source_of(model, tmp_path / "parcels").to_openlineage().inputs
    assert one.facets["version"].datasetVersion == "7"


def test_a_table_in_a_catalog_is_what_lies_at_its_place_with_its_name_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql", reason="needs the extra `lake`")
    schema: Any = pytest.importorskip("pyarrow").schema([("a", "int64")])
    lake = catalogs.SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}")
    lake.create_namespace("sales")
    lake.create_table("sales.orders", schema=schema, location=f"file://{tmp_path}/orders")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/c.db")
    folder, source = tmp_path / "parcels", "{kind: iceberg, catalog: lake, table: sales.orders}"
    assert named(folder, source) == [("file", f"{tmp_path}/orders")]
    (one,) = source_of(declare(folder, source=source), folder).to_openlineage().inputs
    (other,) = one.facets["symlinks"].identifiers
    assert (other.namespace, other.name, other.type) == ("lake", "sales.orders", "TABLE")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/nowhere/c.db")
    assert named(folder, source) == [], "the rest is told, whatever becomes of the catalog"


def test_the_sum_of_two_says_each_data_set_once() -> None:
    one, other = LineageDataset("s3://a/b", {"x": "float"}), LineageDataset("s3://a/c", removed=Removed(2, 30))
    both = Lineage((one,), (other,)) + Lineage((one, other), (other,))
    assert both == Lineage((one, other), (other,))
    (_, removed), _ = both.to_openlineage().inputs, both.to_openlineage().outputs
    assert (removed.facets["ratchet_removed"].objects, removed.facets["ratchet_removed"].bytes) == (2, 30)
