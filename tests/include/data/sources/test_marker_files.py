"""The marker of a partition is there when each of its dates has one, on disk and in S3."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from include.config.sections.data import Data
from include.data.sources.marker_files import missing_marker
from include.errors import SourceError


def data(file: str, partition: str = "day", timezone: str = "UTC", **wait: Any) -> Data:
    return Data.model_validate(
        {
            "source": {"kind": "python", "reader": "source:read"},
            "event_time": "at",
            "row_id": "id",
            "target": "y",
            "partition": partition,
            "timezone": timezone,
            "windows": {"train": "60d", "holdout": "30d"},
            "wait": {"at_most": "6h", "until": "file", "file": file, **wait},
        }
    )


@pytest.fixture(params=["disk", "s3"])
def place(request: Any, folder: Path, doors: Any) -> Any:
    """Write a marker, and tell which is missing: on disk, or in a bucket behind a connection."""
    if request.param == "disk":

        def put(name: str) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()

        return put, lambda file, slot, **of: missing_marker(data(file, **of), slot, folder, doors())
    client, bucket, asked = request.getfixturevalue("s3_client"), f"marks-{uuid.uuid4().hex}", []
    client.create_bucket(Bucket=bucket)

    class Named(doors):  # type: ignore[misc, valid-type] # the fixture's class
        def s3(self, connection: str | None) -> Any:
            asked.append(connection)
            return client

    def missing(file: str, slot: str, **of: Any) -> str | None:
        found = missing_marker(data(f"s3://{bucket}/{file}", connection="lake", **of), slot, folder, Named())
        assert asked.pop() == "lake"
        return None if found is None else found.removeprefix(f"s3://{bucket}/")

    return lambda name: client.put_object(Bucket=bucket, Key=name, Body=b""), missing


def test_a_marker_is_missing_until_it_is_written(place: Any) -> None:
    put, missing = place
    file = "orders/%Y-%m-%d/_SUCCESS"
    put("orders/2026-03-01/_SUCCESS")
    put("orders/2026-03-02/part-0.parquet")
    put("orders/2026-03-02/_SUCCESS.tmp")
    assert missing(file, "2026-03-01") is None
    assert missing(file, "2026-03-02") == "orders/2026-03-02/_SUCCESS", "rows alone, or a name that begins alike"
    assert missing("orders/%Y-%m-%d/*.done", "2026-03-01") == "orders/2026-03-01/*.done"
    put("orders/2026-03-01/a.done")
    assert missing("orders/%Y-%m-%d/*.done", "2026-03-01") is None


def test_each_date_of_a_partition_needs_its_marker(place: Any) -> None:
    put, missing = place
    for day in range(1, 31):
        put(f"days/2026-04-{day:02d}.ok")
        assert missing("days/%Y-%m-%d.ok", "2026-04", partition="month") == (
            None if day == 30 else f"days/2026-04-{day + 1:02d}.ok"
        )


def test_dates_of_markers_are_those_of_the_zone(place: Any) -> None:
    put, missing = place
    put("2026-03-01.ok")
    assert missing("%Y-%m-%d.ok", "2026-03-01") is None
    where = {"timezone": "America/New_York"}
    assert missing("%Y-%m-%d.ok", "2026-03-01", **where) == "2026-02-28.ok", "the evening of the day before is in it"


def test_a_marker_on_disk_lies_in_the_models_folder_or_where_it_is_permitted(
    tmp_path: Path, folder: Path, doors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "lake" / "2026-03-01"
    other.mkdir(parents=True)
    (other / "_SUCCESS").touch()
    declared = data(f"{tmp_path}/lake/%Y-%m-%d/_SUCCESS")
    with pytest.raises(SourceError, match=r"data\.wait\.file") as caught:
        missing_marker(declared, "2026-03-01", folder, doors())
    assert "RATCHET_SOURCE_FOLDERS" in str(caught.value)
    monkeypatch.setenv("RATCHET_SOURCE_FOLDERS", str(tmp_path / "lake"))
    assert missing_marker(declared, "2026-03-01", folder, doors()) is None


def test_a_bucket_that_may_not_be_listed_is_an_error_and_no_missing_marker(
    s3_client: Any, folder: Path, doors: Any
) -> None:
    declared = data(f"s3://no-such-bucket-{uuid.uuid4().hex}/%Y-%m-%d/_SUCCESS")
    with pytest.raises(SourceError, match=r"data\.wait\.connection") as caught:
        missing_marker(declared, "2026-03-01", folder, doors(s3_client))
    assert "NoSuchBucket" in str(caught.value)
