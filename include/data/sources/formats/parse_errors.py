"""Errors of Arrow's parsers of text, without the values of rows."""

from __future__ import annotations

import re

from include.errors import SourceError


def no_utf8(name: str) -> SourceError:
    """Return the error of a file whose text is not UTF-8."""
    return SourceError(
        "The file can't be read as it is declared: its text is not UTF-8.",
        expected="text in UTF-8, unless `encoding` says otherwise",
        found="bytes that UTF-8 does not have",
        where=name,
        remedy="declare how it is written under `data.source`, such as `encoding: windows-1252`",
    )


def without_values(error: Exception) -> str:
    """Return Arrow's error for a text that it can't parse, without the text itself."""
    text = re.sub(r"^(CSV|JSON) parse error: ", "", str(error))
    return re.sub(r"(parse|got \d+):.*", r"\1 a value", text, flags=re.DOTALL)
