"""SQL, S3 and Python sources end to end."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from include.config.sections.data import Data
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.data.sources.registry import read, source_digest
from include.errors import SourceError, StoreUnavailable

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
QUERY = "SELECT id, at, x, y FROM sales WHERE at >= :start AND at < :end"
TYPES = {"at": "timestamp", "y": "boolean"}
COLUMNS = {"id": {"type": "integer"}, "at": {"type": "timestamp"}, "x": {"type": "float"}, "y": {"type": "boolean"}}


@pytest.fixture
def run(folder, local_store, read_at):
    def run(model: Any, connections: Any) -> Any:
        return ingest(local_store, model, folder, as_of=AS_OF, at=read_at, connections=connections)

    return run


@pytest.fixture
def database(tmp_path):
    def database(rows: list[tuple[Any, ...]]) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{tmp_path}/sales.db")
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE sales (id INTEGER, at, x, y INTEGER)"))
            if rows:
                places = ", ".join(f":{n}" for n in range(4))
                values = [{str(n): value for n, value in enumerate(row)} for row in rows]
                connection.execute(sa.text(f"INSERT INTO sales VALUES ({places})"), values)
        return engine

    return database


SALES = [(m * 100 + d, f"2026-{m:02d}-{d:02d} 00:00:00", d / 2, d % 2) for m in (1, 2, 3, 4) for d in (1, 9, 28)]


def test_a_query_is_read_between_its_bounds_with_the_first_instant_and_without_the_last(
    run, database, doors, model_of
) -> None:
    model = model_of({"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES})
    snapshot = run(model, doors(sql=database(SALES)))
    assert [(p.slot, p.rows) for p in snapshot.partitions] == [(f"2026-{m:02d}", 3) for m in (1, 2, 3, 4)]
    assert snapshot.schema == {"at": "timestamp", "id": "integer", "x": "float", "y": "boolean"}


def test_a_query_is_asked_in_the_declared_zone(run, database, doors, model_of, local_store, folder) -> None:
    model = model_of({"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES}, timezone="America/New_York")
    snapshot = run(model, doors(sql=database([*SALES, (7, "2026-02-28 23:30:00", 1.0, 1)])))
    rows = {p.slot: p.rows for p in snapshot.partitions}
    assert rows == {"2026-01": 3, "2026-02": 3, "2026-03": 4, "2026-04": 3}
    read = read_rows(local_store, snapshot, model, folder, window="both").set_index("id")
    assert read.loc[7, "at"] == pd.Timestamp("2026-03-01 04:30", tz="UTC")


@pytest.mark.parametrize(("ambiguous", "slot"), [("earlier", "2025-11-02T05"), ("later", "2025-11-02T06")])
def test_no_row_of_the_hour_that_clocks_show_twice_is_lost(database, doors, tmp_path, ambiguous, slot) -> None:
    engine = database([(n, f"2025-11-02 {time}:00", 1.0, 1) for n, time in enumerate(("00:30", "01:30", "02:30"))])
    source = {"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES}
    clock = {"timezone": "America/New_York", "ambiguous": ambiguous}
    hours = {"partition": "hour", "windows": {"train": "1h", "holdout": "1h"}}
    data = Data.model_validate({"source": source, "event_time": "at", "row_id": "id", "target": "y", **clock, **hours})
    (rows,) = read(data, tmp_path, slots=[slot], recorded={}, connections=doors(sql=engine))
    found = dict(zip(rows["id"].to_pylist(), rows["at"].to_pylist(), strict=True))
    assert found[1] == datetime.fromisoformat(f"{slot}:30:00+00:00")


@pytest.mark.parametrize(
    "kept", ["2025-11-02T05:30:00", "2025-11-02 05:30:00", "2025-11-02T02:30:00-03:00", "2025-11-02"]
)
def test_no_row_is_lost_however_sqlite_keeps_its_time(database, doors, tmp_path, kept) -> None:
    """It compares texts: a T comes after a blank, and a date alone before its first instant."""
    source = {"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES}
    hours = {"partition": "hour", "windows": {"train": "1h", "holdout": "1h"}}
    data = Data.model_validate({"source": source, "event_time": "at", "row_id": "id", "target": "y", **hours})
    hour = "05" if ":" in kept else "00"
    slots = [f"2025-11-02T{one}" for one in ("00", hour, "07")][hour == "00" :]
    engine = database([(1, kept, 1.0, 1)])
    tables = list(read(data, tmp_path, slots=slots, recorded={}, connections=doors(sql=engine)))
    assert [table["at"][0].as_py().hour for table in tables] == [int(hour)], (
        "asked for once, though the hours are apart"
    )


def _from_zoned_column(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode())


LAST_HOURS = [(n, f"2026-03-31 {time}:00", 0.5, 1) for n, time in enumerate(("22:00", "23:00", "23:59"))]


@pytest.mark.parametrize("kind", ["timestamptz", "TEXT"])
def test_a_column_with_a_zone_is_asked_with_instants_also_where_local_bounds_find_nothing(
    run, doors, model_of, tmp_path, kind
) -> None:
    # As PostgreSQL does in a session in UTC: a bound without a zone is compared as if it were UTC.
    sqlite3.register_converter("timestamptz", _from_zoned_column)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/s.db", connect_args={"detect_types": sqlite3.PARSE_DECLTYPES})
    zoned = [(i, f"{at}+00:00", x, y) for i, at, x, y in (*SALES, *LAST_HOURS)]
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE sales (id INTEGER, at {kind}, x REAL, y INTEGER)"))
        values = [dict(zip("iaxy", row, strict=True)) for row in zoned]
        connection.execute(sa.text("INSERT INTO sales VALUES (:i, :a, :x, :y)"), values)
    model = model_of(
        {"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES},
        timezone="America/New_York", partition="hour", windows={"train": "1h", "holdout": "1h"},
    )  # fmt: skip
    snapshot = run(model, doors(sql=engine))
    assert {p.slot: p.rows for p in snapshot.partitions} == {"2026-03-31T22": 1, "2026-03-31T23": 2, "2026-04-01T00": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, "2026-03-09 00:00:00", "many", 1), "`x` mixes types"),
        ((1, "09/03/2026 00:00", 1.0, 1), "x"),
        ((1, "2026-03-09 00:00:00", 1.0, 7), "`y` can't be kept as `boolean`"),
        ((None, "2026-03-09 00:00:00", 1.0, 1), "without a value"),
    ],
)
def test_what_a_driver_delivers_is_kept_exactly_or_refused(run, database, doors, model_of, row, message) -> None:
    query = (
        QUERY
        if row[1].startswith("2026")
        else QUERY.replace("at >= :start AND at < :end", "at IS NOT :start AND at IS NOT :end")
    )
    model = model_of({"kind": "sql", "connection": "shop", "query": query, "types": TYPES})
    with pytest.raises(SourceError, match=message):
        run(model, doors(sql=database([*SALES, row])))


def test_a_query_that_the_database_refuses_is_told_from_one_that_does_not_answer(
    run, database, doors, model_of, tmp_path
) -> None:
    model = model_of({"kind": "sql", "connection": "shop", "query": QUERY.replace("sales", "sails")})
    with pytest.raises(SourceError, match="no such table: sails"):
        run(model, doors(sql=database(SALES)))
    with pytest.raises(StoreUnavailable):
        run(model, doors(sql=sa.create_engine(f"sqlite:///{tmp_path}/no/such/folder.db")))


def test_a_column_without_values_needs_its_type(run, database, doors, model_of) -> None:
    engine = database([(i, at, None, y) for i, at, _, y in SALES])
    source = {"kind": "sql", "connection": "shop", "query": QUERY, "types": TYPES}
    with pytest.raises(SourceError, match=r"types: \{x: string\}"):
        run(model_of(source), doors(sql=engine))
    assert run(model_of({**source, "types": {**TYPES, "x": "float"}}), doors(sql=engine)).schema["x"] == "float"


@pytest.mark.parametrize("kind", ["csv", "json_lines", "parquet"])
@pytest.mark.parametrize("name", ["part-*", "part-*-day", "%Y/%m/part-1"])
def test_files_in_s3_are_read_as_those_on_disk(run, s3_client, doors, model_of, kind, name) -> None:
    bucket = f"source-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    frame = pd.DataFrame(SALES, columns=["id", "at", "x", "y"]).assign(
        at=lambda f: pd.to_datetime(f["at"]), y=lambda f: f["y"] == 1
    )
    for month, part in frame.groupby(frame["at"].dt.month):
        body = {
            "csv": lambda part=part: part.to_csv(index=False).encode(),
            "json_lines": lambda part=part: part.to_json(orient="records", lines=True, date_format="iso").encode(),
            "parquet": lambda part=part: part.to_parquet(index=False),
        }[kind]()
        key = f"in/{name.replace('*', str(month))}" if "*" in name else f"in/2026/{month:02d}/part-1"
        s3_client.put_object(Bucket=bucket, Key=key, Body=body)
    s3_client.put_object(Bucket=bucket, Key="in/other", Body=b"not asked for")
    if name.endswith("-day"):
        s3_client.put_object(
            Bucket=bucket, Key="in/part-1-night", Body=b"not asked for: a pattern goes on after its prefix"
        )
    columns = {} if kind == "parquet" else COLUMNS
    model = model_of({"kind": "files", "path": f"s3://{bucket}/in/{name}", "format": kind, "columns": columns})
    assert [p.rows for p in run(model, doors(s3=s3_client)).partitions] == [3, 3, 3, 3]


def test_a_bucket_that_is_not_there_is_no_passing_fault(run, s3_client, doors, model_of) -> None:
    model = model_of({"kind": "files", "path": "s3://no-such-bucket/*.csv", "format": "csv", "columns": COLUMNS})
    with pytest.raises(SourceError, match="NoSuchBucket"):
        run(model, doors(s3=s3_client))


READER = """
import pandas as pd
def read(start, end):
    days = pd.date_range("2025-12-01", "2026-05-01", tz="UTC").as_unit("us")
    for part in (days[:70], days[70:]):
        yield pd.DataFrame({"id": range(len(part)), "at": part, "x": 1.5, "y": EXTRA})
"""


def test_a_reader_may_yield_more_than_it_was_asked_for(run, folder, doors, model_of, caplog) -> None:
    caplog.set_level(logging.INFO)
    (folder / "source.py").write_text(READER.replace("EXTRA", "True"))
    model = model_of({"kind": "python", "reader": "source:read"}, row_id=["at", "id"])
    assert [p.rows for p in run(model, doors()).partitions] == [31, 28, 31, 30]
    assert "32 rows of other partitions were ignored" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ('["a", 1] * 35', "mixes types"),
        ("[float(2**60), None] * 35", None),
        ("[[1]] * 70", "no word for"),
        ("[1.5, float('-inf')] * 35", "an infinite value"),
    ],
)
def test_what_a_reader_yields_is_kept_exactly_or_refused(run, folder, doors, model_of, values, message) -> None:
    (folder / "source.py").write_text(READER.replace("EXTRA", f"({values} * 3)[:len(part)]"))
    types = {} if message else {"y": "integer"}
    model = model_of({"kind": "python", "reader": "source:read", "types": types}, row_id=["at", "id"])
    with pytest.raises(SourceError, match=message or "can't be kept as `integer`"):
        run(model, doors())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("table.set_axis(['id', 'at', 'x', 'x'], axis=1)", "A column stands twice"),
        ("table.rename(columns={'x': 1, 'y': '1'})", "A column stands twice"),
        (
            "table.assign(x=pd.Series(['half a character: \\ud83d'] * len(table), dtype=object))",
            "holds a text that is none",
        ),
    ],
)
def test_a_frame_whose_columns_are_not_told_apart_or_hold_no_text_is_refused(
    run, folder, doors, model_of, changed, message
) -> None:
    body = READER.replace("EXTRA", "True").replace("yield pd", "table = pd")
    (folder / "source.py").write_text(f"{body}        yield {changed}\n")
    with pytest.raises(SourceError, match=message):
        run(model_of({"kind": "python", "reader": "source:read"}, row_id=["at", "id"]), doors())


def test_a_changed_reader_is_another_source_but_changed_features_are_not(folder, model_of) -> None:
    (folder / "source.py").write_text("from .near import f\n")
    (folder / "near.py").write_text("f = 1\n")
    (folder / "features.py").write_text("g = 1\n")
    data = model_of({"kind": "python", "reader": "source:read"}).data
    first = source_digest(data, folder)
    (folder / "features.py").write_text("g = 2\n")
    assert source_digest(data, folder) == first
    (folder / "near.py").write_text("f = 2\n")
    assert source_digest(data, folder) != first
