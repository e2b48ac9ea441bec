"""Text is read in the encoding that is declared, and nothing is taken for text that is none."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import find_files
from include.data.sources.formats.text import read_text
from include.errors import SourceError

CITIES = ["Köln", "Łódź", "東京", "Straße", "naïve"]


@pytest.fixture
def read(tmp_path: Path):
    def read(body: bytes, name: str = "rows.csv", **settings: Any) -> list[str]:
        (tmp_path / name).write_bytes(body)
        kind = "json_lines" if "jsonl" in name else "csv"
        columns = settings.pop("columns", {"city": {"type": "string"}})
        source = FilesSource.model_validate(
            {"kind": "files", "path": name, "format": kind, "columns": columns, **settings}
        )
        (file,) = find_files(source, [], "UTC", tmp_path, None)
        table = pa.concat_tables(list(read_text(file, source, "UTC")))
        return list(table[next(iter(columns))].to_pylist())

    return read


def csv_of(cities: list[str], end: str = "\n") -> str:
    return end.join(["id,city", *(f"{n},{city}" for n, city in enumerate(cities))]) + end


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("encoding", "cities"),
    [
        ("utf-8", CITIES),
        ("utf-8-sig", CITIES),
        ("utf-16", CITIES),
        ("utf-32", CITIES),
        ("utf-16-le", CITIES),
        ("utf-16-be", CITIES),
        ("windows-1252", ["Köln", "€ 5", "naïve"]),
        ("latin-1", ["Köln", "naïve"]),
        ("cp1250", ["Łódź"]),
        ("shift_jis", ["東京"]),
        ("gb18030", CITIES),
    ],
)
def test_csv_is_read_in_every_encoding_with_every_line_end(read, encoding, cities, packed, end) -> None:
    many = cities * 3000
    body = csv_of(many, end).encode(encoding)
    name = "rows.csv.gz" if packed else "rows.csv"
    assert read(gzip.compress(body) if packed else body, name, encoding=encoding) == many


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_json_lines_are_read_in_every_encoding(read, encoding, end) -> None:
    many = ["Köln", "naïve"] * 3000
    body = "".join(f'{{"city": "{city}"}}{end}' for city in many).encode(encoding)
    assert read(body, "rows.jsonl", encoding=encoding) == many


def test_a_mark_is_no_part_of_a_name_where_the_byte_order_is_declared(read) -> None:
    assert read("\ufeffcity\nKöln\n".encode("utf-16-le"), encoding="utf-16-le") == ["Köln"]


@pytest.mark.parametrize(
    ("body", "encoding", "remedy"),
    [
        (csv_of(CITIES).encode("utf-16"), "utf-8", "`encoding: utf-16`"),
        (csv_of(CITIES).encode("utf-32"), "utf-8", "`encoding: utf-32`"),
        (csv_of(["Köln"]).encode("utf-8-sig"), "windows-1252", "`encoding: utf-8`"),
        (csv_of(CITIES).encode("utf-16-le"), "utf-16", "`encoding: utf-16-le`"),
        (csv_of(["Köln"]).encode("windows-1252"), "utf-8", "`encoding: windows-1252`"),
        ("id,city\n0,x\n".replace("city", "Stückzahl").encode("latin-1"), "utf-8", "`encoding: windows-1252`"),
        (csv_of(["a", "b"]).encode() + b"9,\x81\n", "windows-1252", r"line 4(.|\n)*correct `data.source.encoding`"),
        (csv_of(CITIES).encode("utf-16")[:-1], "utf-16", "correct `data.source.encoding`"),
    ],
)
def test_text_in_another_encoding_is_refused_with_the_one_to_declare(read, body, encoding, remedy) -> None:
    with pytest.raises(SourceError, match=remedy) as caught:
        read(body, encoding=encoding)
    assert "Köln" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["base64", "unicode_escape", "idna", "rot13", "utf-7", "klingon", ""])
def test_only_an_encoding_of_text_can_be_declared(encoding) -> None:
    with pytest.raises(ValidationError, match="expected an encoding"):
        FilesSource(kind="files", path="x.csv", format="csv", encoding=encoding)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml" + b"junk\0" * 99, "Excel workbook"),
        (b"PK\x03\x04" + b"junk\0" * 99, "ZIP"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "old Excel workbook"),
        (gzip.compress(b"id,city\n", mtime=0), "gzip"),
        (b"PAR1\x15\x04" + bytes(99), "Parquet"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\n<!DOCTYPE html><html>sign in</html>", "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\x7fELF\x02\x01", "program"),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_file_that_is_no_text_is_named_by_what_it_is(read, body, kind, name) -> None:
    with pytest.raises(SourceError, match=rf"(?s)The file is no text.*found: {kind}") as caught:
        read(body, name)
    assert "PK" not in str(caught.value) and "sign in" not in str(caught.value)


@pytest.mark.parametrize("name", ["ORCHID", "BZh", "PAR1", "ARROW1"])
def test_a_header_may_begin_as_a_binary_file_does(read, name) -> None:
    assert read(f"{name},city\n1,Graz\n".encode()) == ["Graz"]


def test_no_line_of_a_foreign_file_stands_in_a_message(read) -> None:
    with pytest.raises(SourceError) as caught:
        read(b"root:x:0:0:secret,token\nroot:y\n", columns={"city": {"type": "string"}})
    assert "secret" not in str(caught.value) and "token" not in str(caught.value)
    with pytest.raises(SourceError, match="columns 1, 2") as caught:
        read(b"secret,secret\n1,2\n")
    assert "secret" not in str(caught.value)
