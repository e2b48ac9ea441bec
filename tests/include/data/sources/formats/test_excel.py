"""Excel workbooks: cells are kept as they are, and what a workbook does not say is asked."""

from __future__ import annotations

import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.config.sections.rows.sources import FilesSource
from include.data.sources.file_listing import File
from include.data.sources.formats.excel import read_excel
from include.errors import SourceError

COLUMNS = {"id": "string", "day": "timestamp", "x": "float", "n": "integer", "ok": "boolean"}
HEADER = [*COLUMNS, None, "note"]
ROW: list[Any] = ["007", datetime(2025, 1, 2, 3, 4, 5), 0.1, 7, True, "beside", "free"]


@pytest.fixture
def read(tmp_path: Path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")

    def read(sheets: dict[str, list[list[Any]]], hidden: tuple[str, ...] = (), **source: Any) -> pa.Table:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            sheet.sheet_state = "hidden" if title in hidden else "visible"
            for row in rows:
                sheet.append(row)
        path = tmp_path / "rows.xlsx"
        book.save(path)
        return read_file(path, **source)

    return read


def read_file(path: Path, columns: dict[str, Any] = COLUMNS, **source: Any) -> pa.Table:
    declared = {name: word if isinstance(word, dict) else {"type": word} for name, word in columns.items()}
    declaration = FilesSource(kind="files", path=path.name, format="excel", columns=declared, **source)
    return pa.concat_tables(read_excel(File(path.name, lambda: path.open("rb"), path), declaration, "UTC"))


def test_cells_keep_their_values_and_empty_rows_are_none(read) -> None:
    table = read({"a": [[], HEADER, ROW, [None] * 7, [8, date(2025, 1, 3), 1e20, -1.0, False]]})
    assert table["id"].to_pylist() == ["007", "8"]
    assert [str(day) for day in table["day"].to_pylist()] == ["2025-01-02 03:04:05+00:00", "2025-01-03 00:00:00+00:00"]
    assert table["x"].to_pylist() == [0.1, 1e20] and table["n"].to_pylist() == [7, -1]
    assert table["ok"].to_pylist() == [True, False]


def test_more_rows_than_one_batch_are_read_in_their_order(read) -> None:
    rows = [[str(n), date(2025, 1, 1), n / 4, n, True] for n in range(9_000)]
    assert read({"a": [HEADER, *rows]})["x"].to_pylist() == [n / 4 for n in range(9_000)]


def test_the_only_sheet_that_is_not_hidden_is_read_and_of_several_one_is_asked_for(read) -> None:
    sheets = {"lists": [["k"], [1]], "rows": [HEADER, ROW], "more": [["k"], [2]]}
    with pytest.raises(SourceError, match="Which sheet") as refused:
        read(sheets, hidden=("lists",))
    assert refused.value.found == "rows, more"
    assert read(sheets, sheet="rows").num_rows == read(sheets, hidden=("lists", "more")).num_rows == 1
    with pytest.raises(SourceError, match="no sheet `Rows`"):
        read(sheets, sheet="Rows")


@pytest.mark.parametrize(
    ("cell", "says"),
    [("=1/3", "never computed"), ("#DIV/0!", "in data row 1"), ("n/a", "in data row 1"), (time(3, 4), "in data row 1")],
)
def test_a_cell_that_is_no_number_is_never_a_missing_one(read, cell, says) -> None:
    with pytest.raises(SourceError) as refused:
        read({"a": [HEADER, ["1", date(2025, 1, 1), cell, 1, True]]})
    assert says in str(refused.value)


def test_a_formula_that_gave_an_empty_text_is_no_value(read, tmp_path) -> None:
    with pytest.raises(SourceError, match="never computed"):
        read({"a": [HEADER, ["1", date(2025, 1, 1), '=IF(A2="","",0.5)', 1, True]]})
    path = tmp_path / "computed.xlsx"
    with zipfile.ZipFile(tmp_path / "rows.xlsx") as before, zipfile.ZipFile(path, "w") as after:
        for member in before.namelist():
            body = before.read(member)
            if member == "xl/worksheets/sheet1.xml":
                # What Excel and LibreOffice keep beside such a formula.
                kept = re.sub(rb'<c r="C2"[^>]*>(<f>.*?</f>)<v ?/?>(</v>)?', rb'<c r="C2" t="str">\1<v></v>', body)
                assert kept != body
                body = kept
            after.writestr(member, body)
    assert read_file(path)["x"].to_pylist() == [None]


def test_a_formula_is_seen_also_where_the_names_of_elements_have_a_prefix(read, tmp_path) -> None:
    with pytest.raises(SourceError, match="never computed"):
        read({"a": [HEADER, ["1", date(2025, 1, 1), "=1/3", 1, True]]})
    path = tmp_path / "prefixed.xlsx"
    with zipfile.ZipFile(tmp_path / "rows.xlsx") as before, zipfile.ZipFile(path, "w") as after:
        for member in before.namelist():
            body = before.read(member)
            if member == "xl/worksheets/sheet1.xml":
                # As the Open XML SDK writes it, and so the exports of many servers.
                body = re.sub(rb"<(/?)(?=[a-zA-Z])", rb"<\1x:", body).replace(b"xmlns=", b"xmlns:x=", 1)
                assert b"<x:f>" in body
            after.writestr(member, body)
    with pytest.raises(SourceError, match="never computed"):
        read_file(path)


def test_an_error_cell_may_be_declared_as_missing(read) -> None:
    columns = {**COLUMNS, "x": {"type": "float", "missing": ["", "#N/A"]}}
    assert read({"a": [HEADER, ["1", date(2025, 1, 1), "#N/A", 1, True]]}, columns=columns)["x"].null_count == 1


def test_a_workbook_without_declared_columns_is_answered_with_what_to_paste(read) -> None:
    with pytest.raises(SourceError) as refused:
        read({"a": [HEADER, ROW]}, columns={})
    assert "day: {type: timestamp}" in str(refused.value) and "id: {type: string}" in str(refused.value)


def test_a_bomb_is_refused_by_its_ratio(tmp_path) -> None:
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(2**27))
    with pytest.raises(SourceError, match="expands to an implausible size"):
        read_file(tmp_path / "b.xlsx")


@pytest.mark.parametrize(
    ("body", "found"), [(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "locked"), (b"PK\x03\x04", "damaged"), (b"a,b\n1,2\n", "other bytes")]
)  # fmt: skip
def test_what_is_no_workbook_is_called_what_it_is(tmp_path, body, found) -> None:
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    (tmp_path / "b.xlsx").write_bytes(body)
    with pytest.raises(SourceError, match="can't be read as an Excel workbook") as refused:
        read_file(tmp_path / "b.xlsx")
    assert found in str(refused.value.found)


def test_without_the_extra_the_message_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"requirements-excel\.txt"):
        read_file(tmp_path / "b.xlsx")


def test_dates_beside_texts_of_dates_are_read_by_the_declared_format(read) -> None:
    rows = [["1", "31.12.2025"], ["2", datetime(2025, 12, 30)], ["3", datetime(2025, 12, 29, 14)]]
    day = {"id": "string", "day": {"type": "date", "format": "%d.%m.%Y"}}
    table = read({"a": [["id", "day"], *rows[:2]]}, columns=day)
    assert table["day"].to_pylist() == [date(2025, 12, 31), date(2025, 12, 30)]
    with pytest.raises(SourceError):  # an hour that the format would drop
        read({"a": [["id", "day"], *rows]}, columns=day)
