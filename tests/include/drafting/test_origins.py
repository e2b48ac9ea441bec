"""A model is drafted from a table of a real PostgreSQL, and from files in S3, and its runs read there what was drafted."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from include.config.load import load_model
from include.data.sources.registry import read
from include.drafting.draft import draft
from include.errors import ConfigError, RatchetError, SourceError
from tests.include.drafting.test_real_files import CSV, NOW, TABLE
from tests.postgres_server import postgres_server

MONTHS = [f"2025-{month:02d}" for month in range(1, 7)]


@pytest.fixture(scope="module")
def shop() -> Iterator[sa.Engine]:
    with postgres_server() as engine:
        rows = TABLE.assign(day=pd.to_datetime(TABLE["day"]), paid=[f"{n}.50" for n in range(len(TABLE))])
        types = {"paid": sa.Numeric(12, 2), "day": sa.DateTime()}
        rows.to_sql("Late orders", engine, index=False, dtype=types)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE SCHEMA mart"))
            connection.execute(
                sa.text(
                    'CREATE VIEW mart.orders AS SELECT *, gen_random_uuid() AS token, day::text AS said FROM "Late orders"'
                )
            )
        yield engine


def url_of(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


class Opened:
    def __init__(self, engine: sa.Engine | None = None, client: Any = None) -> None:
        self.engine, self.client = engine, client

    def sql(self, connection: str) -> Any:
        return self.engine

    def s3(self, connection: str | None) -> Any:
        return self.client


def test_a_table_is_drafted_and_read_by_its_runs_between_the_bounds(tmp_path: Path, shop: sa.Engine) -> None:
    made = draft(tmp_path, "orders", "Late orders", "late", "day", now=NOW, connection=url_of(shop))
    model = load_model(made.path)
    assert (made.rows, made.numeric, made.categorical) == (600, ("x", "y", "paid"), ("city",))
    assert sorted(entry.name for entry in made.path.parent.iterdir()) == ["model.yaml"], "the rows stay where they are"
    tables = read(model.data, made.path.parent, slots=MONTHS[1:2], recorded={}, connections=Opened(shop))
    rows = pa.concat_tables(list(tables)).to_pandas()
    assert len(rows) == pd.to_datetime(TABLE["day"]).dt.month.eq(2).sum()
    assert rows["paid"].dtype == float


def test_a_view_of_a_schema_is_drafted_by_the_id_that_airflow_s_environment_holds(
    tmp_path: Path, shop: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", url_of(shop))
    made = draft(tmp_path, "orders", "mart.orders", "late", "day", now=NOW, connection="shop")
    source = load_model(made.path).data.source
    assert (source.kind, source.connection, source.types["token"]) == ("sql", "shop", "string")
    assert "FROM mart.orders WHERE day >= :start AND day < :end" in source.query


@pytest.mark.parametrize(
    ("table", "connection", "event_time", "message"),
    [
        ("Late order", None, "day", r"(?s)no table `Late order`.*did you mean `Late orders`"),
        ("mart.orders", None, "said", r"(?s)no time in the database.*a view that casts it"),
        ("mart.orders", "nowhere", "day", r"(?s)can't be opened.*AIRFLOW_CONN_NOWHERE"),
        ("mart.orders", "postgresql://tester:hush@127.0.0.1:1/x", "day", "did not answer"),
    ],
)
def test_what_can_not_be_drafted_is_said_without_a_password(
    tmp_path: Path, shop: sa.Engine, table: str, connection: str | None, event_time: str, message: str
) -> None:
    with pytest.raises(RatchetError, match=message) as caught:
        draft(tmp_path, "orders", table, "late", event_time, now=NOW, connection=connection or url_of(shop))
    assert "hush" not in str(caught.value)
    assert not (tmp_path / "orders").exists()


def test_times_without_an_end_are_refused_with_a_remedy_that_works(tmp_path: Path, shop: sa.Engine) -> None:
    with shop.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE ends AS SELECT id, x, late, CASE WHEN x > 0 THEN 'infinity'::timestamp END AS until FROM \"Late orders\""
            )
        )
    with pytest.raises(SourceError, match=r"(?s)without an end.*NULLIF"):
        draft(tmp_path, "ends", "ends", "late", now=NOW, connection=url_of(shop))
    with shop.begin() as connection:
        fixed = "NULLIF(NULLIF(until, 'infinity'), '-infinity')"
        connection.execute(sa.text(f"CREATE VIEW ended AS SELECT id, x, late, {fixed} AS until FROM ends"))
    assert draft(tmp_path, "ended", "ended", "late", now=NOW, connection=url_of(shop)).rows == 600


def test_files_in_s3_are_drafted_and_stay_there(
    tmp_path: Path, s3_client: Any, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"lake-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    header, *lines = CSV.splitlines(keepends=True)
    s3_client.put_object(
        Bucket=bucket, Key="sales/1.csv.gz", Body=gzip.compress("".join([header, *lines[:300]]).encode())
    )
    s3_client.put_object(
        Bucket=bucket, Key="sales/2.csv.gz", Body=gzip.compress("".join([header, *lines[300:]]).encode())
    )
    s3_client.put_object(Bucket=bucket, Key="sales/_SUCCESS", Body=b"")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    made = draft(tmp_path, "sales", f"s3://{bucket}/sales/", "late", "day", now=NOW, connection="lake")
    model = load_model(made.path)
    assert (made.rows, model.data.source.path, model.data.source.connection) == (600, f"s3://{bucket}/sales/", "lake")
    tables = list(read(model.data, tmp_path, slots=MONTHS, recorded={}, connections=Opened(client=s3_client)))
    assert pa.concat_tables(tables).num_rows == 600
    with pytest.raises(RatchetError, match="nothing|no file|No file"):
        draft(tmp_path, "none", f"s3://{bucket}/nothing/", "late", now=datetime.now(UTC))
    with pytest.raises(ConfigError, match="no column `latte`"):
        draft(tmp_path, "none", f"s3://{bucket}/sales/", "latte", now=NOW)
