"""A model on a Delta Lake table: one version a run, only the files that the bounds need, through the whole chain."""

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
from include.errors import ConfigError, RatchetError, SourceError
from include.registry.ledger import Ledger
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.local import LocalStore

deltalake = pytest.importorskip("deltalake", reason="needs the extra `lake`")

ROWS = parcels(rows=1500)


def data_of(path: str = "orders", **changed: Any) -> Data:
    source = {"kind": "delta", "path": path, **changed.pop("source", {})}
    windows = {"train": "2mo", "holdout": "1mo"}
    timed = {"event_time": "sent_at", "windows": windows, "label_delay": "1d"}
    return Data.model_validate({"source": source, "row_id": "parcel", "target": "late", **timed, **changed})


def rows_of(data: Data, folder: Path, *slots: str, connections: Any = None) -> pd.DataFrame:
    return pa.concat_tables(list(read(data, folder, slots=slots, recorded={}, connections=connections))).to_pandas()


def write(place: Path | str, rows: pd.DataFrame, **settings: Any) -> None:
    deltalake.write_deltalake(str(place), pa.Table.from_pandas(rows, preserve_index=False), **settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of a file a month, in twelve versions."""
    for number in range(1, 13):
        mine = ROWS[(ROWS["sent_at"] >= month(number)) & (ROWS["sent_at"] < month(number + 1))]
        write(tmp_path / "orders", mine, mode="append")
    return tmp_path


def test_the_rows_of_the_slots_come_from_the_files_that_may_hold_them(folder: Path) -> None:
    in_march = deltalake.DeltaTable(str(folder / "orders"), version=2).file_uris()[0]
    for file in (folder / "orders").glob("*.parquet"):
        if file.name not in in_march:
            # Whoever opens another file than the one of March fails.
            file.write_bytes(b"damaged")
    rows = rows_of(data_of(), folder, "2024-03")
    expected = ROWS[(ROWS["sent_at"] >= month(3)) & (ROWS["sent_at"] < month(4))]
    assert sorted(rows["parcel"]) == sorted(expected["parcel"])


def test_a_pinned_version_is_read_for_good_and_without_one_the_newest(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write(folder / "orders", ROWS.assign(weight=0.0), mode="overwrite")
    pinned = rows_of(data_of(source={"version": 11}), folder, "2024-03", "2024-04")
    assert pinned["weight"].sum() > 0
    assert rows_of(data_of(), folder, "2024-03")["weight"].sum() == 0
    assert "version 12 of the table" in caplog.text


@pytest.mark.parametrize("kept", ["naive", "date", "text"])
def test_event_times_are_bounded_as_the_table_keeps_them(tmp_path: Path, kept: str) -> None:
    local = ROWS["sent_at"].dt.tz_convert("America/New_York")
    times = {
        "naive": local.dt.tz_localize(None).astype("datetime64[us]"),
        "date": local.dt.date,
        "text": local.dt.tz_localize(None).astype("datetime64[us]").map(lambda time: time.isoformat()),
    }[kept]
    write(tmp_path / "orders", ROWS.assign(sent_at=times))
    data = data_of(timezone="America/New_York", source={"types": {"sent_at": "timestamp"}}, ambiguous="earlier")
    rows = rows_of(data, tmp_path, "2024-05")
    if kept == "date":
        expected = ROWS[
            (local.dt.normalize() >= pd.Timestamp(month(5))) & (local.dt.normalize() < pd.Timestamp(month(6)))
        ]
    else:
        expected = ROWS[(ROWS["sent_at"] >= month(5)) & (ROWS["sent_at"] < month(6))]
    inside = rows[(rows["sent_at"] >= month(5)) & (rows["sent_at"] < month(6))]
    assert sorted(inside["parcel"]) == sorted(expected["parcel"])


def test_a_table_in_s3_is_read_with_the_connection_s_credentials(tmp_path: Path, s3_client: Any) -> None:
    bucket = f"lake-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    write(tmp_path / "orders", ROWS)
    for file in (tmp_path / "orders").rglob("*"):
        if file.is_file():
            s3_client.upload_file(str(file), bucket, f"orders/{file.relative_to(tmp_path / 'orders')}")

    class Opened:
        def s3(self, connection: str | None) -> Any:
            assert connection == "lake"
            return s3_client

        def sql(self, connection: str) -> Any:
            raise AssertionError(connection)

    data = data_of(f"s3://{bucket}/orders", source={"connection": "lake"})
    expected = ROWS[(ROWS["sent_at"] >= month(3)) & (ROWS["sent_at"] < month(4))]
    rows = rows_of(data, tmp_path, "2024-03", connections=Opened())
    inside = rows[(rows["sent_at"] >= month(3)) & (rows["sent_at"] < month(4))]
    assert sorted(inside["parcel"]) == sorted(expected["parcel"])


def test_what_can_not_be_read_is_named_with_a_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, kind, message in (
        (data_of("nothing"), SourceError, r"no Delta Lake table"),
        (data_of("../.."), SourceError, r"leads out of the model's folder"),
        (data_of(source={"version": 99}), SourceError, r"(?s)can't be read.*data\.source\.version"),
        (data_of(event_time="when"), SourceError, r"no column of times `when`"),
    ):
        with pytest.raises(kind, match=message):
            rows_of(data, folder, "2024-03")
    lost = next((folder / "orders").glob("*.parquet"))
    lost.unlink()
    with pytest.raises(RatchetError, match=r"(?s)can't be read.*vacuum"):
        rows_of(data_of(), folder, *(f"2024-{number:02d}" for number in range(1, 13)))
    monkeypatch.setitem(__import__("sys").modules, "deltalake", None)
    with pytest.raises(ConfigError, match=r"requirements-lake\.txt"):
        rows_of(data_of(), folder, "2024-03")


def test_a_table_is_no_folder_of_files(folder: Path) -> None:
    files = {"kind": "files", "path": "orders", "format": "parquet"}
    data = Data.model_validate(data_of().model_dump() | {"source": files})
    with pytest.raises(SourceError, match=r"(?s)is a Delta Lake table.*kind: delta"):
        rows_of(data, folder, "2024-03")
    named = Data.model_validate(data_of().model_dump() | {"source": files | {"path": "orders/*.parquet"}})
    assert len(rows_of(named, folder, "2024-03")) == len(ROWS)


def test_a_model_on_a_table_is_trained_scored_and_reproduced_after_the_table_went_on(tmp_path: Path) -> None:
    home = tmp_path / "parcels"
    plain = declare(home, parcels())
    store, lake = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "lake")
    run_chain(store, plain, home, month(4))
    other = tmp_path / "other" / "parcels"
    model = declare(other, parcels(), source="{kind: delta, path: orders}")
    for file in ("source.py", "rows.parquet"):
        (other / file).unlink()
    write(other / "orders", parcels())
    done = run_chain(lake, model, other, month(4))
    fits = {key: body for key, body in objects(lake).items() if "/models/" in key}
    assert fits == {key: body for key, body in objects(store).items() if "/models/" in key}, "the rows are the same"
    interval = interval_at(model, month(6))
    snapshot = ingest_interval(lake, model, other, interval, at=NOW, connections=None)
    manifest = score(lake, model, other, snapshot, at=NOW)
    assert done["decide"]["outcome"] == "PROMOTE"
    assert manifest is not None and manifest.rows > 100
    write(other / "orders", parcels().iloc[:50], mode="append")  # rows twice, which a run from now on refuses
    version = Ledger(lake, "parcels").timeline().standings[0].version
    again = reproduce(lake, model, other, version, at=datetime(2026, 1, 2, tzinfo=UTC), connections=None)
    assert again.outcome is Outcome.IDENTICAL
    shutil.rmtree(other / "orders")
    assert reproduce(lake, model, other, version, at=NOW, connections=None).outcome is Outcome.IDENTICAL
