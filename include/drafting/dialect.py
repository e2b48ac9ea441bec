"""Detect the format, encoding and delimiter of a file from all of its bytes."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import Literal

from include.config.sections.rows.sources import FilesSource
from include.data.sources.compression import Unpacked, packing_of
from include.data.sources.file_listing import File
from include.data.sources.file_signatures import encoding_mark, file_signature
from include.data.sources.formats.checked_text import CheckedText
from include.errors import ConfigError

_DELIMITERS = (",", ";", "\t", "|")
_OWN_FORMATS: dict[str | None, Literal["parquet", "excel"]] = {"Parquet": "parquet", "Excel workbook": "excel"}
_LINES = 200
_LONGEST_LINE = 2**20
_OTHER_SCRIPT = re.compile(r"[^\x00-\x7f\s\u2013\u2014\u2018-\u201e\u2026\u20ac\xab\xb0\xb2\xb3\xbb]{3}")
"""Words of Western Europe have one or two letters beyond ASCII in a row; Cyrillic or Japanese, read as Windows-1252, has many."""


def dialect_of(file: File, path: str, encoding: str | None = None) -> FilesSource:
    """Return how a file is written, without its columns.

    Parameters
    ----------
    path : str
        What to call it in the declaration.
    encoding : str, optional
        What a person says.

    Raises
    ------
    ConfigError
        When it is in none of the encodings that are tried.
    SourceError
        When it can't be read, or is no table.
    """
    with file.open() as raw:
        first = Unpacked(raw, file.name).read(4096)
    if packing_of(file.name) is None and (kind := file_signature(first)) in _OWN_FORMATS:
        return FilesSource(kind="files", path=path, format=_OWN_FORMATS[kind])
    found = encoding or _encoding(file, first)
    source = FilesSource(kind="files", path=path, format="csv", encoding=found)
    with file.open() as raw, CheckedText(raw, file.name, quotes="none", encoding=found) as text:
        lines = list(itertools.islice(_lines(text), _LINES))
    # An object of JSON begins so; the header of a CSV file may begin with a brace, too.
    if re.match(r"\{\s*[\"}]", next((line.lstrip() for line in lines if line.strip()), "")):
        return source.model_copy(update={"format": "json_lines"})
    return source.model_copy(update={"delimiter": _delimiter(lines)})


def _encoding(file: File, first: bytes) -> str:
    if (marked := encoding_mark(first)) is not None:
        return marked
    if b"\0" in first:
        # Latin letters have their zero before or behind them.
        return "utf-16-le" if first[1::2].count(0) > first[::2].count(0) else "utf-16-be"
    if _decodes(file, "utf-8"):
        return "utf-8"
    if _decodes(file, "windows-1252"):
        return "windows-1252"
    raise ConfigError(
        "The file's encoding can't be told.",
        expected="text in UTF-8, UTF-16, or Windows-1252 in a language of Western Europe",
        where=file.name,
        remedy="say `--encoding`, such as `--encoding shift_jis`, or save the file as UTF-8",
    )


def _decodes(file: File, encoding: str) -> bool:
    """Tell whether all of a file is text in an encoding; of Windows-1252 also whether it reads as one, since it has nearly all bytes."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with file.open() as raw:
        unpacked = Unpacked(raw, file.name)
        for chunk in itertools.chain(iter(lambda: unpacked.read(2**20), b""), [b""]):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                return False
            if encoding != "utf-8" and _OTHER_SCRIPT.search(text):
                return False
    return True


def _lines(text: CheckedText) -> Iterator[str]:
    reader = io.TextIOWrapper(io.BufferedReader(text), encoding="utf-8", errors="replace", newline="")
    return iter(lambda: reader.readline(_LONGEST_LINE), "")


def _delimiter(lines: list[str]) -> str:
    """Return what divides the header, and each row into as many fields."""
    whole = lines[:-1] if len(lines) == _LINES else lines
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in _rows(whole, delimiter) if row]
        if widths and widths[0] > most and widths.count(widths[0]) >= 0.9 * len(widths):
            best, most = delimiter, widths[0]
    return best


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        rows.extend(csv.reader(lines, delimiter=delimiter))
    return rows
