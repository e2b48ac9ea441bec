"""Each input that parsers take without a word, and that would harm a model silently."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from include.config.sections.rows.sources import Column, FilesSource
from include.data.sources.file_listing import find_files
from include.data.sources.formats.declared_columns import check_declared, check_once
from include.data.sources.formats.text import read_text
from include.errors import SourceError


def rows_of(path: Path, columns: dict[str, Any], *, timezone: str = "UTC", **settings: Any) -> list[dict[str, Any]]:
    kind = "json_lines" if "jsonl" in path.name else "csv"
    declared = {name: {"type": kind_} if isinstance(kind_, str) else kind_ for name, kind_ in columns.items()}
    source = FilesSource.model_validate(
        {"kind": "files", "path": str(path), "format": kind, "columns": declared, **settings}
    )
    (file,) = find_files(source, ["2026-04"], timezone, path.parent, None)
    return pa.concat_tables(list(read_text(file, source, timezone))).to_pylist()


@pytest.fixture
def write(tmp_path: Path):
    def write(body: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        return path

    return write


AB = {"a": "integer", "b": "string"}


@pytest.mark.parametrize("row", ["3", "3,x,y", "3,x,"], ids=["short", "long", "trailing delimiter"])
@pytest.mark.parametrize("before", [0, 1, 700_000])
def test_a_row_with_other_than_the_header_s_fields_is_named_by_its_line(write, row, before) -> None:
    path = write("a,b\n" + "1,x\n" * before + row + "\n1,x\n")
    with pytest.raises(SourceError, match=f"on line {before + 2}\n"):
        rows_of(path, AB)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_header_alone_has_no_rows(write, end) -> None:
    with pytest.raises(pa.ArrowInvalid, match="at least one table"):  # what `rows_of` says of none
        rows_of(write(f"a,b{end}"), AB)


def test_a_header_that_names_a_column_twice_is_refused(write) -> None:
    with pytest.raises(SourceError, match=r"stands twice in the header(.|\n)*'a'"):
        rows_of(write("a,b,a\n1,x,2\n"), AB)


def test_a_declared_column_that_is_not_there_is_answered_with_the_nearest_name(write) -> None:
    with pytest.raises(SourceError, match="did you mean `amount`"):
        rows_of(write("amount,b\n1,x\n"), {"amout": "integer"})


def test_nothing_is_read_before_columns_are_declared_and_a_block_to_paste_is_offered(write) -> None:
    path = write("id,n,f,ok,day,when,cc,local\n007,1,NA,true,2026-04-03,2026-04-03T10:00:00Z,NA,03/04/2026\n"
                 "008,2,1.5,false,2026-04-04,2026-04-03T11:00:00Z,DE,04/04/2026\n")  # fmt: skip
    with pytest.raises(SourceError) as caught:
        rows_of(path, {})
    assert "id: {type: string}" in str(caught.value)
    assert "n: {type: integer}" in str(caught.value)
    assert 'f: {type: float, missing: ["", "NA"]}' in str(caught.value)
    assert "ok: {type: boolean}" in str(caught.value)
    assert "day: {type: date}" in str(caught.value)
    assert "when: {type: timestamp}" in str(caught.value)
    assert "cc: {type: string}" in str(caught.value)
    assert 'local: {type: date, format: "%d/%m/%Y"}  # or "%m/%d/%Y"' in str(caught.value)


def test_the_offered_block_of_json_lines_keeps_texts_texts(write) -> None:
    with pytest.raises(SourceError, match=r"id: \{type: string\}\n    n: \{type: integer\}"):
        rows_of(write('{"id": "007", "n": 1}\n', "rows.jsonl"), {})


@pytest.mark.parametrize("width", range(60, 100, 8))
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_no_half_line_has_a_part_in_the_suggestion(write, width, kind) -> None:
    times = [f"2026-04-{1 + n % 28:02d}T10:00:00Z" for n in range(2000)]
    lines = {
        "csv": ["note,when,code", *(f"{'x' * width},{time},A{n}" for n, time in enumerate(times))],
        "jsonl": [f'{{"note": "{"x" * width}", "when": "{time}", "code": "A{n}"}}' for n, time in enumerate(times)],
    }[kind]
    with pytest.raises(SourceError, match=r"when: \{type: timestamp\}\n    code: \{type: string\}$"):
        rows_of(write("\n".join(lines), f"rows.{kind}"), {})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20"], "integer"),
        (["1", "2.5", "-.5", "3e-2"], "float"),
        (["007", "1"], "string"),
        (["007.5", "1"], "string"),
        (["9" * 19, "1"], "string"),  # neither an int64 nor a float has it exactly
        (["1", "1e400"], "string"),
        (["0x1F", "1"], "string"),
        (["true", "False"], "boolean"),
        (["yes", "no"], "string"),
        (["2026-04-03", "2026-04-04T10:00Z"], "string"),  # a date has no offset, so what it means is not told
        (["2026-04-03", "2026-04-04 10:00"], "timestamp"),
        (["2026-04-03T10:00:00+02:00"], "timestamp"),
        (["2026-13-03"], "string"),
        (["31.12.2026"], 'date, format: "%d.%m.%Y"'),
        (["12/31/2026", "01/02/2026"], 'date, format: "%m/%d/%Y"'),
        (["", ""], "string"),
        (["a\u2028b", "1"], "string"),
    ],
)  # fmt: skip
def test_a_type_is_suggested_that_every_value_allows(write, values, kind) -> None:
    path = write("\n".join(["id,v", *(f"{n},{value}" for n, value in enumerate(values))]))
    with pytest.raises(SourceError) as caught:
        rows_of(path, {})
    assert str(caught.value).endswith(f"v: {{type: {kind}}}")


def test_ids_gaps_and_large_integers_stay_what_they_are(write) -> None:
    path = write("id,n,cc\n007,9007199254740993,NA\n008,,\n")
    assert rows_of(path, {"id": "string", "n": "integer", "cc": "string"}) == [
        {"id": "007", "n": 2**53 + 1, "cc": "NA"},
        {"id": "008", "n": None, "cc": None},
    ]


def test_only_declared_texts_mean_no_value(write) -> None:
    path = write("x,cc\nNA,NA\n1.5,DE\n")
    with pytest.raises(
        SourceError, match=r"(?s)such as 'NA'.*in data row 1.*x: \{type: float, missing: \[\"\", \"NA\"\]\}"
    ):
        rows_of(path, {"x": "float", "cc": "string"})
    read = rows_of(path, {"x": {"type": "float", "missing": ["NA"]}, "cc": "string"})
    assert read == [{"x": None, "cc": "NA"}, {"x": 1.5, "cc": "DE"}]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("float", "nan"),
        ("float", "1,5"),
        ("integer", "1.0"),
        ("integer", "0x1F"),
        ("integer", "8" * 20),
        ("boolean", "y"),
    ],
)
def test_a_text_that_is_not_exactly_of_its_type_is_refused_without_being_shown(write, kind, text) -> None:
    with pytest.raises(SourceError, match="data row 2") as caught:
        rows_of(write(f"a;b\n1;z\n{text};z\n"), {"a": kind}, delimiter=";")
    assert text in ("nan", "y") or text not in str(caught.value)


def test_days_come_first_only_where_a_format_says_so(write) -> None:
    path = write("d\n03/04/2026\n31/12/2026\n")
    with pytest.raises(SourceError, match="declare how it is written"):
        rows_of(path, {"d": "date"})
    assert rows_of(path, {"d": {"type": "date", "format": "%d/%m/%Y"}})[0] == {"d": date(2026, 4, 3)}
    with pytest.raises(SourceError, match="data row 2"):
        rows_of(path, {"d": {"type": "date", "format": "%m/%d/%Y"}})


def test_the_unit_of_an_epoch_is_declared_and_a_wrong_one_found(write) -> None:
    path = write("t\n1700000000000\n")
    when = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert rows_of(path, {"t": {"type": "timestamp", "format": "epoch_ms"}}) == [{"t": when}]
    with pytest.raises(SourceError, match="is the unit epoch_ms"):
        rows_of(path, {"t": {"type": "timestamp", "format": "epoch_s"}})


def test_local_times_are_read_in_the_declared_zone_and_doubtful_ones_refused(write) -> None:
    read = rows_of(write("t\n2013-07-01 12:00\n"), {"t": "timestamp"}, timezone="America/New_York")
    assert read == [{"t": datetime(2013, 7, 1, 16, tzinfo=UTC)}]
    for doubtful in ("2013-11-03 01:30", "2013-03-10 02:30"):
        with pytest.raises(SourceError, match="ambiguous: earlier"):
            rows_of(write(f"t\n{doubtful}\n"), {"t": "timestamp"}, timezone="America/New_York")


def test_offsets_are_heeded_and_never_mixed_with_local_times(write) -> None:
    read = rows_of(write("t\n2013-07-01T12:00:00+02:00\n"), {"t": "timestamp"}, timezone="America/New_York")
    assert read == [{"t": datetime(2013, 7, 1, 10, tzinfo=UTC)}]
    spelt = {"t": {"type": "timestamp", "format": "%d.%m.%Y %H:%M %z"}}
    assert rows_of(write("t\n01.07.2013 12:00 +0200\n"), spelt) == read
    with pytest.raises(SourceError, match="data row 2"):
        rows_of(write("t\n2013-07-01T12:00:00Z\n2013-07-01T12:00:00\n"), {"t": "timestamp"})


@pytest.mark.parametrize("before", [1, 700_000])
def test_a_quote_that_is_never_closed_is_found_on_its_line(write, before) -> None:
    path = write("a,b\n" + '1,"x"\n' * before + '2,"open\n3,y\n4,z"\n')
    with pytest.raises(SourceError, match=f"line {before + 2}\n"):
        rows_of(path, AB)


def test_texts_over_several_lines_are_read_when_declared(write) -> None:
    path = write('a,b\n1,"two\nlines"\n2,y\n')
    assert rows_of(path, AB, quoted_newlines=True)[0] == {"a": 1, "b": "two\nlines"}
    with pytest.raises(SourceError, match="never closed|not closed"):
        rows_of(write('a,b\n1,"two\nlines\n2,y\n'), AB, quoted_newlines=True)


def test_a_gzip_file_is_unpacked_on_the_way(write) -> None:
    assert rows_of(write(gzip.compress(b"a,b\n1,x\n"), "rows.csv.gz"), AB) == [{"a": 1, "b": "x"}]
    assert rows_of(write(gzip.compress(b'{"a": 1, "b": "x"}\n'), "rows.jsonl.gz"), AB) == [{"a": 1, "b": "x"}]


def test_a_gzip_file_that_inflates_without_end_is_stopped(write) -> None:
    bomb = (
        gzip.compress(b"a,b\n")
        + gzip.compress(b"1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 2**16) * 32
    )
    with pytest.raises(SourceError, match="inflates beyond"):
        rows_of(write(bomb, "rows.csv.gz"), AB)


def test_a_gzip_file_that_is_cut_off_gives_no_rows(write) -> None:
    whole = gzip.compress(os.urandom(4000).hex().encode().replace(b"7", b"\n"))
    with pytest.raises(SourceError, match="cut off or damaged"):
        rows_of(write(whole[: len(whole) // 2], "rows.csv.gz"), {"a": "string"} | {}, delimiter=";")


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_nul_bytes_are_refused(write, name) -> None:
    body = b"a,b\n1,x\n2,y\x00z\n" if name.endswith("csv") else b'{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y\x00z"}\n'
    with pytest.raises(SourceError, match="NUL byte(.|\n)*on line 3"):
        rows_of(write(body, name), AB)
    if name == "rows.jsonl":
        with pytest.raises(SourceError, match="NUL character"):
            rows_of(write('{"a": 1, "b": "y\\u0000z"}\n', name), AB)


def test_bytes_that_are_not_utf8_are_refused(write) -> None:
    with pytest.raises(SourceError, match=r"UTF-?8"):
        rows_of(write("a,b\n1,é\n".encode("latin-1")), AB)


def test_a_byte_order_mark_is_no_part_of_the_first_name(write) -> None:
    assert rows_of(write("\ufeffa,b\n1,x\n"), AB) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1, "a": 2, "b": "x"}',
        '{"a": "1", "b": "x"}',
        '{"a": 1, "b": 7}',
        '{"a": 1.5, "b": "x"}',
        "[1]",
        '{"a": 1',
    ],
    ids=["key twice", "text for number", "number for text", "fraction", "no object", "cut off"],
)
def test_a_json_line_that_is_not_as_declared_is_refused(write, line) -> None:
    with pytest.raises(SourceError):
        rows_of(write('{"a": 0, "b": "w"}\n' + line + "\n", "rows.jsonl"), AB)


def test_a_key_that_no_json_line_has_is_a_mistake_of_spelling(write) -> None:
    assert rows_of(write('{"a": 1}\n{"a": 2, "b": null}\n', "rows.jsonl"), AB)[1] == {"a": 2, "b": None}
    with pytest.raises(SourceError, match="no key `b`"):
        rows_of(write('{"a": 1}\n', "rows.jsonl"), AB)


def test_times_in_json_are_texts_or_declared_numbers(write) -> None:
    columns = {"t": "timestamp", "e": {"type": "timestamp", "format": "epoch_s"}}
    when = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert rows_of(write('{"t": "2023-11-14T22:13:20Z", "e": 1700000000}\n', "r.jsonl"), columns) == [
        {"t": when, "e": when}
    ]


@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_a_wrong_unit_of_an_epoch_is_found_in_json_as_in_csv(write, kind) -> None:
    declared = {"t": {"type": kind, "format": "epoch_s"}}
    for path in (
        write('{"t": 1700000000}\n{"t": 1700000000000}\n', "r.jsonl"),
        write("t\n1700000000\n1700000000000\n"),
    ):
        with pytest.raises(SourceError, match=r"(?s)is the unit epoch_ms.*in data row 2.*format: epoch_ms") as caught:
            rows_of(path, declared)
        assert "17000" not in str(caught.value)


def test_a_link_that_leads_out_of_the_folder_is_refused(write, tmp_path) -> None:
    secret = write("a,b\n1,x\n", "secret.csv")
    (tmp_path / "in").mkdir()
    link = tmp_path / "in" / "rows.csv"
    link.symlink_to(secret)
    with pytest.raises(SourceError, match="leads elsewhere"):
        rows_of(link, AB)


@pytest.mark.parametrize("path", ["https://example.org/a.csv", "file:///etc/passwd", "data/%Q.csv"])
def test_nothing_is_fetched_and_no_date_part_guessed(path) -> None:
    with pytest.raises(ValidationError, match="expected"):
        FilesSource(kind="files", path=path, format="csv")


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "1e400", "-1e999"])
def test_an_infinite_number_is_refused_unless_it_is_declared_as_missing(write, text) -> None:
    path = write(f"a,b\n1.5,x\n{text},y\n")
    with pytest.raises(SourceError, match=r"infinite, or larger than a float can be\) in data row 2"):
        rows_of(path, {"a": "float", "b": "string"})
    kept = rows_of(path, {"a": {"type": "float", "missing": ["", text]}, "b": "string"})
    assert [row["a"] for row in kept] == [1.5, None]


def test_a_key_that_is_written_in_escapes_is_there(write) -> None:
    path = write('{"\\u00e9t\\u00e9": 1, "b": "x"}\n', "rows.jsonl")  # as Python and pandas write it
    assert rows_of(path, {"été": "integer", "b": "string"}) == [{"été": 1, "b": "x"}]
    with pytest.raises(SourceError, match="no key `hiver`"):
        rows_of(path, {"hiver": "integer", "b": "string"})


@pytest.mark.parametrize("word", ["now", "today", "Now", "NaT", "nan", "-"])
@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_a_word_is_no_time_in_a_declared_format(write, word, kind) -> None:
    path = write(f"t,b\n31.12.2026,x\n{word},y\n")
    with pytest.raises(SourceError, match="data row 2"):
        rows_of(path, {"t": {"type": kind, "format": "%d.%m.%Y"}, "b": "string"})


class CountedName(str):
    """A name of a column that counts how often any of its kind is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        CountedName.compared += 1
        return str.__eq__(self, other)


def test_a_header_is_looked_through_once_however_many_columns_are_declared() -> None:
    names = [CountedName(f"c{number}") for number in range(500)]
    source = FilesSource.model_validate({"kind": "files", "path": "a.csv", "format": "csv"})
    source = source.model_copy(update={"columns": dict.fromkeys(names, Column(type="string"))})
    CountedName.compared = 0
    check_declared([CountedName(name) for name in names], "a.csv", source, "")
    assert CountedName.compared < 10 * len(names)


def test_of_many_columns_that_stand_twice_an_error_names_a_few_places_and_looks_at_each_once() -> None:
    source = FilesSource.model_validate({"kind": "files", "path": "a.csv", "format": "csv"})
    header = [CountedName(f"c{number // 2}") for number in range(1000)]
    CountedName.compared = 0
    with pytest.raises(SourceError) as refused:
        check_once(header, source, "a.csv")
    assert refused.value.found == "columns " + ", ".join(map(str, range(1, 21))) + " and 980 more"
    assert CountedName.compared < 10 * len(header)
