"""A path means the same files on disk and in S3."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import _meant, find_files
from include.data.sources.file_patterns import matches
from include.errors import ConfigError, SourceError

TREE = (
    "sales/1.csv", "sales/2.csv", "sales/test/x.csv", "sales/test/deep/y.csv", "sales/_SUCCESS", "sales/.part.crc",
    "sales/_old/z.csv", "sales/.git/config.csv", "sales2/1.csv", "in/2026-04/a.csv", "in/2026-04/_SUCCESS", "in/2026-05/b.csv",
    "[x]/rows.csv", "x/rows.csv", "one.csv", "one.csv.bak",
)  # fmt: skip
MEANT = {
    "sales": {"sales/1.csv", "sales/2.csv", "sales/test/x.csv", "sales/test/deep/y.csv"},
    "sales/": {"sales/1.csv", "sales/2.csv", "sales/test/x.csv", "sales/test/deep/y.csv"},
    "sales/*.csv": {"sales/1.csv", "sales/2.csv"},
    "sales/*": {"sales/1.csv", "sales/2.csv"},
    "sales*/*.csv": {"sales/1.csv", "sales/2.csv", "sales2/1.csv"},
    "sales/*/*.csv": {"sales/test/x.csv"},
    "sales/**/*.csv": {"sales/1.csv", "sales/2.csv", "sales/test/x.csv", "sales/test/deep/y.csv"},
    "sales/**": {"sales/1.csv", "sales/2.csv", "sales/test/x.csv", "sales/test/deep/y.csv"},
    "**/x.csv": {"sales/test/x.csv"},
    "sales/_*": {"sales/_SUCCESS"},
    "sales/_old/*.csv": {"sales/_old/z.csv"},
    "sales/_old": {"sales/_old/z.csv"},
    "sales/.*": {"sales/.part.crc"},
    "sales/[12].csv": {"sales/1.csv", "sales/2.csv"},
    "sales/[!1].csv": {"sales/2.csv"},
    "sales/?.csv": {"sales/1.csv", "sales/2.csv"},
    "in/%Y-%m": {"in/2026-04/a.csv"},
    "in/%Y-%m/*.csv": {"in/2026-04/a.csv"},
    "[x]/*.csv": {"x/rows.csv"},
    "[[]x]/*.csv": {"[x]/rows.csv"},
    "one.csv": {"one.csv"},
}  # fmt: skip


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[str], set[str]]:
    # The place itself is named like a pattern: only `data.source.path` is one.
    root = tmp_path / "[checkout]*" / "model"
    for name in TREE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()

    def look_up(path: str) -> set[str]:
        source = FilesSource(kind="files", path=path, format="csv")
        found = [Path(file.name) for file in find_files(source, ["2026-04"], "UTC", root, None)]
        assert found == sorted(found)
        return {str(file.relative_to(root)) for file in found}

    return look_up


@pytest.fixture(scope="module")
def in_s3(s3_client: Any) -> Callable[[str], set[str]]:
    bucket = f"files-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    for name in (*TREE, "sales/", "sales/empty/", "in//c.csv"):
        s3_client.put_object(Bucket=bucket, Key=name, Body=b"")

    class Doors:
        def s3(self, connection: str | None) -> Any:
            return s3_client

    def look_up(path: str) -> set[str]:
        source = FilesSource(kind="files", path=f"s3://{bucket}/{path}", format="csv")
        found = [file.name for file in find_files(source, ["2026-04"], "UTC", Path(), Doors())]
        assert found == sorted(found)
        return {name.removeprefix(f"s3://{bucket}/") for name in found}

    return look_up


@pytest.mark.parametrize(("path", "meant"), MEANT.items(), ids=MEANT.keys())
def test_a_path_means_the_same_files_on_disk_and_in_s3(on_disk, in_s3, path, meant) -> None:
    assert on_disk(path) == meant
    assert in_s3(path) == meant


@pytest.mark.parametrize("path", ["none", "none/", "none/*.csv", "sales/*.parquet", "one", "sales/1.csv/*"])
def test_a_path_that_means_no_file_is_an_error_on_disk_and_in_s3(on_disk, in_s3, path) -> None:
    for look_up in (on_disk, in_s3):
        with pytest.raises(SourceError, match="No file of the source was found"):
            look_up(path)


def test_hidden_files_and_markers_are_passed_over_aloud(on_disk, caplog) -> None:
    caplog.set_level(logging.INFO)
    on_disk("sales/*")
    assert "2 hidden files or markers were passed over, such as .part.crc" in caplog.text


def test_a_folder_that_holds_a_link_to_one_of_its_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(SourceError, match="two names"):
        list(find_files(FilesSource(kind="files", path=".", format="csv"), [], "UTC", tmp_path, None))


class CountedName(str):
    """A file's name that counts how often any of its kind is hashed."""

    hashed = 0
    __eq__ = str.__eq__

    def __hash__(self) -> int:
        CountedName.hashed += 1
        return str.__hash__(self)


def test_each_name_of_a_listing_is_looked_at_a_few_times_however_many_there_are() -> None:
    names = [CountedName(f"{number}.csv") for number in range(500)]
    CountedName.hashed = 0
    assert _meant([*names, CountedName(".part.csv")], "*.csv", "here") == names
    assert CountedName.hashed < 5 * len(names)


NAMES = st.lists(st.text("ab._*", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(pattern=NAMES, name=st.lists(st.text("ab._", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join))
def test_a_star_never_stands_for_a_slash(pattern, name) -> None:
    if "**" not in pattern.split("/") and matches(pattern, name):
        assert pattern.count("/") == name.count("/")


@pytest.mark.parametrize(
    "path", ["../secret/rows.csv", "/ABSOLUTE/rows.csv", "../secret/*.csv", "in/../../secret", "../secret/%Y.csv"]
)
def test_a_path_leaves_the_model_s_folder_only_where_the_deployment_allows_it(tmp_path, monkeypatch, path) -> None:
    model, other = tmp_path / "models" / "shop", tmp_path / "models" / "secret"
    (model / "in").mkdir(parents=True)
    other.mkdir()
    for name in ("rows.csv", "2026.csv"):
        (other / name).write_text("token\n1\n")
    path = path.replace("/ABSOLUTE", str(other))
    source = FilesSource(kind="files", path=path, format="csv")
    with pytest.raises(SourceError, match=f"(?s)leads out of the model's folder.*RATCHET_SOURCE_FOLDERS={other}"):
        list(find_files(source, ["2026-04"], "UTC", model, None))
    monkeypatch.setenv("RATCHET_SOURCE_FOLDERS", f"/nowhere:{other}")
    assert {Path(file.name).name for file in find_files(source, ["2026-04"], "UTC", model, None)} <= {
        "rows.csv",
        "2026.csv",
    }
    monkeypatch.setenv("RATCHET_SOURCE_FOLDERS", "data")
    with pytest.raises(ConfigError, match="absolute paths"):
        list(find_files(source, ["2026-04"], "UTC", model, None))


def test_a_link_out_of_the_model_s_folder_is_no_way_around_it(tmp_path) -> None:
    model = tmp_path / "shop"
    model.mkdir()
    (tmp_path / "rows.csv").write_text("token\n1\n")
    (model / "rows.csv").symlink_to(tmp_path / "rows.csv")
    (model / "in").symlink_to(tmp_path)
    for path in ("rows.csv", "in/rows.csv", "in/*.csv"):
        with pytest.raises(SourceError, match="leads elsewhere|leads out of"):
            list(find_files(FilesSource(kind="files", path=path, format="csv"), [], "UTC", model, None))


def test_a_file_that_may_not_be_read_is_an_answer(tmp_path) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    (file,) = find_files(FilesSource(kind="files", path="rows.csv", format="csv"), [], "UTC", tmp_path, None)
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(SourceError, match="can't be opened"):
        file.open()
