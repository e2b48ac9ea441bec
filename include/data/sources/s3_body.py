"""The body of an S3 object, read to its end or not at all: a connection that ends early looks like the end of a file."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from include.errors import StoreUnavailable


class S3Body(io.RawIOBase):
    """The bytes of an answer to GetObject, held to its length and checksum.

    The checksum is the one that S3 keeps, which botocore compares; for an object without one it is the ETag, where that is
    the MD5 of the bytes.

    Parameters
    ----------
    answer : mapping
        What GetObject returned, asked with ``ChecksumMode="ENABLED"``.
    where : str
        The object's address.

    Raises
    ------
    StoreUnavailable
        While reading, when the connection ends or breaks before the end, or the bytes are not those that S3 has.
    """

    def __init__(self, answer: Mapping[str, Any], where: str) -> None:
        self._body = answer["Body"]
        self._left = int(answer["ContentLength"])
        self._where = where
        self._md5, self._etag = _md5_of(answer)

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, all that are left if it is negative; none only at the end of the object."""
        if size < 0:
            return b"".join(iter(lambda: self.read(2**20), b""))
        if not size:
            return b""
        try:
            chunk: bytes = self._body.read(size)
        except FlexibleChecksumError as error:
            raise self._broken("its bytes do not have the checksum that S3 keeps") from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise self._broken(type(error).__name__) from error
        self._left -= len(chunk)
        if self._md5 is not None:
            self._md5.update(chunk)
        if self._left < 0 or (not chunk and self._left):
            raise self._broken(f"{self._left:,} bytes were still to come")
        if not chunk and self._md5 is not None and self._md5.hexdigest() != self._etag:
            raise self._broken("its bytes do not have the MD5 that S3 keeps as its ETag")
        return chunk

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _broken(self, found: str) -> StoreUnavailable:
        return StoreUnavailable(
            "S3 did not give a file of the source whole.", found=found, where=self._where, remedy="try again later"
        )


def _md5_of(answer: Mapping[str, Any]) -> tuple[Any, str]:
    etag = str(answer.get("ETag", "")).strip('"')
    # Of an object in parts, or encrypted with keys of KMS or the customer, the ETag is something else.
    plain = answer.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in answer
    checked = any(name.startswith("Checksum") and name != "ChecksumType" for name in answer)
    make: Callable[..., Any] = hashlib.md5
    return (
        make(usedforsecurity=False) if plain and not checked and re.fullmatch(r"[0-9a-f]{32}", etag) else None
    ), etag
