"""Rows of Excel workbooks, as their cells say them: no formula is computed and no cell guessed."""

from __future__ import annotations

import contextlib
import itertools
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.config.sections.rows.sources import FilesSource
from include.data.columns.type_inference import TypeInference, yaml_block
from include.data.sources.file_listing import File
from include.data.sources.file_signatures import file_signature
from include.data.sources.formats.declared_columns import check_declared, check_once, no_columns, typed
from include.errors import RatchetError, SourceError

_ROWS = 8192
_LOOKED_AT = 1000
_FREE = 64 * 2**20
_RATIO = 200
"""Sheets shrink 5 to 50 times; asked only of workbooks that inflate beyond 64 MiB."""
_EXACT = 2.0**53
_FORMULA = re.compile(rb"<(?:[\w.-]+:)?f[\s>]")  # some writers give the names of elements a prefix
_COMPUTED_TEXT = "str"
"""The type of a cell whose formula gave a text."""

Row = tuple[Any, ...]


def read_excel(file: File, source: FilesSource, timezone: str) -> Iterator[pa.Table]:
    """Yield the declared columns of one sheet in batches; its first row that is not empty is the header, and empty rows are none.

    Raises
    ------
    SourceError
        Naming file, row and column of a value that is not as declared, or of a formula that was never computed; also when
        the workbook is damaged or locked, or does not have the declared sheet.
    """
    with _sheet(file, source) as rows:
        header = header_row(rows)
        if not source.columns:
            raise no_columns(file.name, _suggestion(header, rows, file.name))
        check_once(header, source, f"{file.name}, first row")
        check_declared(header, file.name, source, ", first row")
        names = list(source.columns)
        places = [header.index(name) for name in names]
        done = 0
        for batch in _batches(rows):
            columns = [
                pa.array([_declared(row, place, source.columns[name].format) for row in batch], pa.string())
                for name, place in zip(names, places, strict=True)
            ]
            texts = pa.RecordBatch.from_arrays(columns, names=names)
            yield typed(texts, source.columns, timezone, file.name, done)
            done += len(batch)


def excel_header(file: File, source: FilesSource) -> list[str]:
    """Return the names in the header of a sheet; raises `SourceError` if it names a column twice."""
    with _sheet(file, source) as rows:
        header = header_row(rows)
    check_once(header, source, f"{file.name}, first row")
    return header


def header_row(rows: Iterator[Row]) -> list[str]:
    """Return the texts of the first row that is not empty; none of a sheet without rows."""
    first = next((row for row in rows if _valued(row)), ())
    return [_text(first, place).strip() for place in range(len(first))]


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    valued = filter(_valued, rows)
    return iter(lambda: list(itertools.islice(valued, _ROWS)), [])


def _valued(row: Row) -> bool:
    return any(value is not None and value != "" for value in row)


def _text(row: Row, place: int) -> str:
    """Return a cell as the text that a CSV file would have for it."""
    value = row[place] if place < len(row) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))  # a workbook has one type of numbers, and shows 7 where it keeps 7.0
    if isinstance(value, datetime) and value.time() == time():
        return str(value.date())
    return str(value)


def _declared(row: Row, place: int, pattern: str | None) -> str:
    """Return a cell as text; a date as the declared format writes it, since a column may hold dates and texts of them."""
    value = row[place] if place < len(row) else None
    if isinstance(value, datetime) and pattern is not None and "%" in pattern:
        text = value.strftime(pattern)
        with contextlib.suppress(ValueError):
            if datetime.strptime(text, pattern) == value:
                return text
    return _text(row, place)


def _suggestion(header: Sequence[str], rows: Iterator[Row], name: str) -> str:
    check_once(header, FilesSource(kind="files", path=name, format="excel"), f"{name}, first row")
    guesses = TypeInference([column for column in header if column])
    some = list(itertools.islice(filter(_valued, rows), _LOOKED_AT))
    for place, column in enumerate(header):
        if column:
            guesses.add(column, pa.array([_text(row, place) for row in some], pa.string()))
    return yaml_block(guesses.found())


@contextlib.contextmanager
def _sheet(file: File, source: FilesSource) -> Iterator[Iterator[Row]]:
    """Open the rows of the declared sheet, from its first cell on."""
    openpyxl = _library(file.name)
    with contextlib.ExitStack() as opened, warnings.catch_warnings():
        # It warns of styles, rules and pictures, which are not read.
        warnings.filterwarnings("ignore", module="openpyxl")
        try:
            path = opened.enter_context(file.on_disk())
            formulas = _looked_through(path, file.name)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            opened.callback(book.close)
            title = _title(book, source.sheet, file.name)
            if formulas:
                written = openpyxl.load_workbook(path, read_only=True)
                opened.callback(written.close)
                yield _computed(_rows(book[title], cells=True), _rows(written[title]), file.name)
            else:
                yield _rows(book[title])
        except RatchetError:
            raise
        # A damaged workbook raises many types of errors.
        except Exception as error:
            raise _damaged(file, type(error).__name__) from error


def _library(name: str) -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise SourceError(
            "Excel workbooks can't be read here.",
            expected="the extra `excel`",
            found="openpyxl is not installed",
            where=name,
            remedy="pip install -r requirements-excel.txt, wherever tasks and `lint` run; or save the sheet as CSV UTF-8",
        ) from error
    return openpyxl


def _rows(sheet: Any, *, cells: bool = False) -> Iterator[Row]:
    # The size that a sheet claims may be wrong, and rows beyond it would be lost.
    sheet.reset_dimensions()
    rows: Iterator[Row] = sheet.iter_rows(values_only=not cells)
    return rows


def _computed(values: Iterator[Row], formulas: Iterator[Row], name: str) -> Iterator[Row]:
    """Yield rows of values; a formula whose value was never kept would look like an empty cell."""
    for number, (row, written) in enumerate(zip(values, formulas, strict=True), start=1):
        for place, cell in enumerate(row):
            # What gave an empty text, such as `=IF(A1="","",A1)`, says that it is one.
            if cell.value is None and written[place] is not None and cell.data_type != _COMPUTED_TEXT:
                raise SourceError(
                    "A cell holds a formula that was never computed.",
                    expected="values, as Excel keeps them beside their formulas",
                    found=f"row {number}, cell {place + 1}",
                    where=name,
                    remedy="open the workbook in Excel or LibreOffice and save it, or save the sheet as CSV UTF-8",
                )
        yield tuple(cell.value for cell in row)


def _looked_through(path: Path, name: str) -> bool:
    """Inflate all of a workbook once, piece by piece; tell whether a sheet has formulas.

    Raises
    ------
    SourceError
        When it is damaged, no workbook, or inflates beyond what tables do.
    """
    packed, given, formulas = path.stat().st_size, 0, False
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                tail = b""
                while chunk := stream.read(2**20):
                    given += len(chunk)
                    formulas |= "/worksheets/" in member.filename and bool(_FORMULA.search(tail + chunk))
                    tail = chunk[-64:]
                    if given > _FREE and given > _RATIO * packed:
                        raise SourceError(
                            "The workbook expands to an implausible size.",
                            expected=f"at most {_RATIO} times its size",
                            found=f"{given:,} bytes out of {packed:,}",
                            where=name,
                            remedy="check where the file comes from; a real table of this kind can be saved as CSV",
                        )
    return formulas


def _title(book: Any, wanted: str | None, name: str) -> str:
    sheets: dict[str, bool] = {sheet.title: sheet.sheet_state == "visible" for sheet in book.worksheets}
    if wanted is not None:
        if wanted not in sheets:
            raise SourceError(
                f"The workbook has no sheet `{wanted}`.",
                expected=", ".join(sheets),
                where=name,
                remedy="correct `data.source.sheet`",
            )
        return wanted
    shown = [title for title, visible in sheets.items() if visible] or list(sheets)
    if len(shown) != 1:
        raise SourceError(
            "Which sheet of the workbook is the table?",
            expected="one sheet that is not hidden, or the name of one",
            found=", ".join(shown) or "no sheet with cells",
            where=name,
            remedy="say `sheet: NAME` under `data.source`; `new` has `--sheet NAME`",
        )
    return shown[0]


def _damaged(file: File, found: str) -> SourceError:
    with file.open() as raw:
        kind = file_signature(raw.read(4096))
    workbook = kind in ("Excel workbook", "ZIP")
    old = kind == "old Excel workbook (.xls)"
    return SourceError(
        "The file can't be read as an Excel workbook.",
        expected="a whole workbook (.xlsx)",
        found=f"damaged bytes ({found})"
        if workbook
        else f"{kind or 'other bytes'}" + (", or a locked one" if old else ""),
        where=file.name,
        remedy="copy the file again, or open it in Excel or LibreOffice and save it as .xlsx without a password",
    )
