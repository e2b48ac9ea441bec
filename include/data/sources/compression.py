"""Decompress files that were packed with gzip, bzip2, xz, zstd or zip, as they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa

from include.data.sources.file_signatures import file_signature
from include.errors import SourceError

PACKINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "ZIP"}
"""How a file is packed, by the end of its name."""
_FREE = 64 * 2**20
_RATIO = 200
"""Tables shrink 3 to 30 times, a file of zeros about 1030 times; asked only of what inflates beyond 64 MiB."""
_MEMORY = 256 * 2**20
"""What unpacking may hold at once; `xz -9` asks for 65 MiB."""
_FAILURES = (EOFError, OSError, RuntimeError, NotImplementedError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


def packing_of(name: str) -> str | None:
    """Return how a file is packed by its name; None if it is not."""
    return PACKINGS.get(PurePosixPath(name).suffix.lower())


class Unpacked:
    """The bytes of a file, decompressed if its name has the suffix of a compressed file.

    Parameters
    ----------
    raw : file
        Read from where it stands, in one pass.
    name : str
        Its path or address.
    """

    def __init__(self, raw: BinaryIO, name: str) -> None:
        self._name = name
        self._packing = packing_of(name)
        self._counted = _Counted(raw)
        self._stream: Any = None
        self._given = 0

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end.

        Raises
        ------
        SourceError
            When the file is cut off, damaged, not packed as its name says, or inflates without end.
        """
        if self._packing is None:
            return self._counted.read(size)
        try:
            if self._stream is None:
                self._stream = self._open()
            chunk: bytes = self._stream.read(size)
        except SourceError:
            raise
        except _FAILURES as error:
            # The message of a library's error may contain bytes of the file.
            raise SourceError(
                f"The {self._packing} file is cut off or damaged.",
                found=type(error).__name__,
                where=self._name,
                remedy="copy the file again",
            ) from error
        self._given += len(chunk)
        if self._given > _FREE and self._given > _RATIO * self._counted.given:
            raise SourceError(
                f"The {self._packing} file expands to an implausible size.",
                expected=f"at most {_RATIO} times its size",
                found=f"{self._given:,} bytes out of {self._counted.given:,}",
                where=self._name,
                remedy="check where the file comes from; a real table of this kind can be delivered as Parquet",
            )
        return chunk

    def _open(self) -> Any:
        first = self._counted.peek()
        found = file_signature(first)
        # A workbook is a ZIP archive, too; its error is raised below.
        if first and found not in (self._packing, "Excel workbook" if self._packing == "ZIP" else self._packing):
            raise SourceError(
                "The file is not packed as its name says.",
                expected=f"a {self._packing} file",
                found=found or "something else",
                where=self._name,
                remedy=f"rename the file; `{PurePosixPath(self._name).suffix}` is unpacked",
            )
        if self._packing == "gzip":
            return gzip.GzipFile(fileobj=self._counted)
        if self._packing == "bzip2":
            return bz2.BZ2File(self._counted)
        if self._packing == "xz":
            return _Xz(self._counted)
        if self._packing == "zstd":
            return pa.CompressedInputStream(pa.PythonFile(self._counted, mode="r"), "zstd")
        return self._member()

    def _member(self) -> Any:
        """Return the only file of an archive; its table of contents is at the end."""
        copy = tempfile.TemporaryFile(prefix="ratchet-source-")  # noqa: SIM115 (read by the caller, gone with the stream)
        shutil.copyfileobj(self._counted, copy, 2**20)
        archive = zipfile.ZipFile(copy)
        members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            self._refuse_archive(f"one file in the archive, found {len(members)}")
        if members[0].flag_bits & 1:
            self._refuse_archive("an archive without a password")
        if file_signature(self._counted.first) == "Excel workbook":
            self._refuse_archive("a packed text file, found an Excel workbook")
        return archive.open(members[0])

    def _refuse_archive(self, expected: str) -> NoReturn:
        raise SourceError(
            "The ZIP file can't be read as one text.",
            expected=expected,
            where=self._name,
            remedy="unpack it beside the other files of the source",
        )


class _Counted(io.RawIOBase):
    """Counts what was read of a file, and can look at its first bytes before."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._ahead = b""
        self.first = b""
        self.given = 0

    def readable(self) -> bool:
        return True

    def peek(self) -> bytes:
        while len(self._ahead) < 4096 and (chunk := self._raw.read(4096)):
            self._ahead += chunk
        self.first = self._ahead[:4096]
        return self.first

    def read(self, size: int = -1) -> bytes:
        if self._ahead:
            size = len(self._ahead) if size < 0 else size
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            chunk = self._raw.read(size)
        self.given += len(chunk)
        return chunk


class _Xz:
    """An xz file, one stream after the other, in bounded memory: the file itself says how much it takes."""

    def __init__(self, raw: _Counted) -> None:
        self._raw = raw
        self._packed = b""
        self._decoder: lzma.LZMADecompressor | None = None

    def read(self, size: int) -> bytes:
        while True:
            if self._decoder is None or self._decoder.eof:
                rest = self._decoder.unused_data if self._decoder is not None else b""
                # Zeros between streams are padding.
                self._packed = rest.lstrip(b"\0") or self._raw.read(2**16).lstrip(b"\0")
                if not self._packed:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=_MEMORY)
            elif self._decoder.needs_input:
                self._packed = self._raw.read(2**16)
                if not self._packed:
                    raise EOFError
            chunk = self._decoder.decompress(self._packed, size)
            self._packed = b""
            if chunk:
                return chunk
