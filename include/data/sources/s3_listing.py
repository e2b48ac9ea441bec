"""Find the objects of a bucket that a pattern means, and open them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from include.data.sources.file_patterns import BELOW, fixed_part, is_wild, meant_names
from include.data.sources.s3_body import S3Body
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
    # An empty object whose key ends in `/` is how some tools draw a folder.
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
            "S3 refused to give the source's files.",
            found=error,
            where=where,
            remedy="look at the bucket's name, and at what `data.source.connection` may do",
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailable("S3 did not answer.", found=error, where=where, remedy="try again later") from error
