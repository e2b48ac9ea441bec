"""Files as people have them are drafted, run as drafted, or answered in plain words: never with a traceback."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.config.load import load_model
from include.data.sources.registry import read
from include.drafting.draft import draft
from include.drafting.draft_summary import Draft
from include.errors import RatchetError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 600
_RANDOM = np.random.default_rng(0)
_X = _RANDOM.normal(size=ROWS)
TABLE = pd.DataFrame(
    {
        "id": [f"{n:05d}" for n in range(ROWS)],
        "day": pd.date_range("2025-01-01", "2025-05-31 23:00", periods=ROWS).strftime("%Y-%m-%d %H:%M:%S"),
        "x": _X.round(3),
        "y": _RANDOM.normal(size=ROWS).round(3),
        "city": _RANDOM.choice(["Köln", "Paris", "Graz"], ROWS),
        "late": np.where(_X + _RANDOM.normal(size=ROWS) > 0, "yes", "no"),
    }
)
CSV = TABLE.to_csv(index=False)
DAYS = pd.to_datetime(TABLE["day"])


@pytest.fixture
def drafted(tmp_path: Path):
    def drafted(body: bytes | str | pd.DataFrame, file: str = "rows.csv", **settings: Any) -> Draft:
        body = body.to_csv(index=False) if isinstance(body, pd.DataFrame) else body
        (tmp_path / file).write_bytes(body.encode() if isinstance(body, str) else body)
        arguments = {"target": "late", "event_time": "day", **settings}
        return draft(tmp_path / "models", "shop", tmp_path / file, now=NOW, **arguments)

    return drafted


def rows_of(made: Draft) -> pd.DataFrame:
    """Read all rows as the model's runs do."""
    model = load_model(made.path)
    slots = [f"2025-{month:02d}" for month in range(1, 7)]
    tables = read(model.data, made.path.parent, slots=slots, recorded={}, connections=None)
    return pa.concat_tables(list(tables)).to_pandas().sort_values("id").reset_index(drop=True)


def holds_the_table(made: Draft, *, seconds: int = 1) -> None:
    frame = rows_of(made)
    assert np.allclose(frame["x"], TABLE["x"]) and np.allclose(frame["y"], TABLE["y"])
    assert list(frame["city"]) == list(TABLE["city"])
    assert abs(frame["day"].dt.tz_localize(None) - DAYS).max() < pd.Timedelta(seconds=seconds)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "latin-1", "utf-16", "utf-16-le"])
def test_a_file_in_any_usual_encoding_is_drafted_with_it(drafted, encoding) -> None:
    made = drafted(CSV.encode(encoding))
    holds_the_table(made)
    assert ("encoding:" in made.path.read_text()) == (encoding not in ("utf-8", "utf-8-sig"))


@pytest.mark.parametrize(
    ("encoding", "city"), [("cp1251", "Москва"), ("koi8_r", "Казань"), ("shift_jis", "東京都"), ("gb18030", "北京")]
)
def test_the_encoding_of_another_script_is_asked_and_not_guessed(drafted, encoding, city) -> None:
    body = CSV.replace("Köln", city).encode(encoding)
    with pytest.raises(RatchetError, match="--encoding"):
        drafted(body)
    with pytest.raises(RatchetError, match="no such encoding"):
        drafted(body, encoding="klingon")
    made = drafted(body, encoding=encoding)
    assert set(rows_of(made)["city"]) == {city, "Paris", "Graz"}


@pytest.mark.parametrize(
    ("end", "pack"),
    [
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zst", lambda b: pa.compress(b, "zstd", asbytes=True)),
    ],
)
def test_a_packed_file_is_drafted_as_it_is(drafted, end, pack) -> None:
    holds_the_table(drafted(pack(CSV.encode("cp1252")), f"rows.csv.{end}"))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("decimal", [".", ","])
def test_delimiter_and_decimal_mark_are_found(drafted, delimiter, decimal) -> None:
    holds_the_table(drafted(TABLE.to_csv(index=False, sep=delimiter, decimal=decimal)))


def german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    ("write", "declared"),
    [
        (lambda v: f"{v * 1000:,.2f}", 'thousands: ","'),
        (lambda v: german(v * 1000), 'decimal: ","'),
        (lambda v: f"{v * 1000:.2f} %", 'unit: "%"'),
        (lambda v: f"{german(v * 1000)} €", 'unit: "€"'),
        (lambda v: f"${v * 1000:,.2f}", 'unit: "$"'),
        (lambda v: f"{v * 1000:,.2f}".replace(",", " "), 'thousands: " "'),
    ],
)
def test_numbers_with_marks_are_numbers_with_their_marks_declared(drafted, write, declared) -> None:
    made = drafted(TABLE.assign(x=[write(value) for value in TABLE["x"]]))
    assert "x" in made.numeric and declared in made.path.read_text()
    assert np.allclose(rows_of(made)["x"], TABLE["x"] * 1000, atol=0.01)


@pytest.mark.parametrize("odd", ["inf", "n. v.", "12 apples"])
def test_a_number_column_that_is_left_out_is_left_out_aloud(drafted, odd) -> None:
    made = drafted(TABLE.assign(x=[odd if n == 5 else f"{n / 7:.4f}" for n in range(ROWS)]))
    said = "\n".join(made.lines())
    assert "x" not in made.numeric and "599 texts look like numbers" in made.left_out["x"] and "`missing`" in said


def test_a_mark_that_may_be_two_is_asked_for_a_target_and_told_for_a_feature(drafted) -> None:
    amounts = TABLE[["id", "day", "city", "late"]].assign(price=[f"{1 + n % 9},{n % 900 + 100}" for n in range(ROWS)])
    made = drafted(amounts)
    assert made.doubtful == ("price",) and "decimals?" in made.path.read_text()
    shutil.rmtree(made.path.parent)
    with pytest.raises(RatchetError, match="--decimal"):
        drafted(amounts, target="price")
    assert 'decimal: ","' in drafted(amounts, target="price", decimal=",").path.read_text()


@pytest.mark.parametrize(
    ("write", "declared", "seconds"),
    [
        (lambda day: day.strftime("%d/%m/%Y"), "%d/%m/%Y", 86_400),
        (lambda day: day.strftime("%d.%m.%Y %H:%M"), "%d.%m.%Y %H:%M", 60),
        (lambda day: day.strftime("%d.%m.%y"), "%d.%m.%y", 86_400),
        (lambda day: day.strftime("%m/%d/%Y %I:%M %p"), "%m/%d/%Y %I:%M %p", 60),
        (lambda day: day.strftime("%Y-%m-%d %H:%M:%S UTC"), "type: timestamp}", 1),
        (lambda day: str((day - pd.Timestamp("1899-12-30")) / pd.Timedelta(days=1)), "excel", 1),
        (lambda day: str((day - pd.Timestamp("1899-12-30")).days), "excel", 86_400),
        (lambda day: str(int(day.timestamp())), "epoch_s", 1),
        (lambda day: str(int(day.timestamp() * 1000)), "epoch_ms", 1),
        (lambda day: day.strftime("%Y%m%d"), "%Y%m%d", 86_400),
    ],
)
def test_an_event_time_is_drafted_with_its_format_or_unit(drafted, write, declared, seconds) -> None:
    made = drafted(TABLE.assign(day=[write(day) for day in DAYS]))
    assert declared in made.path.read_text()
    holds_the_table(made, seconds=seconds)


def test_german_exports_are_drafted_whole(drafted) -> None:
    frame = TABLE.assign(day=DAYS.dt.strftime("%d.%m.%Y %H:%M:%S"))
    holds_the_table(drafted(frame.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n").encode("cp1252")))


def test_json_lines_are_drafted(drafted) -> None:
    lines = [json.dumps({**row, "tags": ["a"], "gone": None}) for row in TABLE.to_dict("records")]
    holds_the_table(drafted("\n".join(lines), "rows.jsonl"))


@pytest.mark.parametrize("typed", [True, False])
def test_parquet_is_drafted_and_columns_of_other_types_are_left_alone(drafted, tmp_path, typed) -> None:
    frame = TABLE.assign(day=DAYS if typed else DAYS.dt.strftime("%d.%m.%Y %H:%M:%S"), tags=[["a"]] * ROWS, none=None)
    frame.to_parquet(tmp_path / "made.parquet")
    made = drafted((tmp_path / "made.parquet").read_bytes(), "rows.parquet")
    holds_the_table(made)
    assert "tags" not in made.path.read_text()


def test_a_workbook_is_drafted_from_its_one_sheet_and_of_several_one_is_asked_for(drafted, tmp_path) -> None:
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    with pd.ExcelWriter(tmp_path / "made.xlsx") as book:
        TABLE.assign(day=DAYS).to_excel(book, index=False, sheet_name="Sales 2025")
        TABLE.head(3).to_excel(book, index=False, sheet_name="Notes")
    body = (tmp_path / "made.xlsx").read_bytes()
    with pytest.raises(RatchetError, match="Which sheet"):
        drafted(body, "rows.xlsx")
    made = drafted(body, "rows.xlsx", sheet="Sales 2025")
    holds_the_table(made)
    assert load_model(made.path).data.source.sheet == "Sales 2025" and made.numeric == ("x", "y")


@pytest.mark.parametrize("end", ["parquet", "csv", "jsonl"])
def test_a_folder_is_drafted_with_the_files_that_a_run_reads(tmp_path, end) -> None:
    lake = tmp_path / "lake"
    (lake / "part=1").mkdir(parents=True)
    for number in range(3):
        part, path = TABLE.iloc[number * 200 : number * 200 + 200], lake / "part=1" / f"part-{number}.{end}"
        if end == "parquet":
            new = {"new": 1} if number == 2 else {}
            part.assign(day=DAYS[part.index], **new).to_parquet(path)
        else:
            path.write_text(part.to_csv(index=False) if end == "csv" else part.to_json(orient="records", lines=True))
    (lake / "_SUCCESS").touch()
    (lake / "part=1" / ".part-0.crc").write_bytes(b"crc\0")
    made = draft(tmp_path / "models", "shop", lake, "late", "day", now=NOW)
    holds_the_table(made)
    assert not list(made.path.parent.rglob("_SUCCESS")) and not list(made.path.parent.rglob(".*"))


def test_files_of_a_folder_that_are_not_written_alike_are_no_draft(tmp_path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.csv").write_text(CSV)
    (tmp_path / "lake" / "b.csv").write_text(TABLE.to_csv(index=False, sep=";"))
    with pytest.raises(RatchetError, match="have different formats"):
        draft(tmp_path / "models", "shop", tmp_path / "lake", "late", "day", now=NOW)
    assert not (tmp_path / "models").exists()
