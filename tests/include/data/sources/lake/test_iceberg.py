"""A model on an Iceberg table that pyiceberg wrote: one snapshot a run, only the files that the bounds need, through the whole chain."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
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

pytest.importorskip("pyiceberg", reason="needs the extra `lake`")
catalogs = pytest.importorskip("pyiceberg.catalog.sql", reason="needs SQLAlchemy")

ROWS = parcels(rows=1500)


def data_of(source: dict[str, Any] | None = None, **changed: Any) -> Data:
    given = {"kind": "iceberg", **(source or {"path": "orders"})}
    timed = {"event_time": "sent_at", "windows": {"train": "2mo", "holdout": "1mo"}, "label_delay": "1d"}
    return Data.model_validate({"source": given, "row_id": "parcel", "target": "late", **timed, **changed})


def rows_of(data: Data, folder: Path, *slots: str, connections: Any = None, recorded: Any = None) -> pd.DataFrame:
    found = list(read(data, folder, slots=slots, recorded=recorded or {}, connections=connections))
    return pa.concat_tables(found).to_pandas() if found else pd.DataFrame()


def of_month(number: int) -> pd.DataFrame:
    return ROWS[(ROWS["sent_at"] >= month(number)) & (ROWS["sent_at"] < month(number + 1))]


def arrow(rows: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)


def catalog_of(place: Path, **properties: str) -> Any:
    place.mkdir(parents=True, exist_ok=True)
    return catalogs.SqlCatalog("lake", uri=f"sqlite:///{place}/catalog.db", warehouse=f"file://{place}", **properties)


def write(catalog: Any, location: str, rows: pd.DataFrame, *, monthly: bool = True) -> Any:
    """Write a table of a file a month, in as many snapshots."""
    catalog.create_namespace_if_not_exists("sales")
    table = catalog.create_table("sales.orders", schema=arrow(rows).schema, location=location)
    for number in range(1, 13) if monthly else ():
        table.append(arrow(rows[(rows["sent_at"] >= month(number)) & (rows["sent_at"] < month(number + 1))]))
    if not monthly:
        table.append(arrow(rows))
    return table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(catalog_of(tmp_path), str(tmp_path / "model" / "orders"), ROWS)
    return tmp_path / "model"


def files_of(table: Any) -> list[str]:
    return [task.file.file_path for task in table.scan().plan_files()]


def test_the_rows_of_the_slots_come_from_the_files_that_may_hold_them(folder: Path) -> None:
    table = catalog_of(folder.parent).load_table("sales.orders")
    (march,) = [
        task.file.file_path
        for task in table.scan(
            "sent_at >= '2024-03-10T00:00:00+00:00' and sent_at < '2024-03-11T00:00:00+00:00'"
        ).plan_files()
    ]
    for file in files_of(table):
        if file != march:
            Path(file).write_bytes(b"damaged")  # whoever opens another file than the one of March fails
    rows = rows_of(data_of(), folder, "2024-03")
    assert sorted(rows["parcel"]) == sorted(of_month(3)["parcel"])
    with pytest.raises(SourceError, match="can't be read"):
        rows_of(data_of(), folder, "2024-04")


def test_a_pinned_snapshot_is_read_for_good_and_without_one_the_current(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    table = catalog_of(folder.parent).load_table("sales.orders")
    before = table.current_snapshot().snapshot_id
    table.overwrite(arrow(ROWS.assign(weight=0.0)))
    pinned = rows_of(data_of({"path": "orders", "snapshot": before}), folder, "2024-03", "2024-04")
    assert pinned["weight"].sum() > 0
    assert rows_of(data_of(), folder, "2024-03")["weight"].sum() == 0
    assert f"snapshot {table.current_snapshot().snapshot_id} of the table" in caplog.text
    with pytest.raises(SourceError, match=rf"(?s)no such snapshot.*{before}"):
        rows_of(data_of({"path": "orders", "snapshot": 7}), folder, "2024-03")


def test_hours_with_gaps_between_them_are_read_however_many_there_are(folder: Path) -> None:
    days = [f"2024-{number:02d}-{day:02d}" for number in (1, 2, 3, 4) for day in range(1, 29)]
    apart = [f"{day}T{hour:02d}" for day in days for hour in range(0, 24, 2)]
    rows = rows_of(data_of(partition="hour"), folder, *apart)
    assert sorted(rows["parcel"]) == sorted(ROWS[ROWS["sent_at"].dt.strftime("%Y-%m-%dT%H").isin(apart)]["parcel"])


@pytest.mark.parametrize("kept", ["naive", "date", "text"])
def test_event_times_are_bounded_as_the_table_keeps_them(tmp_path: Path, kept: str) -> None:
    local = ROWS["sent_at"].dt.tz_convert("America/New_York")
    naive = local.dt.tz_localize(None).astype("datetime64[us]")
    times = {"naive": naive, "date": local.dt.date, "text": naive.map(lambda time: time.isoformat())}[kept]
    write(catalog_of(tmp_path), str(tmp_path / "orders"), ROWS.assign(sent_at=times), monthly=False)
    source = {"path": "orders", "types": {"sent_at": "timestamp"}}
    rows = rows_of(data_of(source, timezone="America/New_York", ambiguous="earlier"), tmp_path, "2024-05")
    days = local.dt.normalize()
    expected = of_month(5)
    if kept == "date":
        expected = ROWS[(days >= pd.Timestamp(month(5))) & (days < pd.Timestamp(month(6)))]
    inside = rows[(rows["sent_at"] >= month(5)) & (rows["sent_at"] < month(6))]
    assert sorted(inside["parcel"]) == sorted(expected["parcel"])
    assert (len(rows) < 200) == (kept != "text"), "a text has no bounds"


def test_a_table_of_a_configured_catalog_is_read_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = {"catalog": "lake", "table": "sales.orders"}
    with pytest.raises(ConfigError, match=r"(?s)`lake` is not configured.*PYICEBERG_CATALOG__LAKE__URI"):
        rows_of(data_of(named), folder, "2024-03")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{folder.parent}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{folder.parent}")
    assert len(rows_of(data_of(named), tmp_path / "elsewhere", "2024-03")) == len(of_month(3))
    with pytest.raises(SourceError, match=r"no such table"):
        rows_of(data_of({**named, "table": "sales.nothing"}), folder, "2024-03")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{folder.parent}/other")
    with pytest.raises(SourceError, match=r"outside of its folders"):
        rows_of(data_of(named), tmp_path / "elsewhere", "2024-03")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{folder.parent}/nowhere/catalog.db")
    with pytest.raises(StoreUnavailable):
        rows_of(data_of(named), folder, "2024-03")


def test_a_table_in_s3_is_read_with_the_connection_s_credentials(
    tmp_path: Path, s3_client: Any, s3_server: str
) -> None:
    bucket = f"lake-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    access = {
        "s3.endpoint": s3_server,
        "s3.access-key-id": "testing",
        "s3.secret-access-key": "testing",
        "s3.region": "us-east-1",
    }
    write(catalog_of(tmp_path, **access), f"s3://{bucket}/orders", ROWS, monthly=False)

    class Opened:
        def s3(self, connection: str | None) -> Any:
            assert connection == "lake"
            return s3_client

        def sql(self, connection: str) -> Any:
            raise AssertionError(connection)

    data = data_of({"path": f"s3://{bucket}/orders", "connection": "lake"})
    assert sorted(rows_of(data, tmp_path, "2024-03", connections=Opened())["parcel"]) == sorted(of_month(3)["parcel"])


def test_rows_that_were_deleted_and_columns_of_other_types_are_left_alone(tmp_path: Path) -> None:
    rows = ROWS.assign(tags=[["a"]] * len(ROWS))
    table = write(catalog_of(tmp_path), str(tmp_path / "orders"), rows, monthly=False)
    table.delete("carrier == 'cat'")
    found = rows_of(data_of(), tmp_path, "2024-03")
    assert "tags" not in found
    assert sorted(found["parcel"]) == sorted(of_month(3).query("carrier != 'cat'")["parcel"])


def test_metadata_can_not_lead_out_of_the_model_s_folder_nor_name_an_address_or_code(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    shutil.move(folder / "orders" / "data", elsewhere)
    place = max((folder / "orders" / "metadata").glob("*.metadata.json"))
    text = place.read_text()
    for old, new, message in (
        ("", "", r"can't be read"),
        (
            '"properties":{',
            '"properties":{"py-io-impl":"os.system","s3.endpoint":"http://127.0.0.1:9",',
            r"can't be read",
        ),
        (
            (folder / "orders" / "metadata").as_posix() + "/snap-",
            f"{elsewhere}/snap-",
            r"(?s)outside of its folders.*snap-",
        ),
        ((folder / "orders" / "metadata").as_posix() + "/snap-", "s3://bucket/snap-", r"a file in another storage"),
    ):
        assert old in text
        place.write_text(text.replace(old, new) if old else text)
        with pytest.raises(SourceError, match=message):
            rows_of(data_of(), folder, "2024-03")


def test_what_can_not_be_read_is_named_with_a_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, kind, message in (
        (data_of({"path": "nothing"}), SourceError, r"no Iceberg table"),
        (data_of({"path": "../.."}), SourceError, r"leads out of the model's folder"),
        (data_of(event_time="when"), SourceError, r"no column of times `when`"),
    ):
        with pytest.raises(kind, match=message):
            rows_of(data, folder, "2024-03")
    with pytest.raises(SchemaChanged, match=r"(?s)type of column `weight`.*integer.*float"):
        rows_of(
            data_of(),
            folder,
            "2024-03",
            recorded={"parcel": "integer", "sent_at": "timestamp", "late": "boolean", "weight": "integer"},
        )
    metadata = folder / "orders" / "metadata"
    last = max(metadata.glob("*.metadata.json"))
    twin = last.with_name(last.name.partition("-")[0] + "-twin.metadata.json")
    shutil.copy(last, twin)
    with pytest.raises(SourceError, match=r"(?s)does not say which metadata.*twin"):
        rows_of(data_of(), folder, "2024-03")
    assert len(rows_of(data_of({"path": f"orders/metadata/{last.name}"}), folder, "2024-03")) == len(of_month(3))
    twin.write_text("{}")
    with pytest.raises(RatchetError, match=r"can't be read"):
        rows_of(data_of({"path": f"orders/metadata/{twin.name}"}), folder, "2024-03")
    monkeypatch.setitem(__import__("sys").modules, "pyiceberg.exceptions", None)
    with pytest.raises(ConfigError, match=r"requirements-lake\.txt"):
        rows_of(data_of(), folder, "2024-03")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "`path` alone"),
        ({"path": "x", "table": "a.b", "catalog": "c"}, "`path` alone"),
        ({"table": "a.b"}, "`table` and `catalog`"),
        ({"table": "orders", "catalog": "c"}, "pattern"),
        ({"path": "http://x/y"}, "`http://`"),
        ({"path": "x", "snapshoot": 1}, "snapshoot"),
    ],
)
def test_a_declaration_that_means_nothing_is_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Data.model_validate({"source": {"kind": "iceberg", **source}, "target": "late"})


def test_a_table_without_a_snapshot_has_no_row(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    catalog.create_namespace("sales")
    catalog.create_table("sales.orders", schema=arrow(ROWS).schema, location=str(tmp_path / "orders"))
    assert rows_of(data_of(), tmp_path, "2024-03").empty


def test_a_model_on_a_table_is_trained_scored_and_reproduced_after_the_table_went_on(tmp_path: Path) -> None:
    home = tmp_path / "parcels"
    plain = declare(home, parcels())
    store, lake = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "lake")
    run_chain(store, plain, home, month(4))
    other = tmp_path / "other" / "parcels"
    model = declare(other, parcels(), source="{kind: iceberg, path: orders}")
    for file in ("source.py", "rows.parquet"):
        (other / file).unlink()
    table = write(catalog_of(tmp_path), str(other / "orders"), parcels())
    done = run_chain(lake, model, other, month(4))
    fits = {key: body for key, body in objects(lake).items() if "/models/" in key}
    assert fits == {key: body for key, body in objects(store).items() if "/models/" in key}, "the rows are the same"
    assert done["decide"]["outcome"] == "PROMOTE"
    interval = interval_at(model, month(6))
    snapshot = ingest_interval(lake, model, other, interval, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(lake, model, other, snapshot, at=NOW)
    assert manifest is not None and manifest.rows > 100
    table.overwrite(arrow(parcels().assign(weight=0.0)))
    version = Ledger(lake, "parcels").timeline().standings[0].version
    again = reproduce(lake, model, other, version, at=datetime(2026, 1, 2, tzinfo=UTC), connections=None)  # type: ignore[arg-type]
    assert again.outcome is Outcome.IDENTICAL
    assert any("partition 2024-02" in str(one) for one in again.differences), "rows that are otherwise today are named"
    shutil.rmtree(other / "orders")
    assert reproduce(lake, model, other, version, at=NOW, connections=None).outcome is Outcome.IDENTICAL  # type: ignore[arg-type]
