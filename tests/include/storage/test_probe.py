"""A server on which two writers of one object win is refused before anything is written to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from include.errors import StoreUnfit
from include.storage.opening import open_store
from include.storage.probe import MARKER, RACERS, ROUNDS
from include.storage.store import ObjectStore
from tests.include.storage.test_s3 import error_body


@pytest.fixture
def bucket(s3_client: Any) -> str:
    name = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


def client_of(server: str, connections: int = 10) -> Any:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=connections)
    return boto3.client("s3", endpoint_url=server, config=config)


def opened(bucket: str, client: Any) -> ObjectStore:
    return open_store(f"s3://{bucket}/team", s3_client=lambda: client)


def test_a_store_is_probed_once_and_then_known_by_its_marker(s3_server: str, bucket: str) -> None:
    puts: list[str] = []
    client = client_of(s3_server)
    client.meta.events.register("before-send.s3.PutObject", lambda request, **kwargs: puts.append(request.url))
    first = opened(bucket, client)
    assert first.put_if_absent("model/a", b"a")
    assert not first.put_if_absent("model/a", b"b")
    assert len(puts) == ROUNDS * (RACERS + 1) + 1 + 2
    assert first.exists(MARKER)
    puts.clear()
    assert opened(bucket, client).put_if_absent("model/b", b"b")
    assert len(puts) == 1


def test_reading_probes_nothing(s3_server: str, bucket: str) -> None:
    store = opened(bucket, client_of(s3_server))
    assert not store.exists("model/a")
    assert list(store.list("")) == []


def without_condition(request: Any, **kwargs: Any) -> None:
    del request.headers["If-None-Match"]


def test_a_server_that_ignores_the_condition_is_refused(s3_server: str, bucket: str) -> None:
    client = client_of(s3_server)
    client.meta.events.register("before-sign.s3.PutObject", without_condition)
    with pytest.raises(StoreUnfit, match="ignores the condition"):
        opened(bucket, client).put_if_absent("model/a", b"a")
    assert not opened(bucket, client_of(s3_server)).exists("model/a")
    assert not opened(bucket, client_of(s3_server)).exists(MARKER)


def looks_first(server: str) -> Callable[..., AWSResponse | None]:
    """Answer a PUT as a server does that checks the condition, and writes without it some time later."""
    reader = client_of(server)

    def answer(request: Any, **kwargs: Any) -> AWSResponse | None:
        bucket, _, key = request.url.removeprefix(f"{server}/").partition("/")
        try:
            reader.head_object(Bucket=bucket, Key=key)
        except ClientError:
            time.sleep(0.05)
            return None
        return AWSResponse(request.url, 412, {}, error_body("PreconditionFailed"))

    return answer


@pytest.mark.parametrize("connections", [1, 10])
def test_a_server_that_looks_first_and_writes_later_is_refused(s3_server: str, bucket: str, connections: int) -> None:
    client = client_of(s3_server, connections)
    client.meta.events.register("before-sign.s3.PutObject", without_condition)
    client.meta.events.register("before-send.s3.PutObject", looks_first(s3_server))
    with pytest.raises(StoreUnfit, match="looks first and writes later") as caught:
        opened(bucket, client).put_if_absent("model/a", b"a")
    assert f"s3://{bucket}/team at {s3_server}" in str(caught.value)
