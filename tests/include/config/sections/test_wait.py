"""What a run waits for is declared whole, or answered with what is lacking; what says no more than before is stored as before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.config.sections.data import Data
from include.config.sections.rows.wait import Wait

MARKER = "s3://lake/orders/%Y-%m-%d/_SUCCESS"


def data(partition: str, wait: Any, **more: Any) -> Data:
    return Data.model_validate(
        {
            **more,
            "source": {"kind": "python", "reader": "source:read"},
            "event_time": "at",
            "row_id": "id",
            "target": "y",
            "partition": partition,
            "windows": {"train": "60d", "holdout": "30d"},
            "wait": wait,
        }
    )


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        ({"until": "file"}, "expected `file` with `until: file`"),
        ({"file": MARKER}, "expected `file` and `connection` with `until: file` only"),
        ({"connection": "lake"}, "expected `file` and `connection` with `until: file` only"),
        ({"until": "watermark", "file": MARKER}, "expected `file` and `connection` with `until: file` only"),
        ({"until": "file", "file": MARKER, "rows": 3}, "expected `rows` with `until: rows` only"),
        ({"until": "file", "file": MARKER, "within": "2h"}, "expected `within` with `until: watermark` only"),
        ({"until": "file", "file": "_SUCCESS"}, "expected `%Y` in `wait.file`, so that each day has a marker"),
        ({"until": "file", "file": "%Y-%m/_SUCCESS"}, "expected `%d` in `wait.file`"),
        ({"until": "file", "file": "%Y-%j/_SUCCESS"}, "expected the date parts %Y, %m, %d and %H, found `%j`"),
        ({"until": "file", "file": "{slot}/_SUCCESS"}, "expected `%Y` in `wait.file`"),
        ({"until": "file", "file": "gs://lake/%Y-%m-%d"}, "expected a path or an `s3://` address, found `gs://`"),
        ({"until": "file", "file": "s3://lake/%Y-%m-%d/"}, "expected a file, found the folder"),
    ],
)
def test_a_wait_that_says_too_little_or_too_much_is_a_mistake(wait: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        data("day", {"at_most": "6h", **wait})
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("partition", "file", "lacks"),
    [
        ("month", "%Y-%m.ok", None),
        ("month", "%Y.ok", "%m"),
        ("month", MARKER, None),
        ("hour", MARKER, "%H"),
        ("hour", "%Y/%m/%d/%H.ok", None),
    ],
)
def test_a_markers_name_tells_partitions_apart(partition: str, file: str, lacks: str | None) -> None:
    wait = {"at_most": "6h", "until": "file", "file": file}
    if lacks is None:
        assert data(partition, wait).wait.file == file
    else:
        with pytest.raises(ValidationError, match=f"expected `{lacks}`"):
            data(partition, wait)


def test_a_wait_is_stored_as_it_was_before_markers() -> None:
    stored = Wait.model_validate({"at_most": "6h", "until": "watermark"}).model_dump(mode="json")
    assert stored == {"at_most": "6h", "until": "watermark", "rows": 1, "within": "1h"}
    marked = Wait.model_validate({"at_most": "6h", "until": "file", "file": MARKER, "connection": "lake"})
    assert Wait.model_validate(marked.model_dump(mode="json")) == marked


@pytest.mark.parametrize(
    ("partition", "file", "zone", "due"),
    [
        ("day", MARKER, "UTC", None),
        ("day", MARKER, "America/New_York", None),
        ("day", MARKER, "Europe/Berlin", "23:00:00"),
        ("day", "%Y-%m-%d/%H.ok", "Europe/Berlin", None),
        ("day", "%Y-%m-%d/%H.ok", "Asia/Kolkata", None),
        ("month", "%Y-%m.ok", "Asia/Tokyo", "30 days, 15:00:00"),
        ("month", MARKER, "America/New_York", None),
    ],
)
def test_a_wait_is_longer_than_the_last_marker_takes(partition: str, file: str, zone: str, due: str | None) -> None:
    wait = {"until": "file", "file": file}
    if due is None:
        data(partition, {"at_most": "6h", **wait}, timezone=zone)
        return
    with pytest.raises(ValidationError) as caught:
        data(partition, {"at_most": "6h", **wait}, timezone=zone)
    assert f"expected `wait.at_most` above {due}: in {zone} the last marker" in str(caught.value)
    data(partition, {"at_most": "2mo", **wait}, timezone=zone)
