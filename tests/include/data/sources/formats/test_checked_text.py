"""The first line of a text: where it ends is said once, whatever pieces the text comes in."""

from __future__ import annotations

import io

import pytest

from include.data.sources.formats.checked_text import CheckedText

LONG = b"x" * 200_000
"""Longer than what is read at once, twice over."""


@pytest.mark.parametrize(
    ("text", "first", "rest"),
    [
        (b'"' + LONG + b"\ry" + LONG + b'",b\n1,2\n', b'"' + LONG + b"\ry" + LONG + b'",b', b"1,2\n"),
        (LONG + b',"b\rc"\n1,2\n', LONG + b',"b\rc"', b"1,2\n"),
        (LONG + b",b\r1,2\r", LONG + b",b", b"1,2\n"),
        (LONG + b",b\r\n1,2\r\n", LONG + b",b", b"1,2\r\n"),
    ],
    ids=["CR within a quoted name", "CR in quotes behind a long name", "CR", "CRLF"],
)
def test_a_first_line_ends_where_it_does_however_long_it_is(text: bytes, first: bytes, rest: bytes) -> None:
    checked = CheckedText(io.BytesIO(text), "rows.csv", quotes="file", delimiter=",")
    assert checked.first_line() == first
    read = b"".join(iter(lambda: checked.read(2**16), b""))
    assert read.endswith(rest) and read.startswith(first)
