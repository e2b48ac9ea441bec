"""Recognise the format of a file by its first bytes, not by its name."""

from __future__ import annotations

_SIGNATURES = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PAR1", "Parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel workbook (.xls)"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"%PDF-", "PDF"),
    (b"SQLite format 3\0", "SQLite"),
    (b"ARROW1", "Arrow (Feather)"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x89PNG\r\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x93NUMPY", "NumPy"),
    (b"{\\rtf", "RTF"),
    (b"\x7fELF", "program"),
)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def file_signature(first: bytes) -> str | None:
    """Return the format of a file, given its first bytes (4 KiB are enough); None for text and unknown formats.

    An Excel workbook is distinguished from other ZIP archives by the names of its first members.
    """
    if first.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "Excel workbook" if b"[Content_Types].xml" in first or b"xl/" in first else "ZIP"
    for start, kind in _SIGNATURES:
        # Letters alone may begin a text, too: a header `ORChard,BZh...`.
        if first.startswith(start) and (not start.isalnum() or _binary(first)):
            return kind
    begin = first.removeprefix(b"\xef\xbb\xbf").lstrip()[:20].lower()
    if begin.startswith((b"<!doctype html", b"<html")):
        return "web page (HTML)"
    return "XML" if begin.startswith(b"<?xml") else None


def encoding_mark(first: bytes) -> str | None:
    """Return the encoding whose byte order mark a text begins with; None without one."""
    return next((encoding for start, encoding in _MARKS if first.startswith(start)), None)


def _binary(first: bytes) -> bool:
    return any(byte < 9 or byte > 127 for byte in first[:64])
