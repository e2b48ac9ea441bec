"""A model is drafted from a table of a lake, which is not a folder of files, and its runs read there what was drafted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from include.config.load import load_model
from include.data.sources.registry import read
from include.drafting.draft import draft
from include.errors import ConfigError, SourceError
from tests.include.drafting.test_real_files import NOW, TABLE

MONTHS = [f"2025-{month:02d}" for month in range(1, 7)]


def arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)


def write(kind: str, place: Path, rows: pd.DataFrame, removed: pd.DataFrame) -> None:
    """Write rows that are removed again, and then those of the table."""
    if kind == "delta":
        deltalake = pytest.importorskip("deltalake")
        deltalake.write_deltalake(str(place), arrow(removed))
        deltalake.write_deltalake(str(place), arrow(rows), mode="overwrite")
        return
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    place.parent.mkdir(parents=True, exist_ok=True)
    catalog = catalogs.SqlCatalog(
        "lake", uri=f"sqlite:///{place.parent}/catalog.db", warehouse=f"file://{place.parent}"
    )
    catalog.create_namespace("sales")
    table = catalog.create_table("sales.orders", schema=arrow(rows).schema, location=str(place))
    table.append(arrow(removed))
    table.overwrite(arrow(rows))


@pytest.fixture(params=["delta", "iceberg"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("kept", ["timestamp", "text"])
def test_a_table_is_drafted_by_its_newest_version_and_read_by_its_runs(
    tmp_path: Path, kind: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = pd.to_datetime(TABLE["day"])
    rows = TABLE.assign(
        day=times.astype("datetime64[us]") if kept == "timestamp" else times.map(lambda at: at.isoformat())
    )
    write(kind, tmp_path / "lake" / "orders", rows, rows.assign(id=rows["id"] + "x"))
    monkeypatch.setenv("RATCHET_SOURCE_FOLDERS", str(tmp_path / "lake"))
    made = draft(tmp_path / "models", "orders", tmp_path / "lake" / "orders", "late", "day", now=NOW)
    assert (made.rows, made.numeric, made.categorical) == (600, ("x", "y"), ("city",))
    source = load_model(made.path).data.source
    assert (source.kind, source.places) == (kind, (str(tmp_path / "lake" / "orders"),))
    assert source.declared_types == ({} if kept == "timestamp" else {"day": "timestamp"})
    assert sorted(entry.name for entry in made.path.parent.iterdir()) == ["model.yaml"], "the rows stay where they are"
    data = load_model(made.path).data
    tables = read(data, made.path.parent, slots=MONTHS, recorded={}, connections=None)  # type: ignore[arg-type]
    assert pa.concat_tables(list(tables)).num_rows == 600


def test_a_table_elsewhere_is_refused_with_the_way_in_and_times_of_a_format_too(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TABLE.assign(day=pd.to_datetime(TABLE["day"]).dt.strftime("%d.%m.%Y"))
    write(kind, tmp_path / "lake" / "orders", rows, rows)
    with pytest.raises(SourceError, match="RATCHET_SOURCE_FOLDERS="):
        draft(tmp_path / "models", "orders", tmp_path / "lake" / "orders", "late", "day", now=NOW)
    monkeypatch.setenv("RATCHET_SOURCE_FOLDERS", str(tmp_path / "lake"))
    with pytest.raises(ConfigError, match=r"(?s)no time in the table.*ISO 8601"):
        draft(tmp_path / "models", "orders", tmp_path / "lake" / "orders", "late", "day", now=NOW, day_first=True)
    assert not (tmp_path / "models" / "orders").exists()


def test_a_table_in_s3_is_drafted_and_stays_there(
    tmp_path: Path, kind: str, s3_client: Any, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"lake-{kind}-drafted"
    s3_client.create_bucket(Bucket=bucket)
    rows = TABLE.assign(day=pd.to_datetime(TABLE["day"]).astype("datetime64[us]"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    if kind == "delta":
        write(kind, tmp_path / "orders", rows, rows)
        for file in (tmp_path / "orders").rglob("*"):
            if file.is_file():
                s3_client.upload_file(str(file), bucket, f"orders/{file.relative_to(tmp_path / 'orders')}")
    else:
        catalogs = pytest.importorskip("pyiceberg.catalog.sql")
        access = {
            "s3.endpoint": s3_server,
            "s3.access-key-id": "testing",
            "s3.secret-access-key": "testing",
            "s3.region": "us-east-1",
        }
        catalog = catalogs.SqlCatalog(
            "lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}", **access
        )
        catalog.create_namespace("sales")
        catalog.create_table("sales.orders", schema=arrow(rows).schema, location=f"s3://{bucket}/orders").append(
            arrow(rows)
        )
    made = draft(tmp_path / "models", "orders", f"s3://{bucket}/orders/", "late", "day", now=NOW, connection="lake")
    source = load_model(made.path).data.source
    assert (made.rows, source.kind, source.places, source.connection) == (600, kind, (f"s3://{bucket}/orders",), "lake")
