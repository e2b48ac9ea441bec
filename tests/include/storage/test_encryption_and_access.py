"""What a deployment asks for its store, encryption, TLS and files of its owner alone, holds or the store is refused."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from include.errors import ConfigError, StoreUnfit
from include.storage.local import LocalStore
from include.storage.opening import open_store


@pytest.fixture
def bucket(s3_client: Any) -> str:
    name = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


def keys(client: Any, bucket: str) -> list[str]:
    return [one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("AES256", {"ServerSideEncryption": "AES256"}),
        ("aws:kms/k-1", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k-1"}),
    ],
)
def test_every_object_is_put_with_the_encryption_that_is_set_also_by_a_process_that_finds_the_store_probed(
    setting: str, told: dict[str, str], s3_client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(f"s3://{bucket}", s3_client=lambda: s3_client).put_if_absent("model/before", b"1")
    monkeypatch.setenv("RATCHET_STORE_ENCRYPTION", setting)
    for name in ("model/a", "model/b"):
        assert open_store(f"s3://{bucket}", s3_client=lambda: s3_client).put_if_absent(name, b"1")
        head = s3_client.head_object(Bucket=bucket, Key=name)
        assert {fact: head.get(fact) for fact in told} == told
    assert "ServerSideEncryption" not in s3_client.head_object(Bucket=bucket, Key="model/before")


@pytest.mark.parametrize("lost", ["x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"])
def test_a_server_that_does_not_encrypt_as_it_is_asked_to_gets_no_object(
    lost: str, s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3", endpoint_url=s3_server)

    def forget(request: Any, **_: Any) -> None:
        """Take a header away, as a server does that does not know it."""
        del request.headers[lost]

    client.meta.events.register("before-send.s3.PutObject", forget)
    monkeypatch.setenv("RATCHET_STORE_ENCRYPTION", "aws:kms/arn:aws:kms:eu-central-1:1:key/k-1")
    store = open_store(f"s3://{bucket}/team", s3_client=lambda: client)
    for _ in range(2):  # the second time the marker is there
        with pytest.raises(StoreUnfit, match="does not encrypt") as refused:
            store.put_if_absent("model/a", b"1")
        assert "k-1" in str(refused.value.expected)
    assert not [key for key in keys(client, bucket) if not key.startswith("team/_store/")]


def test_a_setting_that_no_server_knows_is_refused(s3_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_STORE_ENCRYPTION", "aes-256")
    with pytest.raises(ConfigError, match="RATCHET_STORE_ENCRYPTION"):
        open_store("s3://bucket", s3_client=lambda: s3_client)


@pytest.mark.parametrize(
    ("address", "permitted", "refused"),
    [
        ("https://s3.example.com", "", False),
        ("http://s3.example.com", "", True),
        ("http://10.0.0.7:9000", "", True),
        ("http://localhost.example.com", "", True),
        ("http://127.0.0.1:9000", "", False),
        ("http://localhost:9000", "", False),
        ("http://[::1]:9000", "", False),
        ("http://object-store:9000", "minio, object-store", False),
        ("http://object-store:9000", "store", True),
    ],
)
def test_a_store_is_spoken_to_by_tls_but_on_this_machine_and_where_it_is_said(
    address: str, permitted: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_STORE_PLAIN_HTTP", permitted)
    client = boto3.client("s3", endpoint_url=address)
    if not refused:
        assert open_store("s3://bucket", s3_client=lambda: client).url == "s3://bucket"
        return
    with pytest.raises(ConfigError, match="not be encrypted") as error:
        open_store("s3://bucket", s3_client=lambda: client)
    assert "RATCHET_STORE_PLAIN_HTTP" in str(error.value.remedy)


@pytest.mark.parametrize(("folder", "expected"), [(None, 0o600), (0o755, 0o600), (0o770, 0o660)])
def test_files_of_a_folder_are_their_owners_alone_unless_its_group_may_write_there(
    folder: int | None, expected: int, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    if folder is not None:
        root.mkdir()
        root.chmod(folder)
    before = os.umask(0)
    try:
        assert LocalStore(root).put_if_absent("model/a", b"1")
    finally:
        os.umask(before)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in files] == [expected]
    if folder is None:
        assert root.stat().st_mode & 0o777 == 0o700
