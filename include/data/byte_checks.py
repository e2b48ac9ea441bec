"""A stream of text that stops at bytes which parsers take without a word."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any, BinaryIO

import numpy as np

from include.errors import SourceError

_QUOTE, _NEWLINE = ord('"'), ord("\n")
_FREE = 64 * 2**20
_RATIO = 200
"""Tables shrink 3 to 30 times, a file of zeros about 1030 times; asked only of what inflates beyond 64 MiB."""


class CheckedText(io.RawIOBase):
    """The bytes of a text file, unpacked if its name ends in ``.gz``.

    Reading raises `SourceError` at a NUL byte, at a gzip file that is cut off, damaged or inflates without end, and — with
    ``quotes`` — at a line on which a quote is opened and not closed: a parser would take the following rows for its text.

    Parameters
    ----------
    quotes : {"line", "file", "none"}
        Where a quote must be closed again.
    names : set of str
        Names to look for; those found as ``"name"`` are removed.
    """

    def __init__(self, raw: BinaryIO, name: str, *, quotes: str, names: set[str] | None = None) -> None:
        self._raw = raw
        self._counted = _Counted(raw)
        self._text = gzip.GzipFile(fileobj=self._counted) if name.endswith(".gz") else None  # type: ignore[call-overload] # reads only
        self._name = name
        self._quotes = quotes
        self._names = names if names is not None else set()
        self._tail = b""
        self._lines = 0
        self._open = 0
        self._given = 0
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
        if self._ahead:
            size = len(self._ahead) if size < 0 else size
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
            return chunk
        return self._next(size if size > 0 else 2**20)

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with checked bytes."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def first_line(self) -> bytes:
        """Return the first line without its end, leaving it to be read."""
        while b"\n" not in self._ahead and len(self._ahead) < 2**24 and (chunk := self._next(2**16)):
            self._ahead += chunk
        return self._ahead.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].rstrip(b"\r")

    def _next(self, size: int) -> bytes:
        try:
            chunk = self._text.read(size) if self._text is not None else self._counted.read(size)
        except (EOFError, OSError, zlib.error) as error:
            if self._text is None:
                raise
            raise self._refuse(
                "The gzip file is cut off or damaged.", found=error, remedy="copy the file again"
            ) from error
        self._given += len(chunk)
        if self._text is not None and self._given > _FREE and self._given > _RATIO * self._counted.given:
            raise self._refuse(
                "The gzip file inflates beyond what tables do.",
                expected=f"at most {_RATIO} times its size",
                found=f"{self._given:,} bytes out of {self._counted.given:,}",
                remedy="look at where the file comes from; a real table of this kind can be delivered as Parquet",
            )
        self._check(chunk)
        return chunk

    def _check(self, chunk: bytes) -> None:
        if (place := chunk.find(b"\0")) >= 0:
            raise self._refuse(
                "The file holds a NUL byte.",
                expected="text in UTF-8",
                found=f"byte 0 on line {self._lines + chunk.count(_NEWLINE, 0, place) + 1}",
                remedy="deliver UTF-8 text; UTF-16 files and damaged disks look like this",
            )
        if self._names:
            seen = self._tail + chunk
            self._names -= {name for name in self._names if f'"{name}"'.encode() in seen}
            self._tail = seen[-256:]
        if self._quotes != "none":
            self._check_quotes(chunk)
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
            remedy="correct the line; if texts do hold line breaks, say `quoted_newlines: true` under `data.source`",
        )

    def _refuse(self, message: str, *, found: object, remedy: str, expected: object = None) -> SourceError:
        return SourceError(message, expected=expected, found=found, where=self._name, remedy=remedy)


class _Counted:
    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._raw.read(size)
        self.given += len(chunk)
        return chunk
