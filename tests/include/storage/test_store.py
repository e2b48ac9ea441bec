"""What every object store promises, on each of them."""

from __future__ import annotations

import threading
from pathlib import Path

import boto3
import pytest

from include.errors import ObjectMissing, StoreError
from include.storage.s3 import S3Store
from include.storage.store import ObjectStore

BAD_KEYS = {
    "empty": "",
    "absolute": "/etc/passwd",
    "parent": "../outside",
    "parent within": "model/../../outside",
    "here": "model/./a",
    "only dots": "..",
    "hidden": "model/.hidden",
    "empty segment": "model//a",
    "trailing slash": "model/",
    "backslash": "model\\a",
    "backslash parent": "..\\outside",
    "drive": "C:/a",
    "blank": "model/a b",
    "newline": "model/a\n",
    "zero byte": "model/a\0",
    "percent": "model/%2e%2e/a",
    "unicode": "model/\u00fc",
    "home": "~/a",
    "long segment": "a" * 201,
    "long": "/".join(["a" * 100] * 9),
}


def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    body = bytes(range(256)) * 5_000
    assert store.put_if_absent("model/fits/a.json", body)
    assert store.get("model/fits/a.json") == body
    assert store.exists("model/fits/a.json")


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    assert store.put_if_absent("empty", b"")
    assert store.get("empty") == b""
    assert store.exists("empty")


def test_a_file_is_put_by_its_content(store: ObjectStore, tmp_path: Path) -> None:
    file = tmp_path / "part"
    file.write_bytes(b"0123456789" * 300_000)
    assert store.put_if_absent("model/part.parquet", file)
    file.write_bytes(b"changed later")
    assert store.get("model/part.parquet") == b"0123456789" * 300_000


def test_a_file_that_is_not_there_is_the_callers_mistake(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_if_absent("model/part.parquet", tmp_path / "nowhere")
    assert not store.exists("model/part.parquet")


def test_the_first_writer_wins_and_nothing_is_overwritten(store: ObjectStore) -> None:
    assert store.put_if_absent("model/a", b"first")
    assert not store.put_if_absent("model/a", b"second")
    assert not store.put_if_absent("model/a", b"first")
    assert store.get("model/a") == b"first"


def test_of_racing_writers_one_is_told_that_it_won(store: ObjectStore) -> None:
    bodies = [bytes([n]) * 100_000 for n in range(16)]
    start, won = threading.Barrier(len(bodies)), []

    def put(body: bytes) -> None:
        start.wait()
        if store.put_if_absent("model/race", body):
            won.append(body)

    threads = [threading.Thread(target=put, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get("model/race")] == won


@pytest.mark.parametrize("key", ["nothing", "model", "model/a/below", "model/a.jso"])
def test_what_is_not_there_is_missing(store: ObjectStore, key: str) -> None:
    store.put_if_absent("model/a", b"")
    store.put_if_absent("model/a.json", b"")
    assert not store.exists(key)
    with pytest.raises(ObjectMissing):
        store.get(key)


def test_keys_are_listed_ascending_by_whole_key(store: ObjectStore) -> None:
    keys = ["a-b/x", "a.json", "a/b/c", "a/b.json", "a0", "b/1", "b/10", "b/2", "A/z", "_", "a=1/x"]
    for key in keys:
        store.put_if_absent(key, b"")
    assert list(store.list("")) == sorted(keys)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/b.", "b/1", "nothing/", "a/b.json"])
def test_a_prefix_is_one_of_text_not_of_folders(store: ObjectStore, prefix: str) -> None:
    keys = ["a-b/x", "a/b/c", "a/b.json", "b/1", "b/10"]
    for key in keys:
        store.put_if_absent(key, b"")
    assert list(store.list(prefix)) == sorted(key for key in keys if key.startswith(prefix))


@pytest.mark.parametrize("after", ["a", "a-b/x", "a/b", "a/b/c", "a/b/cc", "a/b.json", "b/1", "z"])
def test_a_listing_goes_on_after_a_key(store: ObjectStore, after: str) -> None:
    keys = ["a-b/x", "a/b/c", "a/b/d", "a/b.json", "b/1", "b/10"]
    for key in keys:
        store.put_if_absent(key, b"")
    assert list(store.list("", after=after)) == sorted(key for key in keys if key > after)


def test_a_listing_goes_on_over_pages(store: ObjectStore) -> None:
    keys = [f"log/{number:08d}" for number in range(10)]
    for key in keys:
        store.put_if_absent(key, b"")
    if isinstance(store, S3Store):
        store = S3Store(boto3.client("s3", endpoint_url=store.client.meta.endpoint_url), store.bucket, "team/ratchet")
        short = "provide-client-params.s3.ListObjectsV2"
        store.client.meta.events.register(short, lambda params, **kwargs: {**params, "MaxKeys": 3})
    assert list(store.list("log/")) == keys
    assert list(store.list("log/", after=keys[4])) == keys[5:]


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_what_is_no_key_is_refused(store: ObjectStore, key: str) -> None:
    for call in (lambda: store.put_if_absent(key, b"x"), lambda: store.get(key), lambda: store.exists(key)):
        with pytest.raises(StoreError, match="not a key"):
            call()
    assert list(store.list("")) == []


@pytest.mark.parametrize("prefix", ["/", "../", "a/../b", "a//", "\\", ".."])
def test_what_no_key_can_start_with_is_refused(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(StoreError, match="not a prefix"):
        store.list(prefix)
