"""An object store in an S3 bucket, or on another server with S3's conditional writes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from include.errors import ObjectCorrupt, ObjectMissing, StoreError, StoreUnavailable
from include.storage.store import StoredObject, check_key, check_prefix, is_key

if TYPE_CHECKING:
    from include.storage.probe import Encryption

_CONFLICTS = 8  # answers 409 in a row before giving up: about six seconds
_PASSING = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "RequestLimitExceeded",
}


class S3Store:
    """A `PrunableStore` in S3, under ``prefix`` of ``bucket``.

    Parameters
    ----------
    client : botocore client for S3
        Its retries are welcome: when the answer to a put is lost, botocore sends it again and the second answer says that
        the key is taken, so a True can come back as False but never the other way round; see `ObjectStore.put_if_absent`.
    bucket, prefix : str
        An object's name in the bucket is ``<prefix>/<key>``; the prefix may be empty.
    encryption : Encryption, optional
        What the server is asked to encrypt each object with; the bucket's own default if left out.
    parallel : int, optional
        How many requests are made at a time at most, whatever number of threads asks; as many as the client keeps connections if left out: for
        each request beyond them it would open one, and close it again.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        prefix: str = "",
        *,
        encryption: Encryption | None = None,
        parallel: int | None = None,
    ) -> None:
        check_prefix(prefix)
        self.client = client
        self.bucket = bucket
        self.encryption = encryption
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._folder = f"{prefix.rstrip('/')}/" if prefix else ""
        self.parallel: int = parallel or client.meta.config.max_pool_connections
        self._connections = threading.BoundedSemaphore(self.parallel)

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` under ``key`` unless something is there already; see `ObjectStore.put_if_absent`."""
        check_key(key)
        source: io.BytesIO | io.BufferedReader = io.BytesIO(body) if isinstance(body, bytes) else body.open("rb")
        with source, self._answering(key):
            # Computed here and checked by the server: unlike botocore's checksum it needs no trailer, which some servers lack.
            checksum = base64.b64encode(hashlib.file_digest(source, "sha256").digest()).decode()
            for conflict in range(_CONFLICTS):
                source.seek(0)
                try:
                    self.client.put_object(
                        Bucket=self.bucket,
                        Key=self._folder + key,
                        Body=source,
                        IfNoneMatch="*",
                        ChecksumSHA256=checksum,
                        **({} if self.encryption is None else self.encryption.put),
                    )
                except ClientError as error:
                    status = _status(error)
                    if status == 412:
                        return False
                    if status != 409:
                        raise
                    # Another conditional write of the key is under way and has not won yet: S3 asks to try again.
                    time.sleep(random.uniform(0.5, 1) * 0.025 * 2**conflict)  # noqa: S311 - spreads writers, guards nothing
                else:
                    return True
        raise StoreUnavailable(
            "conditional writes of an object kept conflicting",
            expected="one of them to win",
            found=f"{_CONFLICTS} times 409",
            where=f"{self.url}: {key}",
            remedy="try again",
        )

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""
        check_key(key)
        with self._answering(key):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._folder + key, ChecksumMode="ENABLED")
            body: bytes = answer["Body"].read()
            return body

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object."""
        check_key(key)
        try:
            with self._answering(key):
                self.client.head_object(Bucket=self.bucket, Key=self._folder + key)
        except ObjectMissing:
            return False
        return True

    def head(self, key: str) -> dict[str, Any]:
        """Return the metadata of an object; raises `ObjectMissing`."""
        check_key(key)
        with self._answering(key):
            answer: dict[str, Any] = self.client.head_object(Bucket=self.bucket, Key=self._folder + key)
            return answer

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""
        check_prefix(prefix)
        return (one.key for one in self._pages(prefix, {"StartAfter": self._folder + after} if after else {}))

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what `list` yields, with size and age, in the same calls."""
        check_prefix(prefix)
        return self._pages(prefix, {})

    def delete(self, key: str) -> bool:
        """Remove an object for good; see `PrunableStore.delete`. It takes ``s3:DeleteObject``, which no other task needs."""
        check_key(key)
        with self._answering(key):
            answer = self.client.delete_object(Bucket=self.bucket, Key=self._folder + key)
        # A bucket with versioning hides the object and keeps its bytes.
        return not answer.get("DeleteMarker", False)

    def _pages(self, prefix: str, start: dict[str, str]) -> Iterator[StoredObject]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._folder + prefix, **start
        )
        read_on = iter(pages)
        while True:
            with self._answering(prefix):  # no longer: who reads this may ask for objects meanwhile
                page = next(read_on, None)
            if page is None:
                return
            for found in page.get("Contents", ()):
                if is_key(key := found["Key"].removeprefix(self._folder)):
                    yield StoredObject(key, found["Size"], found["LastModified"])

    @contextlib.contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        where = f"{self.url}: {key}"
        try:
            with self._connections:
                yield
        except ClientError as error:
            code, status = error.response.get("Error", {}).get("Code", ""), _status(error)
            if code == "NoSuchKey" or (status == 404 and code != "NoSuchBucket"):
                raise ObjectMissing("no such object", found=key, where=self.url) from None
            if status == 429 or (status >= 500 and status != 501) or code in _PASSING:
                raise StoreUnavailable(
                    "S3 can't answer now", found=error, where=where, remedy="try again later"
                ) from error
            raise StoreError(
                "S3 refused the request",
                expected="a bucket that this client may list (s3:ListBucket), read and write, with conditional writes",
                found=error,
                where=where,
            ) from error
        except FlexibleChecksumError as error:
            raise ObjectCorrupt(
                "an object's bytes do not have the checksum that S3 keeps", found=error, where=where
            ) from error
        except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise StoreUnavailable(
                "S3 did not answer",
                found=error,
                where=where,
                remedy="look at the network and at the endpoint's address, then try again",
            ) from error
        except BotoCoreError as error:
            raise StoreError(
                "the request to S3 can't be made",
                found=error,
                where=where,
                remedy="look at the credentials and the region",
            ) from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
