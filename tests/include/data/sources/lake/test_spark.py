"""A model on what Spark reads, through a real Spark Connect server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from chain_run import declare, month, objects, parcels, run_chain
from spark_server import spark_server

from include.config.sections.data import Data
from include.data.sources.lake import spark
from include.data.sources.registry import read
from include.errors import ConfigError, SchemaChanged, SourceError, StoreUnavailable
from include.registry.ledger import Ledger
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.storage.local import LocalStore

pytest.importorskip("pyspark", reason="needs the extra `spark`")

ROWS = parcels(rows=1500)
TYPES = {"late": "boolean"}
NAIVE = ROWS["sent_at"].dt.tz_convert("America/New_York").dt.tz_localize(None).astype("datetime64[us]")


class Opened:
    def __init__(self, url: str) -> None:
        self.url = url

    def spark(self, connection: str) -> str:
        assert connection == "spark"
        return self.url

    def s3(self, connection: str | None) -> Any:
        raise AssertionError(connection)

    sql = s3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spark")
    frames = {
        "orders": ROWS.assign(tags=[["a"]] * len(ROWS)),
        "naive": ROWS.assign(sent_at=NAIVE),
        "days": ROWS.assign(sent_at=NAIVE.dt.date),
    }
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False, coerce_timestamps="us")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Opened]:
    with spark_server() as url:
        from pyspark.sql.connect.session import SparkSession

        session = SparkSession(url)
        session.sql(f"CREATE TABLE orders USING parquet LOCATION '{folder}/orders.parquet'").collect()
        session.stop()
        yield Opened(url)


def data_of(source: dict[str, Any], **changed: Any) -> Data:
    timed = {"event_time": "sent_at", "windows": {"train": "2mo", "holdout": "1mo"}, "label_delay": "1d"}
    given = {"kind": "spark", "connection": "spark", **source}
    return Data.model_validate({"source": given, "row_id": "parcel", "target": "late", **timed, **changed})


def rows_of(data: Data, *slots: str, opened: Any, recorded: Any = None) -> pd.DataFrame:
    found = read(data, Path(), slots=slots, recorded=recorded or {}, connections=opened)
    return pa.concat_tables(list(found)).to_pandas()


def of_month(number: int) -> pd.DataFrame:
    return ROWS[(ROWS["sent_at"] >= month(number)) & (ROWS["sent_at"] < month(number + 1))]


@pytest.mark.system
def test_a_table_and_a_query_give_the_rows_of_their_slots(server: Opened, folder: Path) -> None:
    rows = rows_of(data_of({"table": "orders"}), "2024-03", "2024-07", opened=server)
    assert sorted(rows["parcel"]) == sorted(pd.concat([of_month(3), of_month(7)])["parcel"])
    assert "tags" not in rows
    query = f"SELECT *, weight * 2 AS double FROM parquet.`{folder}/orders.parquet` WHERE sent_at >= :start AND sent_at < :end;"
    rows = rows_of(data_of({"query": query}), "2024-03", opened=server)
    assert sorted(rows["double"]) == sorted(of_month(3)["weight"] * 2)


@pytest.mark.system
@pytest.mark.parametrize("kept", ["naive", "days"])
def test_times_without_a_zone_are_those_of_the_model_s(server: Opened, folder: Path, kept: str) -> None:
    query = f"SELECT * FROM parquet.`{folder}/{kept}.parquet` WHERE sent_at >= :start AND sent_at < :end"
    source = {"query": query, "types": {"sent_at": "timestamp"}}
    rows = rows_of(data_of(source, timezone="America/New_York", ambiguous="earlier"), "2024-05", opened=server)
    expected = of_month(5)
    if kept == "days":
        expected = ROWS[(NAIVE >= "2024-05-01") & (NAIVE < "2024-06-01")]
    assert sorted(rows["parcel"]) == sorted(expected["parcel"])


@pytest.mark.system
def test_what_can_not_be_read_is_named_with_a_way_out(
    server: Opened, folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    bounds = "sent_at >= :start AND sent_at < :end"
    for source, kind, message in (
        ({"table": "nothing"}, SourceError, r"(?s)does not understand.*nothing"),
        ({"query": f"SELECT * FROM orders WHERE {bounds} AND"}, SourceError, "does not understand"),
        ({"query": f"DROP TABLE orders -- {bounds}\n"}, SourceError, "does not understand"),
        (
            {"query": f"SELECT *, CAST(carrier AS INT) AS x FROM orders WHERE {bounds}"},
            SourceError,
            "CAST_INVALID_INPUT",
        ),
        ({"query": f"SELECT parcel FROM orders WHERE {bounds}"}, SourceError, "no column of times `sent_at`"),
    ):
        with pytest.raises(kind, match=message) as found:
            rows_of(data_of(source), "2024-03", opened=server)
        assert "'ant'" not in str(found.value)
    told = capfd.readouterr()
    assert "'ant'" not in told.out + told.err + caplog.text, "what stands in a row goes to no log"
    with pytest.raises(SchemaChanged, match=r"(?s)type of column `weight`"):
        recorded = {"parcel": "integer", "sent_at": "timestamp", "late": "boolean", "weight": "integer"}
        rows_of(data_of({"table": "orders"}), "2024-03", opened=server, recorded=recorded)


@pytest.mark.system
def test_a_model_on_spark_is_trained_and_reproduced_as_one_on_a_file(server: Opened, tmp_path: Path) -> None:
    home = tmp_path / "parcels"
    plain = declare(home, parcels())
    store, lake = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "lake")
    run_chain(store, plain, home, month(4))
    parcels().to_parquet(tmp_path / "orders.parquet", index=False, coerce_timestamps="us")
    other = tmp_path / "other" / "parcels"
    query = f"SELECT * FROM parquet.`{tmp_path}/orders.parquet` WHERE sent_at >= :start AND sent_at < :end"
    model = declare(other, parcels(), source=f'{{kind: spark, connection: spark, query: "{query}"}}')
    for file in ("source.py", "rows.parquet"):
        (other / file).unlink()
    done = run_chain(lake, model, other, month(4), connections=server)
    fits = {key: body for key, body in objects(lake).items() if "/models/" in key}
    assert fits == {key: body for key, body in objects(store).items() if "/models/" in key}, "the rows are the same"
    assert done["decide"]["outcome"] == "PROMOTE"
    version = Ledger(lake, "parcels").timeline().standings[0].version
    again = reproduce(lake, model, other, version, at=datetime(2026, 1, 2, tzinfo=UTC), connections=server)  # type: ignore[arg-type]
    assert again.outcome is Outcome.IDENTICAL


def test_a_server_that_does_not_answer_is_no_fault_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "_TRIES", 2)
    with pytest.raises(StoreUnavailable, match="UNAVAILABLE"):
        rows_of(data_of({"table": "orders"}), "2024-03", opened=Opened("sc://127.0.0.1:9"))
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql.connect.session", None)
    with pytest.raises(ConfigError, match=r"requirements-spark\.txt"):
        rows_of(data_of({"table": "orders"}), "2024-03", opened=Opened("sc://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "one of `query` and `table`"),
        ({"table": "a", "query": "b"}, "one of `query` and `table`"),
        ({"query": "SELECT * FROM orders"}, ":start"),
        ({"tabel": "a"}, "tabel"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_of(source)
