"""A text stream that raises at bytes which parsers would silently accept."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

import numpy as np

from include.data.sources.compression import PACKINGS, Unpacked, packing_of
from include.data.sources.file_signatures import encoding_mark, file_signature
from include.data.sources.formats.quoting import QuotedFields
from include.errors import SourceError

_QUOTE, _NEWLINE = ord('"'), ord("\n")
_MARKS = re.compile(rb'["\r\n]')
_FIRST = 4096
_LONGEST_LINE = 2**24


class CheckedText(io.RawIOBase):
    """The text of a file as UTF-8 with LF line ends, unpacked if its name says that it is packed.

    CRLF stays what it is. Reading raises `SourceError` at a file that is no text, at a NUL byte, at a packed file that is cut
    off, damaged or inflates without end, at bytes that the encoding does not have, and — with ``quotes`` — at a line on which
    a quote is opened and not closed: a parser would take the following rows for its text.

    Parameters
    ----------
    quotes : {"line", "file", "none"}
        Where a quote must be closed again.
    delimiter : str, optional
        What stands between fields of CSV; nothing else may follow the closing quote of one.
    names : set of str
        Names to look for; those found as ``"name"`` are removed.
    encoding : str
        How the file writes its characters.
    """

    def __init__(
        self,
        raw: BinaryIO,
        name: str,
        *,
        quotes: str,
        delimiter: str | None = None,
        names: set[str] | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self._raw = raw
        self._bytes = Unpacked(raw, name)
        self._name = name
        self._quotes = quotes
        self._fields = None if delimiter is None else QuotedFields(delimiter)
        self._names = names if names is not None else set()
        self._encoding = encoding
        self._codec = codecs.lookup(encoding).name
        self._decoder = None if self._codec == "utf-8" else codecs.getincrementaldecoder(encoding)("strict")
        self._begun = False
        self._ended = False
        self._line_end: bytes | None = None
        self._header_quoted = False
        self._tail = b""
        self._lines = 0
        self._open = 0
        self._ahead = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file underneath as well."""
        self._raw.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` checked bytes; none at the end."""
        chunk, self._ahead = self._ahead or self._next(size if size > 0 else 2**20), b""
        if 0 <= size < len(chunk):
            chunk, self._ahead = chunk[:size], chunk[size:]
        return chunk

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with checked bytes."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def first_line(self) -> bytes:
        """Return the first line without its end, leaving it to be read."""
        pieces, size = [self._ahead], len(self._ahead)
        while b"\n" not in pieces[-1] and size < _LONGEST_LINE and (chunk := self._next(2**16)):
            pieces.append(chunk)
            size += len(chunk)
        self._ahead = b"".join(pieces)
        return self._ahead.partition(b"\n")[0].rstrip(b"\r")

    def _next(self, size: int) -> bytes:
        chunk = self._first_text(size) if not self._begun else b""
        # An encoding may need more bytes than there are for its next character, and CR may be half of a line end; only the
        # end of the file is the end.
        while not self._ended and (not chunk or (self._line_end is None and chunk.endswith(b"\r"))):
            packed = self._bytes.read(size)
            self._ended = not packed
            chunk += self._decoded(packed)
        if self._line_end is None:
            self._line_end = self._first_line_end(chunk)
        if self._line_end == b"\r":
            chunk = chunk.replace(b"\r", b"\n")
        self._check(chunk)
        return chunk

    def _first_line_end(self, chunk: bytes) -> bytes | None:
        """Return how the first line ends, LF or CR; an LF for CRLF, and None while it has not ended."""
        for mark in _MARKS.finditer(chunk):
            if mark[0] == b'"':
                self._header_quoted = not self._header_quoted
            elif mark[0] == b"\n" or chunk.startswith(b"\n", mark.end()):
                return b"\n"
            elif not self._header_quoted:
                return b"\r"
        return None

    def _first_text(self, size: int) -> bytes:
        """Return the beginning without its mark, after a look at what the file is."""
        self._begun = True
        chunk = b""
        while len(chunk) < _FIRST and (more := self._bytes.read(size)):
            chunk += more
        if kind := file_signature(chunk):
            ends = [end for end, packing in PACKINGS.items() if packing == kind]
            remedy = "save it as CSV"
            if kind == "Parquet":
                remedy = "declare `format: parquet`"
            elif kind == "Excel workbook":
                remedy = "declare `format: excel`, or save its sheet as CSV UTF-8"
            elif ends and packing_of(self._name) is None:
                remedy = f"let its name end in `{ends[0]}`, so that it is unpacked"
            raise self._refuse("The file is no text.", expected="CSV or JSON Lines", found=f"{kind}", remedy=remedy)
        marked = encoding_mark(chunk)
        if marked is None and self._codec in ("utf-16", "utf-32") and chunk:
            raise self._refuse(
                "The file does not say which byte order it has.",
                expected=f"a byte order mark, as `encoding: {self._encoding}` has it",
                found="none",
                remedy=f"declare `encoding: {self._codec}-le`, or `{self._codec}-be`",
            )
        if marked is not None and not self._codec.startswith(marked):
            raise self._refuse(
                "The file begins with the byte order mark of another encoding.",
                expected=self._encoding,
                found=marked,
                remedy=f"declare `encoding: {marked}` under `data.source`",
            )
        return self._decoded(chunk).removeprefix(codecs.BOM_UTF8) if chunk else b""

    def _decoded(self, chunk: bytes) -> bytes:
        if self._decoder is None:
            return chunk
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = self._lines + error.object.count(b"\n", 0, error.start) + 1
            raise self._refuse(
                "The file has bytes that its encoding does not have.",
                expected=f"text in {self._encoding}",
                found=f"others on line {line}",
                remedy="correct `data.source.encoding`",
            ) from error
        return text.encode("utf-8", "surrogatepass")

    def _check(self, chunk: bytes) -> None:
        if (place := chunk.find(b"\0")) >= 0:
            raise self._refuse(
                "The file holds a NUL byte.",
                expected="text in UTF-8",
                found=f"byte 0 on line {self._lines + chunk.count(_NEWLINE, 0, place) + 1}",
                remedy="declare the file's `encoding`, such as `utf-16`; damaged disks look like this, too",
            )
        if self._names:
            seen = self._tail + chunk
            self._names -= {name for name in self._names if f'"{name}"'.encode() in seen}
            self._tail = seen[-256:]
        if self._quotes != "none":
            self._check_quotes(chunk)
        if self._fields is not None and (behind := self._fields.look(chunk)) is not None:
            raise self._refuse(
                "Text follows the closing quote of a field.",
                expected='a quote inside of a text is doubled: "6"" pipe"',
                found=f"line {self._lines + chunk.count(_NEWLINE, 0, behind) + 1}",
                remedy="correct the line, or what writes the file: a parser would take both texts for one",
            )
        self._lines += chunk.count(_NEWLINE)

    def _check_quotes(self, chunk: bytes) -> None:
        if not chunk:
            if self._open:
                raise self._unclosed(self._lines + 1)
            return
        if self._quotes == "file":
            self._open = (self._open + chunk.count(_QUOTE)) % 2
        elif self._open or _QUOTE in chunk:
            values = np.frombuffer(chunk, dtype=np.uint8)
            marks = values[(values == _QUOTE) | (values == _NEWLINE)]
            ends = marks == _NEWLINE
            is_open = (np.cumsum(~ends) + self._open) % 2
            if (ends & (is_open == 1)).any():
                first = int(np.flatnonzero(ends & (is_open == 1))[0])
                raise self._unclosed(self._lines + int(ends[:first].sum()) + 1)
            self._open = int(is_open[-1]) if len(is_open) else self._open

    def _unclosed(self, line: int) -> SourceError:
        return self._refuse(
            "A quote is opened and not closed.",
            expected='both quotes of a text on one line; a quote inside of a text is doubled: "6"" pipe"',
            found=f"line {line}",
            remedy="correct the line; if texts contain line breaks, declare `quoted_newlines: true` under `data.source`",
        )

    def _refuse(self, message: str, *, found: object, remedy: str, expected: object = None) -> SourceError:
        return SourceError(message, expected=expected, found=found, where=self._name, remedy=remedy)
