"""A model on a query over files: what it may read, which rows it asks for, and the whole chain."""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, declare, month, objects, parcels, run_chain

from include.config.sections.data import Data
from include.data.sources.registry import read
from include.errors import ConfigError, RatchetError, SchemaChanged, SourceError, StoreUnavailable
from include.registry.ledger import Ledger
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.local import LocalStore

pytest.importorskip("duckdb", reason="needs the extra `lake`")

ROWS = parcels(rows=1500)
BOUNDED = "sent_at >= :start AND sent_at < :end"
TABLES = {"orders": {"path": "orders/*.parquet", "format": "parquet"}}
DEPOTS = {
    "depots": {
        "path": "depots.csv.gz",
        "format": "csv",
        "delimiter": ";",
        "columns": {"carrier": {"type": "string"}, "fee": {"type": "float", "decimal": ","}},
    }
}


def data_of(query: str = f"SELECT * FROM orders WHERE {BOUNDED}", **changed: Any) -> Data:
    source = {"kind": "duckdb", "query": query, "tables": TABLES, **changed.pop("source", {})}
    timed = {"event_time": "sent_at", "windows": {"train": "2mo", "holdout": "1mo"}, "label_delay": "1d"}
    return Data.model_validate({"source": source, "row_id": "parcel", "target": "late", **timed, **changed})


def rows_of(data: Data, folder: Path, *slots: str, connections: Any = None, recorded: Any = None) -> pd.DataFrame:
    found = read(data, folder, slots=slots, recorded=recorded or {}, connections=connections)
    return pa.concat_tables(list(found)).to_pandas()


def of_month(number: int, rows: pd.DataFrame = ROWS) -> pd.DataFrame:
    return rows[(rows["sent_at"] >= month(number)) & (rows["sent_at"] < month(number + 1))]


def write(place: Path, rows: pd.DataFrame = ROWS) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for number in range(1, 13):
        of_month(number, rows).to_parquet(place / f"{number:02d}.parquet", index=False)


class Opened:
    def __init__(self, client: Any) -> None:
        self.client = client

    def s3(self, connection: str | None) -> Any:
        assert connection == "lake"
        return self.client

    def sql(self, connection: str) -> Any:
        raise AssertionError(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model" / "orders")
    (tmp_path / "model" / "depots.csv.gz").write_bytes(gzip.compress(b"carrier;fee\nant;1,5\nbee;2,0\ncat;4,25\n"))
    (tmp_path / "secret.csv").write_text("password\nhunter2\n")
    return tmp_path / "model"


def test_a_query_joins_parquet_with_a_csv_as_it_is_declared_and_gives_the_rows_of_its_slots(folder: Path) -> None:
    query = f"""SELECT o.*, d.fee, sum(weight) OVER (PARTITION BY carrier ORDER BY sent_at) AS carried
        FROM orders AS o JOIN depots AS d USING (carrier) WHERE {BOUNDED}"""
    rows = rows_of(data_of(query, source={"tables": TABLES | DEPOTS}), folder, "2024-03", "2024-07")
    expected = pd.concat([of_month(3), of_month(7)])
    assert sorted(rows["parcel"]) == sorted(expected["parcel"])
    assert set(zip(rows["carrier"], rows["fee"], strict=True)) == {("ant", 1.5), ("bee", 2.0), ("cat", 4.25)}
    own = of_month(3).query("carrier == 'ant'")
    assert rows[rows["parcel"].isin(own["parcel"])]["carried"].max() == pytest.approx(own["weight"].cumsum().max())


def test_files_whose_statistics_lie_outside_the_bounds_are_not_read(folder: Path) -> None:
    # Their footers stay, so that the statistics tell; whoever reads their rows fails.
    for file in (folder / "orders").glob("*.parquet"):
        if file.name != "03.parquet":
            body = bytearray(file.read_bytes())
            rows = pq.ParquetFile(file).metadata.row_group(0)
            for place in range(rows.num_columns):
                column = rows.column(place)
                first = column.dictionary_page_offset or column.data_page_offset
                body[first : first + column.total_compressed_size] = bytes(column.total_compressed_size)
            file.write_bytes(body)
    assert sorted(rows_of(data_of(), folder, "2024-03")["parcel"]) == sorted(of_month(3)["parcel"])
    with pytest.raises(SourceError, match="failed while it ran"):
        rows_of(data_of(), folder, "2024-04")


@pytest.mark.parametrize("kept", ["naive", "date", "zoned"])
def test_bounds_come_as_the_event_time_is(tmp_path: Path, kept: str) -> None:
    local = ROWS["sent_at"].dt.tz_convert("America/New_York")
    times = {
        "naive": local.dt.tz_localize(None).astype("datetime64[us]"),
        "date": local.dt.date,
        "zoned": local,
    }[kept]
    write_one = ROWS.assign(sent_at=times)
    (tmp_path / "orders").mkdir()
    write_one.to_parquet(tmp_path / "orders" / "all.parquet", index=False)
    data = data_of(timezone="America/New_York", ambiguous="earlier", source={"types": {"sent_at": "timestamp"}})
    rows = rows_of(data, tmp_path, "2024-05")
    if kept == "date":
        days = local.dt.normalize()
        expected = ROWS[(days >= pd.Timestamp(month(5))) & (days < pd.Timestamp(month(6)))]
    else:
        expected = of_month(5)
    inside = rows[(rows["sent_at"] >= month(5)) & (rows["sent_at"] < month(6))]
    assert sorted(inside["parcel"]) == sorted(expected["parcel"])
    assert len(rows) == len(inside), "no clock change lies near: nothing else is asked for"


@pytest.mark.parametrize(("ambiguous", "slot"), [("earlier", "2024-11-03T05"), ("later", "2024-11-03T06")])
def test_no_row_of_the_hour_that_clocks_show_twice_is_lost(tmp_path: Path, ambiguous: str, slot: str) -> None:
    times = pd.Series(pd.to_datetime(["2024-11-03 00:30", "2024-11-03 01:30", "2024-11-03 02:30"])).astype(
        "datetime64[us]"
    )
    (tmp_path / "orders").mkdir()
    pd.DataFrame({"parcel": [1, 2, 3], "sent_at": times, "late": [True, False, True]}).to_parquet(
        tmp_path / "orders" / "all.parquet"
    )
    data = data_of(timezone="America/New_York", ambiguous=ambiguous, partition="hour")
    rows = rows_of(data, tmp_path, slot)
    hour = datetime.fromisoformat(f"{slot}:00:00+00:00")
    assert rows[(rows["sent_at"] >= hour) & (rows["sent_at"] < hour + pd.Timedelta("1h"))]["parcel"].tolist() == [2]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM glob('{folder}/../*')",
        "SELECT * FROM parquet_scan('{folder}/orders/01.parquet')",
        "SELECT * FROM ROWS",
        "COPY (SELECT * FROM orders) TO '{folder}/copy.csv'",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT 1; SELECT * FROM orders",
        "DROP VIEW orders",
        "SELECT getenv('HOME')",
        "",
    ],
)
def test_a_query_reads_its_tables_and_nothing_else(folder: Path, query: str) -> None:
    said = query.format(outside=folder.parent / "secret.csv", folder=folder)
    data = data_of(f"{said} -- {BOUNDED}")
    with pytest.raises(SourceError) as found:
        rows_of(data, folder, "2024-03")
    assert "hunter2" not in str(found.value)
    assert sorted(path.name for path in folder.iterdir()) == ["depots.csv.gz", "orders"]


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (data_of(f"SELECT * FROM order_s WHERE {BOUNDED}"), SourceError, r"(?s)does not understand.*tables orders"),
        (data_of(f"SELECT parcel FROM orders WHERE {BOUNDED}"), SourceError, r"(?s)no column `sent_at`.*parcel"),
        (data_of(f"SELECT * FROM orders WHERE {BOUNDED} AND x = $y"), SourceError, r"(?s)parameter.*\$y"),
        (data_of(f"SELECT * REPLACE (carrier::INT AS carrier) FROM orders WHERE {BOUNDED}"), SourceError, "TRY_CAST"),
        (
            data_of(source={"tables": {"orders": {"path": "../../*.parquet", "format": "parquet"}}}),
            SourceError,
            r"(?s)leads out of the model's folder.*table `orders`",
        ),
        (
            data_of(source={"tables": {"orders": {"path": "gone/*.parquet", "format": "parquet"}}}),
            SourceError,
            r"(?s)No file.*table `orders`",
        ),
        (
            data_of(source={"tables": {"orders": {"path": "depots.csv.gz", "format": "csv"}}}),
            SourceError,
            r"(?s)table `orders`.*columns",
        ),
        (
            data_of(source={"tables": {"orders": {"path": "depots.csv.gz", "format": "parquet"}}}),
            SourceError,
            r"(?s)can't be read as Parquet.*table `orders`",
        ),
    ],
)
def test_what_can_not_be_read_is_named_with_a_way_out(
    folder: Path, data: Data, kind: type[RatchetError], message: str
) -> None:
    with pytest.raises(kind, match=message) as found:
        rows_of(data, folder, "2024-03")
    assert not any(value in str(found.value) for value in ("'ant'", "'bee'", "'cat'"))


def test_a_column_of_another_type_and_a_file_without_a_column_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = {"parcel": "integer", "sent_at": "timestamp", "late": "boolean", "weight": "integer"}
    with pytest.raises(SchemaChanged, match=r"(?s)type of column `weight`.*integer.*float"):
        rows_of(data_of(), folder, "2024-03", recorded=recorded)
    of_month(5).drop(columns="weight").to_parquet(folder / "orders" / "05.parquet")
    with pytest.raises(SourceError, match=r"(?s)Columns differ.*no weight.*05\.parquet"):
        rows_of(data_of(), folder, "2024-03")
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(ConfigError, match=r"requirements-lake\.txt"):
        rows_of(data_of(), folder, "2024-03")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"tables": {}}, "at least 1"),
        ({"tables": {"a b": {"path": "x.parquet", "format": "parquet"}}}, "table's name"),
        ({"tables": {"orders": {"path": "%Y.parquet", "format": "parquet"}}}, "without date parts"),
        ({"query": "SELECT * FROM orders"}, ":start"),
        ({"qeury": "SELECT 1"}, "qeury"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_of(source=source)


def test_files_in_s3_are_read_by_columns_and_bounds(tmp_path: Path, s3_client: Any) -> None:
    bucket = f"lake-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    write(tmp_path / "orders")
    for file in (tmp_path / "orders").iterdir():
        s3_client.upload_file(str(file), bucket, f"orders/{file.name}")
    where = {"path": f"s3://{bucket}/orders/*.parquet", "format": "parquet", "connection": "lake"}
    data = data_of(f"SELECT parcel, sent_at, late FROM orders WHERE {BOUNDED}", source={"tables": {"orders": where}})
    rows = rows_of(data, tmp_path, "2024-03", connections=Opened(s3_client))
    assert sorted(rows["parcel"]) == sorted(of_month(3)["parcel"])
    assert sorted(rows.columns) == ["late", "parcel", "sent_at"]
    import boto3

    closed = boto3.client(
        "s3", endpoint_url="http://127.0.0.1:9", config=boto3.session.Config(retries={"max_attempts": 0})
    )
    with pytest.raises(StoreUnavailable):
        rows_of(data, tmp_path, "2024-03", connections=Opened(closed))


def test_rows_are_streamed(tmp_path: Path) -> None:
    many = pd.DataFrame({"parcel": range(300_000), "late": 1})
    many.to_parquet(tmp_path / "many.parquet", row_group_size=10_000)
    source = {"query": "SELECT * FROM many", "tables": {"many": {"path": "many.parquet", "format": "parquet"}}}
    data = Data.model_validate({"source": {"kind": "duckdb", **source}, "row_id": "parcel", "target": "late"})
    sizes = [part.num_rows for part in read(data, tmp_path, slots=["(all)"], recorded={}, connections=None)]  # type: ignore[arg-type]
    assert sum(sizes) == 300_000
    assert max(sizes) <= 131_072


def test_a_table_without_time_is_read_as_a_whole(folder: Path) -> None:
    source = {"kind": "duckdb", "query": "SELECT carrier, fee FROM depots", "tables": DEPOTS}
    data = Data.model_validate({"source": source, "target": "fee"})
    found = pa.concat_tables(list(read(data, folder, slots=["(all)"], recorded={}, connections=None)))  # type: ignore[arg-type]
    assert sorted(found["fee"].to_pylist()) == [1.5, 2.0, 4.25]


def test_a_model_on_a_query_is_trained_scored_and_reproduced_after_its_files_were_rewritten(tmp_path: Path) -> None:
    home = tmp_path / "parcels"
    plain = declare(home, parcels())
    store, lake = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "lake")
    run_chain(store, plain, home, month(4))
    other = tmp_path / "other" / "parcels"
    source = f'{{kind: duckdb, query: "SELECT * FROM orders WHERE {BOUNDED}", tables: {{orders: {{path: "orders/*.parquet", format: parquet}}}}}}'
    model = declare(other, parcels(), source=source)
    for file in ("source.py", "rows.parquet"):
        (other / file).unlink()
    write(other / "orders", parcels())
    done = run_chain(lake, model, other, month(4))
    fits = {key: body for key, body in objects(lake).items() if "/models/" in key}
    assert fits == {key: body for key, body in objects(store).items() if "/models/" in key}, "the rows are the same"
    assert done["decide"]["outcome"] == "PROMOTE"
    interval = interval_at(model, month(6))
    snapshot = ingest_interval(lake, model, other, interval, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(lake, model, other, snapshot, at=NOW)
    assert manifest is not None and manifest.rows > 100
    write(other / "orders", parcels().assign(weight=0.0))
    version = Ledger(lake, "parcels").timeline().standings[0].version
    again = reproduce(lake, model, other, version, at=datetime(2026, 1, 2, tzinfo=UTC), connections=None)  # type: ignore[arg-type]
    assert again.outcome is Outcome.IDENTICAL
    assert any("partition 2024-02" in str(one) for one in again.differences), "rows that are otherwise today are named"
