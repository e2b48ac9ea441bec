"""Values of database drivers: kept as text, as numbers, or refused with a way out that works."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
import sqlalchemy as sa

from include.data.columns.conversion import convert
from include.data.columns.driver_values import column_of
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.errors import SourceError
from tests.postgres_server import postgres_server

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
ONE = UUID("00000000-0000-0000-0000-00000000002a")


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([ONE, None], [str(ONE), None]),
        ([time(10, 0, 1), None], ["10:00:01", None]),
        ([{"b": 1, "a": [Decimal("2.5"), "é"]}, 3, None], ['{"a":["2.5","é"],"b":1}', "3", None]),
        ([Decimal("NaN"), Decimal("1.50"), None], [None, Decimal("1.50"), None]),
        ([Decimal("1" * 60 + ".5"), Decimal("2")], [float("1" * 60 + ".5"), 2.0]),
    ],
)
def test_what_has_no_word_becomes_text_and_a_decimal_that_is_no_number_is_missing(values: Any, kept: Any) -> None:
    assert column_of("x", values, "here").to_pylist() == kept


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([Decimal("1"), Decimal("Infinity")], r"holds infinite numbers(.|\n)*NULLIF\(NULLIF\(x, 'Infinity'\)"),
        ([1, "many"], r"mixes types(.|\n)*int, str(.|\n)*CAST\(x AS text\)"),
        ([object()], r"type that model.yaml has no word for(.|\n)*object(.|\n)*CAST\(x AS text\)"),
    ],
)
def test_what_can_not_be_kept_is_refused_with_a_way_out(values: list[Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        column_of("x", values, "here")


@pytest.fixture(scope="module")
def postgres() -> Iterator[sa.Engine]:
    with postgres_server() as engine:
        yield engine


@pytest.fixture
def sales(postgres: sa.Engine) -> sa.Engine:
    made = """
        DROP TABLE IF EXISTS sales;
        CREATE UNLOGGED TABLE sales AS SELECT n AS id, timestamptz '2026-01-01 00:00+00' + n * interval '6 hours' AS at, mod(n, 3) = 0 AS y,
          gen_random_uuid() AS session, jsonb_build_object('n', n, 'a', 1) AS basket, time '10:00' + n * interval '1 second' AS clock,
          CASE WHEN mod(n, 7) = 0 THEN 'NaN' ELSE n + 0.5 END::numeric AS price, ARRAY[n, 1] AS tags, n * interval '1 hour' AS lasted,
          CASE WHEN n = 9 THEN 'Infinity'::numeric ELSE n END AS speed, '10.0.0.1'::inet AS host, 'x'::bytea AS raw,
          CASE WHEN n = 9 THEN '20000-01-01' ELSE '2026-01-01' END::timestamp AS due
        FROM generate_series(1, 350) AS n"""
    with postgres.begin() as connection:
        connection.exec_driver_sql(made)
    return postgres


def query(columns: str) -> dict[str, Any]:
    return {
        "kind": "sql",
        "connection": "shop",
        "query": f"SELECT id, at, y, {columns} FROM sales WHERE at >= :start AND at < :end",
    }


def test_postgresql_delivers_ids_json_times_of_day_and_numeric_nan(
    sales: sa.Engine, local_store, folder, model_of, doors, read_at
) -> None:
    model = model_of(query("session, basket, clock, price, tags, host"))
    snapshot = ingest(local_store, model, folder, as_of=AS_OF, at=read_at, connections=doors(sql=sales))
    assert snapshot.schema["price"] == "float"
    assert {snapshot.schema[name] for name in ("session", "basket", "clock", "tags", "host")} == {"string"}
    rows = read_rows(local_store, snapshot, model, folder, window="both").set_index("id")
    assert UUID(rows.loc[8, "session"]) and rows.loc[8, "basket"] == '{"a":1,"n":8}'
    assert (rows.loc[8, "clock"], rows.loc[8, "tags"], rows.loc[8, "host"]) == ("10:00:08", "[8,1]", "10.0.0.1")
    assert rows.loc[8, "price"] == 8.5 and rows["price"].isna().sum() == 350 // 7


@pytest.mark.parametrize(
    ("column", "message", "mended"),
    [
        ("speed", "holds infinite numbers", "NULLIF(NULLIF(speed, 'Infinity'), '-Infinity') AS speed"),
        ("lasted", "type that model.yaml has no word for", "EXTRACT(EPOCH FROM lasted) AS lasted"),
        ("raw", "type that model.yaml has no word for|`raw`", "CAST(raw AS text) AS raw"),
        ("due", "can't be read", "CAST(due AS text) AS due"),
    ],
)
def test_what_postgresql_delivers_and_is_refused_is_mended_by_the_remedy(
    sales: sa.Engine, local_store, folder, model_of, doors, read_at, column: str, message: str, mended: str
) -> None:
    def run(columns: str) -> Any:
        return ingest(
            local_store, model_of(query(columns)), folder, as_of=AS_OF, at=read_at, connections=doors(sql=sales)
        )

    with pytest.raises(SourceError, match=message) as refused:
        run(column)
    words = [word for word in ("NULLIF", "EXTRACT(EPOCH FROM", "CAST(") if word in str(refused.value)]
    assert any(word in mended for word in words) and "20000" not in str(refused.value)
    assert column in run(mended).schema


def test_a_time_of_day_of_arrow_is_kept_where_it_is_declared_a_text(local_store, folder, model_of, read_at) -> None:
    column = pa.chunked_array([pa.array([time(10, 0, 1), None])])
    assert convert(column, "string", "UTC", declared=True).to_pylist() == ["10:00:01.000000", None]
