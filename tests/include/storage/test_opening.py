"""One setting names the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.errors import ConfigError, StoreError
from include.storage.local import LocalStore
from include.storage.opening import open_store
from include.storage.s3 import S3Store


def test_a_folder_is_opened_and_not_yet_made(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/a%20store")
    assert isinstance(store, LocalStore)
    assert store.root == tmp_path / "a store"
    assert not store.root.exists()
    assert open_store(store.url).url == store.url


@pytest.mark.parametrize("prefix", ["", "/", "/team/ratchet", "/team/ratchet/"])
def test_a_bucket_is_opened_with_the_client_that_is_given(s3_client: Any, prefix: str) -> None:
    store = open_store(f"s3://bucket{prefix}", s3_client=lambda: s3_client)
    assert isinstance(store, S3Store)
    assert store.client is s3_client
    assert store.url == f"s3://bucket{prefix}".rstrip("/")


def test_without_a_client_boto3_looks_in_its_usual_places(monkeypatch: pytest.MonkeyPatch, s3_server: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    store = open_store("s3://bucket")
    assert isinstance(store, S3Store)
    assert store.client.meta.endpoint_url == s3_server


@pytest.mark.parametrize(
    "url", ["", "store", "/tmp/store", "file://store", "file:store", "s3:///a", "gs://a/b", "s3://a/b?c=d"]
)
def test_an_address_of_no_store_is_answered_with_what_was_expected(url: str) -> None:
    with pytest.raises(ConfigError, match="file:///absolute/folder or s3://bucket/prefix"):
        open_store(url)


def test_a_path_is_answered_with_its_address() -> None:
    with pytest.raises(ConfigError, match="write file:///srv/store"):
        open_store("/srv/store")


def test_a_prefix_that_leads_elsewhere_is_refused(s3_client: Any) -> None:
    with pytest.raises(StoreError):
        open_store("s3://bucket/a/../b", s3_client=lambda: s3_client)


def test_a_folder_needs_no_boto3() -> None:
    code = "import sys; from include.storage.opening import open_store; open_store('file:///tmp/x'); print('boto3' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert shown.stdout.strip() == "False", shown.stderr
