"""A packed file gives the rows that were packed, or an error: never some of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import find_files
from include.data.sources.formats.text import read_text
from include.errors import SourceError

LINES = b"a,b\n" + b"".join(b"%d,row %d\n" % (n, n * 7919 % 10_007) for n in range(5000))


def zipped(**members: bytes) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("/MACOSX/", "__MACOSX"), content)
    return body.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda body: pa.compress(body, codec="zstd", asbytes=True),
    "zip": lambda body: zipped(rows=body),
}


@pytest.fixture
def read(tmp_path: Path):
    def read(body: bytes, end: str) -> pa.Table:
        (tmp_path / f"rows.csv.{end}").write_bytes(body)
        columns = {"a": {"type": "integer"}, "b": {"type": "string"}}
        source = FilesSource.model_validate(
            {"kind": "files", "path": f"rows.csv.{end}", "format": "csv", "columns": columns}
        )
        (file,) = find_files(source, [], "UTC", tmp_path, None)
        return pa.concat_tables(list(read_text(file, source, "UTC")))

    return read


@pytest.mark.parametrize("end", PACK)
def test_a_packed_file_gives_all_rows(read, end) -> None:
    table = read(PACK[end](LINES), end)
    assert (table.num_rows, table["a"].to_pylist()) == (5000, list(range(5000)))
    assert read(PACK[end](LINES), end.upper()).equals(table)


@pytest.mark.parametrize("end", ["gz", "bz2", "xz", "zst"])
def test_files_packed_one_behind_the_other_are_one_text(read, end) -> None:
    head, tail = LINES[:20_000], LINES[20_000:]
    assert read(PACK[end](head) + PACK[end](tail), end).num_rows == 5000


@pytest.mark.parametrize("end", PACK)
@pytest.mark.parametrize("left", [0.3, 0.9, 0.9999])
def test_a_packed_file_that_is_cut_off_gives_no_rows(read, end, left) -> None:
    whole = PACK[end](LINES)
    with pytest.raises(SourceError, match="cut off or damaged"):
        read(whole[: int(len(whole) * left)], end)


@pytest.mark.parametrize("end", PACK)
def test_a_packed_file_with_other_bytes_inside_gives_no_rows(read, end) -> None:
    whole = bytearray(PACK[end](LINES))
    whole[len(whole) // 2] ^= 0xFF
    try:
        table = read(bytes(whole), end)
    except SourceError:
        return
    # zstd as pyarrow writes it has no checksum: what it can't tell, the parser or nobody can.
    assert end == "zst" and table.num_rows <= 5000


@pytest.mark.parametrize("end", ["gz", "bz2", "zst", "zip"])
def test_a_file_that_inflates_without_end_is_stopped(read, end) -> None:
    with pytest.raises(SourceError, match="expands to an implausible size"):
        read(PACK[end](b"a,b\n" + b"1,%b\n" % (b"x" * 1000) * 150_000), end)


def test_an_xz_file_that_asks_for_much_memory_is_refused(read) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**30}]
    with pytest.raises(SourceError, match="cut off or damaged"):
        read(lzma.compress(LINES, filters=filters), "xz")


@pytest.mark.parametrize("end", PACK)
@pytest.mark.parametrize(
    ("body", "found"), [(b"a,b\nsecret,x\n", "something else"), (b"PAR1\x15\x04\x15", "Parquet"), (b"%PDF-1.7", "PDF")]
)
def test_a_file_that_is_not_packed_as_its_name_says_is_named_by_what_it_is(read, end, body, found) -> None:
    with pytest.raises(SourceError, match=f"not packed as its name says(.|\n)*found: {found}") as caught:
        read(body, end)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (zipped(one=LINES, two=LINES), "found 2"),
        (zipped(), "found 0"),
        (zipped(**{"[Content_Types].xml": b"<x/>", "xl__workbook.xml": b"<x/>"}), "found 2"),
    ],
)
def test_an_archive_of_more_than_one_file_is_refused(read, body, message) -> None:
    with pytest.raises(SourceError, match=f"(?s)can't be read as one text.*{message}|not packed"):
        read(body, "zip")


def test_what_a_mac_adds_to_an_archive_is_passed_over(read) -> None:
    assert read(zipped(rows=LINES, __MACOSX____rows=b"x"), "zip").num_rows == 5000
