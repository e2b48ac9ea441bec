"""What a network adds to the promises of a store: lost answers, conflicts, silence."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from include.errors import ChainBroken, ObjectCorrupt, StoreError, StoreUnavailable
from include.storage.content import get_content, put_content, put_json, put_json_once
from include.storage.log import Entry, Log
from include.storage.s3 import S3Store
from tests.include.storage.lossy_proxy import LossyProxy

AT = "2013-07-01T00:00:00Z"


@pytest.fixture
def proxy(s3_server: str) -> Iterator[LossyProxy]:
    proxy = LossyProxy(s3_server)
    yield proxy
    proxy.close()


def client_of(url: str, *, attempts: int = 3) -> Any:
    return boto3.client(
        "s3", endpoint_url=url, config=Config(retries={"mode": "standard", "total_max_attempts": attempts})
    )


@pytest.fixture
def lossy(s3_store: S3Store, proxy: LossyProxy) -> S3Store:
    """The same objects as ``s3_store``, reached through the proxy."""
    return S3Store(client_of(proxy.url), s3_store.bucket, "team/ratchet")


def test_after_a_lost_answer_the_writer_is_told_that_the_key_is_taken(
    lossy: S3Store, proxy: LossyProxy, s3_store: S3Store
) -> None:
    proxy.lose = 1
    assert not lossy.put_if_absent("model/a", b"mine"), "botocore sent the request twice"
    assert proxy.lost == 1
    assert s3_store.get("model/a") == b"mine"


def test_an_append_whose_answer_was_lost_is_recognised_as_won(
    lossy: S3Store, proxy: LossyProxy, s3_store: S3Store
) -> None:
    log = Log(lossy, "model/ledger")
    asked: list[int] = []

    def decide(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]]:
        asked.append(len(entries))
        return "registered", {"version": len(entries)}

    log.append(decide, at=AT)
    proxy.lose = 1
    entry = log.append(decide, at=AT)
    assert proxy.lost == 1
    assert asked == [0, 1], "it decided once for each entry"
    assert entry is not None
    assert entry.number == 1
    assert Log(s3_store, "model/ledger").verify() == log.read()
    assert len(log.read()) == 2


def test_an_append_without_any_answer_is_found_when_it_is_repeated(proxy: LossyProxy, s3_store: S3Store) -> None:
    once = S3Store(client_of(proxy.url, attempts=1), s3_store.bucket, "team/ratchet")

    def register_once(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
        return None if entries else ("registered", {})

    proxy.lose = 1
    with pytest.raises(StoreUnavailable):
        Log(once, "model/ledger").append(register_once, at=AT)
    assert Log(once, "model/ledger").append(register_once, at=AT) is None
    assert len(Log(s3_store, "model/ledger").verify()) == 1


def test_immutable_values_are_put_in_spite_of_lost_answers(lossy: S3Store, proxy: LossyProxy) -> None:
    proxy.lose = 1
    put_json(lossy, "model/a.json", {"a": 1})
    proxy.lose = 1
    assert put_json_once(lossy, "model/b.json", {"b": 1}) == {"b": 1}
    proxy.lose = 1
    name = put_content(lossy, "model/models", ".skops", b"model")
    assert get_content(lossy, "model/models", ".skops", name) == b"model"
    assert proxy.lost == 3


@pytest.mark.parametrize(("conflicts", "outcome"), [(3, True), (99, StoreUnavailable)])
def test_a_conflict_is_tried_again(
    s3_store: S3Store, s3_server: str, monkeypatch: pytest.MonkeyPatch, conflicts: int, outcome: Any
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    client = client_of(s3_server)
    left = conflicts

    def conflict(request: Any, **kwargs: Any) -> AWSResponse | None:
        nonlocal left
        left -= 1
        return None if left < 0 else AWSResponse(request.url, 409, {}, error_body("ConditionalRequestConflict"))

    client.meta.events.register("before-send.s3.PutObject", conflict)
    store = S3Store(client, s3_store.bucket, "team/ratchet")
    if outcome is True:
        assert store.put_if_absent("model/a", b"x")
        assert s3_store.get("model/a") == b"x"
    else:
        with pytest.raises(outcome, match="409"):
            store.put_if_absent("model/a", b"x")


class Raw(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, **kwargs: Any) -> Iterator[bytes]:
        yield self.read()


def error_body(code: str) -> Raw:
    return Raw(f"<Error><Code>{code}</Code></Error>".encode())


def test_a_server_that_is_away_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    store = S3Store(client_of(f"http://127.0.0.1:{free}", attempts=1), "bucket")
    for call in (
        lambda: store.put_if_absent("a", b""),
        lambda: store.get("a"),
        lambda: store.exists("a"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreUnavailable, match="S3 did not answer"):
            call()


@pytest.mark.parametrize(("status", "passing"), [(503, True), (429, True), (403, False), (501, False)])
def test_only_what_passes_is_worth_a_retry(s3_server: str, status: int, passing: bool) -> None:
    client = client_of(s3_server, attempts=1)
    client.meta.events.register(
        "before-send.s3", lambda request, **kwargs: AWSResponse(request.url, status, {}, error_body("Code"))
    )
    for call in (lambda: S3Store(client, "b").put_if_absent("a", b""), lambda: S3Store(client, "b").get("a")):
        with pytest.raises(StoreError) as caught:
            call()
        assert isinstance(caught.value, StoreUnavailable) == passing


def test_a_bucket_that_is_not_there_is_an_error_not_an_empty_store(s3_client: Any) -> None:
    store = S3Store(s3_client, "no-such-bucket")
    for call in (lambda: store.get("a"), lambda: list(store.list("")), lambda: store.put_if_absent("a", b"")):
        with pytest.raises(StoreError, match="NoSuchBucket"):
            call()


def test_stores_under_different_prefixes_share_a_bucket(s3_store: S3Store) -> None:
    beside = S3Store(s3_store.client, s3_store.bucket, "team/ratchet2")
    whole = S3Store(s3_store.client, s3_store.bucket)
    s3_store.put_if_absent("a", b"1")
    beside.put_if_absent("a", b"2")
    assert [*s3_store.list("")] == [*beside.list("")] == ["a"]
    assert [*whole.list("")] == ["team/ratchet/a", "team/ratchet2/a"]
    assert whole.get("team/ratchet2/a") == b"2"


def test_bytes_that_changed_on_the_way_are_noticed(s3_server: str) -> None:
    client = client_of(s3_server)
    checksum = base64.b64encode(hashlib.sha256(b"as it was put").digest()).decode()
    client.meta.events.register(
        "before-send.s3.GetObject",
        lambda request, **kwargs: AWSResponse(
            request.url, 200, {"x-amz-checksum-sha256": checksum, "Content-Length": "13"}, Raw(b"as it arrived")
        ),
    )
    with pytest.raises(ObjectCorrupt):
        S3Store(client, "bucket").get("a")


def test_a_put_carries_the_checksum_of_its_bytes(s3_store: S3Store, s3_server: str, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"x" * 100_000)
    client, sent = client_of(s3_server), []
    client.meta.events.register("before-send.s3.PutObject", lambda request, **kwargs: sent.append(request.headers))
    S3Store(client, s3_store.bucket).put_if_absent("a", tmp_path / "part")
    checksum = base64.b64encode(hashlib.sha256(b"x" * 100_000).digest())
    assert [headers["x-amz-checksum-sha256"] for headers in sent] == [checksum]
    assert [headers["If-None-Match"] for headers in sent] == [b"*"]


def test_a_long_log_is_read_over_several_connections(s3_store: S3Store) -> None:
    log = Log(s3_store, "model/ledger")
    for _ in range(25):
        log.append(lambda entries: ("registered", {"n": len(entries)}), at=AT)
    assert Log(s3_store, "model/ledger").verify() == log.read()
    s3_store.client.delete_object(Bucket=s3_store.bucket, Key="team/ratchet/model/ledger/00000011.json")
    with pytest.raises(ChainBroken) as caught:
        Log(s3_store, "model/ledger").verify()
    assert caught.value.number == 11


def test_a_store_makes_no_more_requests_at_a_time_than_its_client_keeps_connections(
    s3_store: S3Store, s3_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = boto3.client("s3", endpoint_url=s3_server, config=Config(max_pool_connections=3))
    store = S3Store(client, s3_store.bucket, "team/ratchet")
    store.put_if_absent("a/one", b"one")
    with caplog.at_level("WARNING", logger="urllib3.connectionpool"), ThreadPoolExecutor(24) as threads:
        read = list(threads.map(lambda number: store.get("a/one") if number % 2 else [*store.list("a/")], range(96)))
    assert read == [["a/one"], b"one"] * 48
    assert store.parallel == 3
    assert not caplog.records, "a connection that does not fit into the pool is closed"


def test_who_reads_a_listing_may_ask_for_what_it_lists(s3_store: S3Store, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server, config=Config(max_pool_connections=1))
    store = S3Store(client, s3_store.bucket, "team/ratchet")
    for number in range(3):
        store.put_if_absent(f"a/{number}", str(number).encode())
    assert [store.get(key) for key in store.list("a/")] == [b"0", b"1", b"2"]
