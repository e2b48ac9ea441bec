"""Objects of S3: find those that a pattern means, and read each whole or not at all.

A connection that ends early looks like the end of a file, so a body is checked against its length and its checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from urllib3.exceptions import HTTPError

from include.data.sources.file_patterns import BELOW, fixed_part, is_wild, meant_names
from include.errors import SourceError, StoreUnavailable


def find_objects(client: Any, path: str) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Yield the addresses of the objects that ``path`` means, each with what opens it.

    Raises
    ------
    SourceError
        When S3 refuses.
    StoreUnavailable
        When S3 does not answer.
    """
    bucket, _, name = path.removeprefix("s3://").partition("/")
    with _answering(path):
        if not is_wild(name) and not name.endswith("/"):
            # The key itself comes before all that it begins.
            first = client.list_objects_v2(Bucket=bucket, Prefix=name, MaxKeys=1).get("Contents", ())
            if name and [item["Key"] for item in first] == [name]:
                yield path, partial(_open, client, bucket, name)
                return
        name = name.rstrip("/")
        pattern = name if is_wild(name) else "/".join(filter(None, [name, BELOW]))
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=fixed_part(pattern))
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
    # Some tools create an empty object whose key ends in `/` as a folder.
    for key in meant_names([key for key in keys if not key.endswith("/")], pattern, f"s3://{bucket}"):
        yield f"s3://{bucket}/{key}", partial(_open, client, bucket, key)


def _open(client: Any, bucket: str, key: str) -> BinaryIO:
    with _answering(f"s3://{bucket}/{key}"):
        answer = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return io.BufferedReader(S3Body(answer, f"s3://{bucket}/{key}"), 2**20)


@contextlib.contextmanager
def _answering(where: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = StoreUnavailable if status >= 500 or status == 429 else SourceError
        raise kind(
            "S3 refused access to the source's files.",
            found=error,
            where=where,
            remedy="check the bucket's name, and the permissions of `data.source.connection`",
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailable("S3 did not answer.", found=error, where=where, remedy="try again later") from error


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
            raise self._broken(f"{self._left:,} bytes are missing")
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
            "S3 did not deliver a whole file of the source.", found=found, where=self._where, remedy="try again later"
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
